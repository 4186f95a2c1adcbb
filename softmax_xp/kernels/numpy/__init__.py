# SPDX-License-Identifier: BSD-3-Clause
"""Kernels for NumPy arrays: the same arithmetic as the definitions, in memory that the caller provides."""
