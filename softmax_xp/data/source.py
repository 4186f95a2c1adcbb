# SPDX-License-Identifier: BSD-3-Clause
"""Samples that are read some rows at a time: what every kind of storage has in common.

A :class:`Source` knows its shape and reads any run of rows. All else is built on that: a part of the rows (see
:mod:`softmax_xp.data.selected_rows`), rows here and there (:func:`rows_at`), a fingerprint of the content. A source
holds no open file: it opens what it reads, so that it can be pickled, forked, and used by several threads at once.
"""

__all__ = [
    "ArraySource",
    "Source",
    "SparseSource",
    "check_storage",
    "entries_at",
    "fingerprint_of",
    "is_source",
    "is_sparse_source",
    "rows_at",
    "runs_of",
]

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from softmax_xp.errors import InvalidTypeError, InvalidValueError

# Rows that lie no further apart than this are read together: opening a file and asking for a row costs as much.
_NEAR_BYTES = 1 << 16
# The most bytes that are read to pick rows out of them.
_SPAN_BYTES = 1 << 22
# So many rows, evenly spread, stand for the content in a fingerprint.
_SAMPLED_ROWS = 64


@runtime_checkable
class Source(Protocol):
    """Samples in storage, read in runs of rows."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_samples, n_features)``, both at least 1."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """In which the rows are read: bool, an integer or a float, in the byte order of this machine."""
        ...

    @property
    def labels(self) -> NDArray[Any] | None:
        """As they stand in the storage, one for each sample; None where it has none."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """One for each column, where they have names."""
        ...

    @property
    def target_name(self) -> str | None:
        """What the labels are called."""
        ...

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Fill an array with a run of rows.

        Parameters
        ----------
        start : int
            The first row.
        out : numpy.ndarray of shape (some, n_features)
            C-ordered, of the dtype of the source.
        """
        ...


@runtime_checkable
class SparseSource(Source, Protocol):
    """Samples of which only the entries are stored, row by row. ``read_into`` writes out their zeros."""

    @property
    def limits(self) -> NDArray[np.int64]:
        """Where each row begins among the entries, and where the last one ends: shape (n_samples + 1,)."""
        ...

    def read_entries(self, start: int, stop: int, columns: NDArray[Any], values: NDArray[Any]) -> None:
        """Fill two arrays with the entries of a run of rows.

        Parameters
        ----------
        start, stop : int
            The first row, and the one after the last.
        columns : numpy.ndarray of int32 or int64, shape (limits[stop] - limits[start],)
            All of them at least 0 and below ``n_features``.
        values : numpy.ndarray of shape (limits[stop] - limits[start],)
            Of the dtype of the source.
        """
        ...


def is_sparse_source(source: Any) -> bool:
    """Tell whether a source is a :class:`SparseSource`."""
    return getattr(source, "limits", None) is not None


def is_source(X: Any) -> bool:
    """Tell whether ``X`` is a :class:`Source`; arrays and data frames are none."""
    return hasattr(X, "read_into") and isinstance(X, Source)


