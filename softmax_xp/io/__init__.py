# SPDX-License-Identifier: BSD-3-Clause
"""Files on disk: named tensors with metadata, written whole or not at all."""

__all__ = ["read_tensors", "write_tensors"]

from softmax_xp.io.safetensors_file import read_tensors, write_tensors
