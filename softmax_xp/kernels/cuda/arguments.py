# SPDX-License-Identifier: BSD-3-Clause
"""Arrays in the form in which the kernels read them; what is in it already is passed on as it is."""

__all__ = ["address", "as_vector", "in_real", "row_stride_of"]

from typing import Any

import numpy as np

from softmax_xp.backend import array_namespace
from softmax_xp.errors import InvalidValueError
from softmax_xp.typing import Array


def address(array: Array) -> int:
    """Return where an array begins in memory: the host knows it without asking the device."""
    return int(array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr)


def as_vector(array: Array) -> Array:
    """Return a vector whose elements are neighbours in memory."""
    if array.shape[0] <= 1 or array.strides[0] == array.dtype.itemsize:
        return array
    return array_namespace(array).asarray(array, copy=True)


def in_real(array: Array | None, real: Any) -> Array | None:
    """Return a vector or a number on the device in the float of the arithmetic; None stays None."""
    if array is None:
        return None
    array = array_namespace(array).astype(array, real, copy=False)
    return array if array.ndim == 0 else as_vector(array)


def row_stride_of(matrix: Array, name: str) -> int:
    """Return how many elements apart the rows of a matrix begin.

    Parameters
    ----------
    matrix : array of shape (n_rows, n_columns)
        Whose rows may lie apart, or even run backwards.
    name : str
        How the error calls it.

    Returns
    -------
    int
        In elements, not bytes.

    Raises
    ------
    InvalidValueError
        Where the elements of a row are not neighbours in memory.
    """
    itemsize = matrix.dtype.itemsize
    if matrix.shape[0] > 0 and matrix.shape[1] > 1 and matrix.strides[1] != itemsize:
        msg = f"`{name}` must have rows whose elements are neighbours; got strides {matrix.strides}. Pass a copy."
        raise InvalidValueError(msg)
    if matrix.strides[0] % itemsize:
        msg = f"`{name}` must have rows a multiple of {itemsize} bytes apart; got {matrix.strides[0]}. Pass a copy."
        raise InvalidValueError(msg)
    return int(matrix.strides[0] // itemsize)
