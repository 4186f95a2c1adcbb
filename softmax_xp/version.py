# SPDX-License-Identifier: BSD-3-Clause
"""The version, in the one place that the build, the package and its files read."""

__all__ = ["__version__"]

__version__ = "0.1.0"
