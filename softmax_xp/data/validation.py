# SPDX-License-Identifier: BSD-3-Clause
"""Checks at the start of a fit, for arrays of any library on any device.

Each check reads one truth value back from the device. Only when it is false does a second,
slower search find out where the fault lies.
"""

__all__ = [
    "check_lengths",
    "check_matrix",
    "check_sample_weight",
    "check_soft_targets",
    "check_width",
    "refuse_masked",
]

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from softmax_xp.backend import array_namespace, scalar
from softmax_xp.data.sparse import is_sparse
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.typing import Array, Namespace

# Rows are checked in chunks of this many elements; a truth value takes one byte, so a
# temporary takes at most 4 MB (a single longer row aside).
_CHUNK_ELEMENTS = 1 << 22
_SUM_TOLERANCE = 1e-3


def check_matrix(X: Array, name: str = "X") -> None:
    """Check that an array is a finite real matrix with at least one row and one column.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        The array to check. It is not written to; temporaries stay below about 4 MB.
    name : str, default="X"
        What to call the array in messages.

    Raises
    ------
    InvalidTypeError
        If `X` is no array, or is complex, of strings, of dates or of Python objects.
    InvalidValueError
        If `X` is not two-dimensional, is empty, or holds NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> check_matrix(np.ones((2, 3)))
    >>> check_matrix(np.asarray([[1.0, np.nan]]))
    Traceback (most recent call last):
    ...
    softmax_xp.errors.InvalidValueError: `X` must be finite; got NaN at row 0, column 1 (1 such value). ...
    """
    xp = _namespace(X, name)
    if X.ndim != 2:
        advice = f" Pass `{name}[:, None]` for one feature or `{name}[None, :]` for one sample." if X.ndim == 1 else ""
        msg = f"`{name}` must have shape (n_samples, n_features); got shape {tuple(X.shape)}.{advice}"
        raise InvalidValueError(msg)
    if X.shape[0] == 0 or X.shape[1] == 0:
        msg = f"`{name}` must have at least one sample and one feature; got shape {tuple(X.shape)}."
        raise InvalidValueError(msg)
    if not xp.isdtype(X.dtype, ("bool", "integral", "real floating")):
        msg = f"`{name}` must hold real numbers; got dtype {X.dtype}. Convert or encode it first."
        raise InvalidTypeError(msg)
    if not xp.isdtype(X.dtype, "real floating"):
        return
    # NB: isfinite(sum) would be one kernel less, but NumPy warns when the sum of finite values
    # overflows or inf meets -inf, and then a second pass is needed to tell which it was.
    finite = None
    for _, chunk in _row_chunks(X):
        chunk_is_finite = xp.all(xp.isfinite(chunk))
        finite = chunk_is_finite if finite is None else xp.logical_and(finite, chunk_is_finite)
    if not bool(finite):  # the one host read of this check
        _raise_not_finite(X, name, xp)


def refuse_masked(array: Any, name: str) -> None:
    """Refuse a masked array: what lies under its mask would count.

    Parameters
    ----------
    array : object
        As the user passed it.
    name : str
        What to call it in messages.

    Raises
    ------
    InvalidValueError
        If a value is masked.

    Examples
    --------
    >>> import numpy as np
    >>> refuse_masked(np.ma.masked_array([1.0, 2.0], mask=[False, True]), "y")
    Traceback (most recent call last):
    ...
    softmax_xp.errors.InvalidValueError: `y` must have no masked value; got 1 of them. ...
    """
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        count = int(np.ma.getmaskarray(array).sum())
        msg = f"`{name}` must have no masked value; got {count} of them. Fill them in, or leave these samples out."
        raise InvalidValueError(msg)


def check_width(matrix: Array, dtype_name: str, name: str = "X") -> None:
    """Refuse values that are finite in float64 and not in float32, where that is what a fit computes in.

    Parameters
    ----------
    matrix : array or sparse array of shape (n_samples, n_features)
        Checked by :func:`check_matrix`.
    dtype_name : str
        The float of the computation.
    name : str, default="X"
        What to call it in messages.

    Raises
    ------
    InvalidValueError
        If a value does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> check_width(np.asarray([[1e39]]), "float64")
    """
    values = matrix.data if is_sparse(matrix) else matrix
    xp = array_namespace(values)
    if dtype_name != "float32" or values.dtype != getattr(xp, "float64", None) or values.shape[0] == 0:
        return
    largest = max(scalar(xp.max(values)), -scalar(xp.min(values)))
    if largest > float(np.finfo(np.float32).max):
        msg = f"`{name}` must fit float32; got a value of size {largest:g}. Scale it, or pass dtype='float64'."
        raise InvalidValueError(msg)


