# SPDX-License-Identifier: BSD-3-Clause
"""CUDA kernels: each ``.cu`` file beside the Python that launches it, and nothing that needs a GPU to be imported."""