@final
@dataclass(frozen=True, slots=True, eq=False)
class ArraySource:
    """A NumPy array, or a memory map, as a source.

    Parameters
    ----------
    X : numpy.ndarray of shape (n_samples, n_features)
        Real numbers. Not copied.
    labels : numpy.ndarray of shape (n_samples,), optional
        One for each row.
    name : str, default: "an array"
        What to call it in messages.
    feature_names : tuple of str, optional
        One for each column.
    target_name : str, optional
        What the labels are called.

    Raises
    ------
    InvalidTypeError
        If `X` is no NumPy array of real numbers.
    InvalidValueError
        If it is no matrix, or empty.

    Examples
    --------
    >>> import numpy as np
    >>> source = ArraySource(np.arange(6.0).reshape(3, 2))
    >>> rows = np.empty((2, 2))
    >>> source.read_into(1, rows)
    >>> rows.tolist()
    [[2.0, 3.0], [4.0, 5.0]]
    """

    X: NDArray[Any] = field(repr=False)
    labels: NDArray[Any] | None = field(default=None, repr=False)
    name: str = "an array"
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None

    def __post_init__(self) -> None:
        """Check the array."""
        if not isinstance(self.X, np.ndarray):
            msg = f"`X` must be a NumPy array; got {type(self.X).__name__}."
            raise InvalidTypeError(msg)
        check_storage(self.X.shape, self.X.dtype, self.name)

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_samples, n_features)``."""
        return self.X.shape[0], self.X.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array, in the byte order of this machine."""
        return self.X.dtype.newbyteorder("=")

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Copy the rows from ``start`` on into ``out``."""
        out[...] = self.X[start : start + out.shape[0]]


def runs_of(source: Source) -> NDArray[np.int64] | None:
    """Return the first row of each run that is best read from its beginning on, as where the storage is compressed.

    Parameters
    ----------
    source : Source
        The samples. One that has such runs has them as ``runs``.

    Returns
    -------
    numpy.ndarray of int64, shape (n_runs,), or None
        Ascending from 0. None where any rows are read as quickly as others.

    Examples
    --------
    >>> import numpy as np
    >>> runs_of(ArraySource(np.eye(2))) is None
    True
    """
    runs: NDArray[np.int64] | None = getattr(source, "runs", None)
    return runs


def rows_at(source: Source, index: NDArray[np.int64], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Read rows here and there, in any order and as often as they are named.

    Parameters
    ----------
    source : Source
        The samples.
    index : numpy.ndarray of int, shape (some,)
        Their row numbers.
    out : numpy.ndarray of shape (some, n_features), optional
        Where to put them; by default a new array.

    Returns
    -------
    numpy.ndarray of shape (some, n_features)
        The rows, in the order of ``index``. Neighbours are read together, 4 MB at most beside the answer.
    """
    n_features = source.shape[1]
    out = np.empty((index.shape[0], n_features), dtype=source.dtype) if out is None else out
    if hasattr(source, "gather_rows"):  # run by run each would be a computation of its own
        source.gather_rows(index, out)
        return out
    order = None if (index[1:] >= index[:-1]).all() else np.argsort(index, kind="stable")
    ascending = index if order is None else index[order]
    row_bytes = n_features * source.dtype.itemsize
    for first, last in _runs(ascending, 1 + _NEAR_BYTES // row_bytes, max(_SPAN_BYTES // row_bytes, 1)):
        start, stop = int(ascending[first]), int(ascending[last - 1]) + 1
        if order is None and stop - start == last - first:
            source.read_into(start, out[first:last])
            continue
        span = np.empty((stop - start, n_features), dtype=source.dtype)
        source.read_into(start, span)
        out[slice(first, last) if order is None else order[first:last]] = span[ascending[first:last] - start]
    return out


def entries_at(source: SparseSource, index: NDArray[np.int64], columns: NDArray[Any], values: NDArray[Any]) -> None:
    """Read the entries of rows here and there.

    Parameters
    ----------
    source : SparseSource
        The samples.
    index : numpy.ndarray of int, shape (some,)
        Row numbers, ascending.
    columns, values : numpy.ndarray
        As for :meth:`SparseSource.read_entries`. Neighbours are read together, 4 MB and a row at most beside them.
    """
    limits, filled = source.limits, 0
    entry_bytes = columns.itemsize + values.itemsize
    runs = _runs(limits[index], _NEAR_BYTES // entry_bytes, max(_SPAN_BYTES // entry_bytes, 1))
    for first, last in runs:
        some = index[first:last]
        start, stop = int(some[0]), int(some[-1]) + 1
        if stop - start == last - first:
            end = filled + int(limits[stop] - limits[start])
            source.read_entries(start, stop, columns[filled:end], values[filled:end])
        else:
            count = int(limits[stop] - limits[start])
            span = np.empty(count, dtype=columns.dtype), np.empty(count, dtype=values.dtype)
            source.read_entries(start, stop, *span)
            is_asked = np.zeros(stop - start, dtype=bool)
            is_asked[some - start] = True
            keep = np.repeat(is_asked, np.diff(limits[start : stop + 1]))
            end = filled + int(np.count_nonzero(keep))
            columns[filled:end], values[filled:end] = span[0][keep], span[1][keep]
        filled = end


def _runs(ascending: NDArray[np.int64], near: int, longest: int) -> Iterator[tuple[int, int]]:
    """Cut ascending numbers where two lie further apart than ``near``, or a run would span more than ``longest``."""
    breaks = np.flatnonzero(np.diff(ascending) > near) + 1
    for first, last in zip([0, *breaks.tolist()], [*breaks.tolist(), ascending.shape[0]], strict=True):
        begin = first
        while begin < last:
            end = begin + int(np.searchsorted(ascending[begin:last], ascending[begin] + longest))
            yield begin, end
            begin = end


def fingerprint_of(source: Source) -> str:
    """Return a fingerprint of the samples: of their shape, dtype and 64 rows, evenly spread.

    The same for the same rows in any storage. It tells one data set from another; it is no proof that none of the other
    rows has changed.

    Parameters
    ----------
    source : Source
        The samples.

    Returns
    -------
    str
        64 hexadecimal digits of SHA-256.

    Examples
    --------
    >>> import numpy as np
    >>> fingerprint_of(ArraySource(np.eye(2)))[:12]
    '688538901b45'
    """
    n_samples = source.shape[0]
    index = np.unique(np.linspace(0, n_samples - 1, _SAMPLED_ROWS).round().astype(np.int64))
    little_endian = source.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{source.shape} {little_endian.str}".encode())
    digest.update(np.ascontiguousarray(rows_at(source, index), dtype=little_endian).tobytes())
    return digest.hexdigest()


def check_storage(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
    """Raise unless what is stored is a matrix of real numbers with rows and columns.

    Parameters
    ----------
    shape : tuple of int
        Of what is stored.
    dtype : numpy.dtype
        Of what is stored.
    name : str
        What to call it in messages.

    Raises
    ------
    InvalidTypeError
        For other things than real numbers.
    InvalidValueError
        For another shape, and an empty one.
    """
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        msg = f"{name} must hold real numbers of at most 64 bits as samples; got dtype {dtype}."
        raise InvalidTypeError(msg)
    if len(shape) != 2 or 0 in shape:
        msg = f"{name} must hold samples of shape (n_samples, n_features), none of them 0; got shape {tuple(shape)}."
        raise InvalidValueError(msg)