def check_lengths(X: Array, y: Array, *, name: str = "y") -> None:
    """Check that there is one label (or weight) per sample.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        The samples.
    y : array of shape (n_samples,) or (n_samples, n_classes)
        What belongs to each sample.
    name : str, default="y"
        What to call `y` in messages.

    Raises
    ------
    InvalidValueError
        If the first axes differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> check_lengths(np.ones((2, 3)), np.asarray([0, 1]))
    """
    if len(y.shape) == 0 or X.shape[0] != y.shape[0]:
        msg = (
            f"`{name}` must have one entry per sample of `X`; got shape {tuple(y.shape)} "
            f"for `X` of shape {tuple(X.shape)}. Pass arrays of the same length."
        )
        raise InvalidValueError(msg)


def check_sample_weight(sample_weight: Array, n_samples: int) -> None:
    """Check that weights are finite, not negative and not all zero.

    Parameters
    ----------
    sample_weight : array of shape (n_samples,)
        One real weight per sample.
    n_samples : int
        The number of samples.

    Raises
    ------
    InvalidTypeError
        If the weights are no array of real numbers.
    InvalidValueError
        If the shape is wrong, a weight is negative, NaN or infinite, or all weights are zero.

    Examples
    --------
    >>> import numpy as np
    >>> check_sample_weight(np.asarray([1.0, 0.0, 2.0]), 3)
    """
    name = "sample_weight"
    xp = _namespace(sample_weight, name)
    if sample_weight.ndim != 1 or sample_weight.shape[0] != n_samples:
        msg = f"`{name}` must have shape ({n_samples},), one weight per sample; got shape {tuple(sample_weight.shape)}."
        raise InvalidValueError(msg)
    if not xp.isdtype(sample_weight.dtype, ("integral", "real floating")):
        msg = f"`{name}` must hold real numbers; got dtype {sample_weight.dtype}."
        raise InvalidTypeError(msg)
    allowed = xp.logical_and(xp.isfinite(sample_weight), sample_weight >= 0)
    positive = xp.any(sample_weight > 0)
    if bool(xp.logical_and(xp.all(allowed), positive)):  # the one host read of this check
        return
    row = _first(xp.logical_not(allowed), xp)
    if row is None:
        msg = f"`{name}` must have a positive entry; got {n_samples} zeros."
        raise InvalidValueError(msg)
    msg = (
        f"`{name}` must be finite and not negative; got {_text_of(sample_weight[row])} at row {row}. "
        "Use 0 to leave a sample out."
    )
    raise InvalidValueError(msg)


def check_soft_targets(targets: Array, n_samples: int, name: str = "targets") -> None:
    """Check that each row is a probability distribution over the classes.

    Parameters
    ----------
    targets : array of shape (n_samples, n_classes)
        Probabilities: not negative, rows summing to 1 within 1e-3.
    n_samples : int
        The number of samples.
    name : str, default: "targets"
        What to call them in messages.

    Raises
    ------
    InvalidTypeError
        If the targets are no array of floats.
    InvalidValueError
        If the shape is wrong or a row is no distribution.

    Examples
    --------
    >>> import numpy as np
    >>> check_soft_targets(np.asarray([[0.9, 0.1], [0.5, 0.5]]), 2)
    """
    xp = _namespace(targets, name)
    if targets.ndim != 2 or targets.shape[0] != n_samples or targets.shape[1] < 2:
        msg = (
            f"`{name}` must have shape ({n_samples}, n_classes) with at least two classes; "
            f"got shape {tuple(targets.shape)}."
        )
        raise InvalidValueError(msg)
    if not xp.isdtype(targets.dtype, "real floating"):
        msg = f"`{name}` must hold floats; got dtype {targets.dtype}. Pass integer labels as a vector `y`."
        raise InvalidTypeError(msg)
    valid = None
    for _, chunk in _row_chunks(targets):
        chunk_is_valid = xp.all(_is_distribution(chunk, xp))
        valid = chunk_is_valid if valid is None else xp.logical_and(valid, chunk_is_valid)
    if valid is not None and not bool(valid):  # the one host read of this check
        _raise_no_distribution(targets, xp, name)


