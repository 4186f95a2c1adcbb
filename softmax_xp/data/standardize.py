# SPDX-License-Identifier: BSD-3-Clause
"""Centre features and scale them to unit variance."""

__all__ = ["Standardization", "fit_standardization"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from array_api_compat import device
from numpy.typing import NDArray

from softmax_xp.backend import array_namespace
from softmax_xp.data.source import Source, is_source
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.typing import Array

# A chunk of rows takes at most this many bytes as float64 (a single longer row aside).
_CHUNK_BYTES = 1 << 22


@final
@dataclass(frozen=True, slots=True, eq=False)
class Standardization:
    """Map features to ``(X - mean) / scale``.

    Parameters
    ----------
    mean : float64 array of shape (n_features,)
        What is subtracted; kept on the host as a read-only copy.
    scale : float64 array of shape (n_features,)
        What the difference is divided by; positive.

    Raises
    ------
    InvalidValueError
        If the shapes differ, a value is not finite, or a scale is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> Standardization([1.0, 2.0], [1.0, 4.0]).apply(np.asarray([[2.0, 10.0]]))
    array([[1., 2.]])
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Take private read-only copies and check them."""
        mean, scale = (np.array(value, dtype=np.float64) for value in (self.mean, self.scale))
        if mean.ndim != 1 or mean.shape != scale.shape:
            msg = f"`mean` and `scale` must have one shape (n_features,); got {mean.shape} and {scale.shape}."
            raise InvalidValueError(msg)
        if not np.isfinite(mean).all():
            msg = f"`mean` must be finite; got {mean[~np.isfinite(mean)][0]} in column {np.argmin(np.isfinite(mean))}."
            raise InvalidValueError(msg)
        allowed = np.isfinite(scale) & (scale > 0)
        if not allowed.all():
            msg = f"`scale` must be finite and positive; got {scale[~allowed][0]} in column {np.argmin(allowed)}."
            raise InvalidValueError(msg)
        for name, value in (("mean", mean), ("scale", scale)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    def apply(self, X: Array) -> Array:
        """Standardize an array in its own library, on its own device and in its own float dtype.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            The samples; not written to. Integers and booleans become the library's default float dtype.

        Returns
        -------
        array of shape (n_samples, n_features)
            A new array ``(X - mean) / scale``.

        Raises
        ------
        InvalidValueError
            If `X` has another number of features.
        """
        xp = array_namespace(X)
        if X.ndim != 2 or X.shape[1] != self.mean.shape[0]:
            msg = f"`X` must have shape (n_samples, {self.mean.shape[0]}); got shape {tuple(X.shape)}."
            raise InvalidValueError(msg)
        where = device(X)
        if xp.isdtype(X.dtype, "real floating"):
            dtype = X.dtype
        else:
            dtype = xp.__array_namespace_info__().default_dtypes(device=where)["real floating"]
        # Half precision can neither hold a mean above 65504 nor subtract a large one, so it computes in float32.
        wide = xp.float32 if xp.finfo(dtype).bits < 32 else dtype
        host_dtype = np.float64 if xp.finfo(wide).bits == 64 else np.float32
        scale = self.scale.astype(host_dtype)
        scale[scale == 0] = 1.0  # a float64 scale may underflow in float32, where the feature is then constant
        result = xp.astype(X, wide, copy=False) - xp.asarray(self.mean.astype(host_dtype), dtype=wide, device=where)
        result /= xp.asarray(scale, dtype=wide, device=where)
        return xp.astype(result, dtype, copy=False)


def fit_standardization(X: Any, rows: Any = None) -> Standardization:
    """Compute the mean and the population standard deviation of each feature.

    The samples are read twice in chunks of about 4 MB, so `X` may be a memory map larger than memory.
    A feature that is constant gets the scale 1.

    Parameters
    ----------
    X : host array or Source, of shape (n_samples, n_features)
        Finite real samples of any dtype and memory order. A source is read once.
    rows : int array of shape (n_rows,), optional
        The rows to use, such as the training part of a split. By default all.

    Returns
    -------
    Standardization
        The fitted mean and scale, in float64.

    Raises
    ------
    InvalidTypeError
        If `X` is no host array of real numbers.
    InvalidValueError
        If there is no sample, or a feature holds NaN, infinity or values whose squares overflow.

    References
    ----------
    T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample variance: analysis and
    recommendations", The American Statistician, 1983 (the corrected two-pass algorithm).

    Examples
    --------
    >>> import numpy as np
    >>> fitted = fit_standardization(np.asarray([[1.0, 5.0], [3.0, 5.0]]))
    >>> fitted.mean.tolist(), fitted.scale.tolist()
    ([2.0, 5.0], [1.0, 1.0])
    """
    if is_source(X) and rows is None:
        return _in_one_pass(X)
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "biuf":
        what = f"dtype {X.dtype}" if isinstance(X, np.ndarray) else type(X).__name__
        msg = f"`X` must be a NumPy array of real numbers; got {what}."
        raise InvalidTypeError(msg)
    if X.ndim != 2 or 0 in X.shape:
        msg = f"`X` must have shape (n_samples, n_features) and not be empty; got shape {X.shape}."
        raise InvalidValueError(msg)
    if rows is not None:
        rows = np.asarray(rows)
        if rows.ndim != 1 or rows.size == 0 or rows.dtype.kind not in "iu":
            msg = f"`rows` must be row numbers, at least one; got dtype {rows.dtype} and shape {rows.shape}."
            raise InvalidValueError(msg)
    n_rows = X.shape[0] if rows is None else rows.shape[0]
    # Sums of differences from the first row neither lose the digits of a small spread around a large
    # mean nor leave a rounding residue in a constant column.
    first = X[0 if rows is None else rows[0]].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = first + sum(np.sum(chunk - first, axis=0) for chunk in _chunks(X, rows)) / n_rows
        squares = np.zeros_like(mean)
        residue = np.zeros_like(mean)
        for chunk in _chunks(X, rows):
            centred = np.subtract(chunk, mean, out=chunk)  # chunks are private copies
            residue += np.sum(centred, axis=0)
            squares += np.einsum("ij,ij->j", centred, centred)
        variance = (squares - residue * residue / n_rows) / n_rows
    return _standardization(mean, variance)


def _in_one_pass(source: Source) -> Standardization:
    """Merge the means and the sums of squares of one chunk after the other, as Chan, Golub and LeVeque do."""
    n_samples, n_features = source.shape
    step = max(1, _CHUNK_BYTES // (8 * n_features))
    count, mean, squares = 0, np.zeros(n_features), np.zeros(n_features)
    buffer = np.empty((min(step, n_samples), n_features), dtype=source.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, n_samples, step):
            rows = buffer[: min(step, n_samples - start)]
            source.read_into(start, rows)
            chunk = rows.astype(np.float64)
            first = chunk[0].copy()
            own = first + np.sum(chunk - first, axis=0) / len(chunk)
            chunk -= own
            residue = np.sum(chunk, axis=0)
            count += len(chunk)
            apart, share = own - mean, len(chunk) / count
            squares += np.einsum("ij,ij->j", chunk, chunk) - residue * residue / len(chunk)
            squares += apart * apart * ((count - len(chunk)) * share)
            mean += apart * share
    return _standardization(mean, squares / n_samples)


def _standardization(mean: NDArray[np.float64], variance: NDArray[np.float64]) -> Standardization:
    """Return the scales of these variances, where they are numbers."""
    if not np.isfinite(variance).all():
        msg = (
            "`X` must be finite with squares below 1.8e308; "
            f"got NaN, infinity or an overflow in column {np.argmin(np.isfinite(variance))}."
        )
        raise InvalidValueError(msg)
    scale = np.sqrt(np.maximum(variance, 0.0))
    scale[scale == 0] = 1.0
    return Standardization(mean, scale)


def _chunks(X: NDArray[Any], rows: NDArray[Any] | None) -> Iterator[NDArray[np.float64]]:
    """Yield private float64 copies of runs of rows."""
    n_rows = X.shape[0] if rows is None else rows.shape[0]
    step = max(1, _CHUNK_BYTES // (8 * X.shape[1]))
    for start in range(0, n_rows, step):
        chosen = slice(start, start + step) if rows is None else rows[start : start + step]
        yield np.array(X[chosen], dtype=np.float64, subok=False)