def _namespace(array: Array, name: str) -> Namespace:
    """Return the array's namespace, or say what was passed instead of an array."""
    try:
        return array_namespace(array)
    except TypeError as error:
        kind = type(array).__name__
        advice = "Pass `.toarray()` of it." if "toarray" in dir(array) else "Pass a NumPy, CuPy, PyTorch or JAX array."
        msg = f"`{name}` must be an array; got {kind}. {advice}"
        raise InvalidTypeError(msg) from error


def _row_chunks(X: Array) -> Iterator[tuple[int, Array]]:
    """Yield the first row and the view of each run of rows that is checked at once."""
    n_rows = max(1, _CHUNK_ELEMENTS // X.shape[1])
    for start in range(0, X.shape[0], n_rows):
        # The standard leaves slices past the end open.
        yield start, X[start : min(start + n_rows, X.shape[0]), :]


def _first(mask: Array, xp: Namespace) -> int | None:
    """Return the first true position of a vector; it reads from the device, so only errors use it."""
    return int(xp.argmax(xp.astype(mask, xp.int32))) if bool(xp.any(mask)) else None


def _text_of(value: Array) -> str:
    """Write a zero-dimensional array of the error path as a number."""
    number = float(value)
    return "NaN" if math.isnan(number) else f"{number:g}"


def _raise_not_finite(X: Array, name: str, xp: Namespace) -> None:
    """Find the first value that is not finite, count them all, and raise."""
    where, what, count = None, "", 0
    for start, chunk in _row_chunks(X):
        bad = xp.logical_not(xp.isfinite(chunk))
        count += int(xp.sum(xp.astype(bad, xp.int64)))
        row = _first(xp.any(bad, axis=1), xp) if where is None else None
        if row is not None:
            column = _first(bad[row, :], xp)
            where, what = f"row {start + row}, column {column}", _text_of(chunk[row, column])
    advice = (
        "Remove these samples or fill in the values" if what == "NaN" else "Scale the features, or use a wider dtype"
    )
    such = "1 such value" if count == 1 else f"{count} values are not finite"
    msg = f"`{name}` must be finite; got {what} at {where} ({such}). {advice} first."
    raise InvalidValueError(msg)


def _is_distribution(chunk: Array, xp: Namespace) -> Array:
    """Mark the rows that are distributions; NaN and infinity fail without a floating-point warning."""
    in_range = xp.logical_and(chunk >= 0.0, chunk <= 1.0 + _SUM_TOLERANCE)
    # Values out of range must not enter the sum: inf - inf and overflow would warn.
    safe = xp.where(in_range, chunk, xp.zeros_like(chunk))
    accumulator = xp.float32 if xp.finfo(chunk.dtype).bits < 32 else chunk.dtype
    off_by = xp.abs(xp.sum(safe, axis=1, dtype=accumulator) - 1.0)
    return xp.logical_and(xp.all(in_range, axis=1), off_by <= _SUM_TOLERANCE)


def _raise_no_distribution(targets: Array, xp: Namespace, name: str) -> None:
    """Find the first row that is no distribution and raise."""
    for start, chunk in _row_chunks(targets):
        row = _first(xp.logical_not(_is_distribution(chunk, xp)), xp)
        if row is None:
            continue
        values = chunk[row, :]
        allowed = xp.logical_and(xp.isfinite(values), values >= 0.0)
        column = _first(xp.logical_not(allowed), xp)
        if column is not None:
            msg = (
                f"`{name}` must be finite and not negative; "
                f"got {_text_of(values[column])} at row {start + row}, column {column}."
            )
            raise InvalidValueError(msg)
        # A Python sum cannot overflow to a warning the way an array sum can.
        total = sum(float(values[index]) for index in range(values.shape[0]))
        msg = (
            f"`{name}` must have rows that sum to 1; got {total:.6g} at row {start + row}. Divide each row by its sum."
        )
        raise InvalidValueError(msg)
