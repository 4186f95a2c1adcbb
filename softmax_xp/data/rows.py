# SPDX-License-Identifier: BSD-3-Clause
"""What fits ask of an ``X``, whichever of the kinds it is: dense or sparse, in memory or streamed."""

__all__ = [
    "entry_count",
    "has_sparse_rows",
    "occurring_columns",
    "place_of",
    "row_chunks",
    "row_slice",
    "select_columns",
    "select_rows",
    "take_rows",
]

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import Backend, backend_of, to_host
from softmax_xp.data import sparse
from softmax_xp.data.selected_rows import SelectedRows
from softmax_xp.data.source import SparseSource
from softmax_xp.data.sparse import bounded_slices, is_sparse
from softmax_xp.data.sparse_source import SelectedColumns
from softmax_xp.data.streamed import chunks_of, is_streamed, loaded
from softmax_xp.typing import Array

# Entries of a chunk in which columns are looked for.
_ENTRIES = 1 << 18


def place_of(X: Any) -> Backend:
    """Return the backend on which a matrix lives; a streamed one lives on the host, wherever its rows go."""
    return backend_of(np.empty(0)) if is_streamed(X) else sparse.place_of(X)


def has_sparse_rows(X: Any) -> bool:
    """Tell whether the rows of ``X`` are sparse, wherever they are."""
    return bool(X.is_sparse) if is_streamed(X) else is_sparse(X)


def row_slice(X: Any, part: slice) -> Any:
    """Return some rows; of an array, a part without a step shares its memory.

    Parameters
    ----------
    X : array, sparse array or StreamedRows, of shape (n_samples, n_features)
        A sparse one is canonical.
    part : slice
        With a start and a stop.

    Returns
    -------
    array, or sparse array, of shape (some, n_features)
        As they are stored.
    """
    if is_streamed(X):
        return X.put(X.read(part))
    return sparse.row_slice(X, part) if is_sparse(X) else X[part, :]


def row_chunks(X: Any, parts: Sequence[slice]) -> Iterator[Any]:
    """Yield one chunk of rows after the other.

    Parameters
    ----------
    X : array, sparse array or StreamedRows, of shape (n_samples, n_features)
        The rows.
    parts : sequence of slice
        Which rows each chunk has.

    Yields
    ------
    array, sparse array or StreamedChunk
        As they are stored; for :func:`softmax_xp.data.streamed.loaded`.
    """
    if is_streamed(X):
        yield from chunks_of(X, parts)
        return
    for part in parts:
        yield row_slice(X, part)


def take_rows(X: Any, index: Array, every: int = 1) -> Any:
    """Return some rows: a copy.

    Parameters
    ----------
    X : array, sparse array or StreamedRows, of shape (n_samples, n_features)
        The rows.
    index : array of int, shape (some,)
        Their numbers in the order of the answer, counted in steps of ``every``; on the device of ``X``.
    every : int, default: 1
        Of a sample of the rows.

    Returns
    -------
    array, or sparse array, of shape (some, n_features)
        As they are stored.
    """
    return X.take(index, every) if is_streamed(X) else sparse.take_rows(X, every * index)


def select_rows(X: Any, rows: NDArray[np.int64]) -> Any:
    """Return some rows: a copy, but of a streamed ``X``, which stays in its storage.

    Parameters
    ----------
    X : array, sparse array or StreamedRows, of shape (n_samples, n_features)
        The rows.
    rows : numpy.ndarray of int, shape (some,)
        Their numbers, ascending.

    Returns
    -------
    array, sparse array or StreamedRows, of shape (some, n_features)
        Of the kind of ``X``.
    """
    if is_streamed(X):
        return X.over(SelectedRows(X.source, rows))
    return take_rows(X, sparse.place_of(X).put(rows))


def occurring_columns(X: Any) -> Array:
    """Return the columns that have an entry; of a streamed ``X`` this takes a pass, which checks all rows.

    Parameters
    ----------
    X : sparse array or StreamedRows, of shape (n_samples, n_features)
        Of sparse rows.

    Returns
    -------
    array of int, shape (n_occurring,)
        Ascending; on the device of the rows.
    """
    if not is_streamed(X):
        return sparse.occurring_columns(X)
    xp = X.backend.xp
    occurs = xp.zeros(X.shape[1], dtype=xp.bool)
    for chunk in chunks_of(X, bounded_slices(X.indptr, [slice(0, X.shape[0])], _ENTRIES)):
        occurs[loaded(chunk).indices] = True
    return xp.nonzero(occurs)[0]


def select_columns(X: Any, columns: Array) -> Any:
    """Return sparse rows without columns that have no entry.

    Parameters
    ----------
    X : sparse array or StreamedRows, of shape (n_samples, n_features)
        Of sparse rows.
    columns : array of int, shape (n_occurring,)
        From :func:`occurring_columns`.

    Returns
    -------
    sparse array or StreamedRows, of shape (n_samples, n_occurring)
        Of the kind of ``X``.
    """
    if is_streamed(X):
        return X.over(SelectedColumns(cast("SparseSource", X.source), to_host(columns)))
    return sparse.select_columns(X, columns)


def entry_count(X: Any) -> int:
    """Return how many numbers a pass over ``X`` meets: all of a dense one, the stored ones of a sparse one."""
    shape: tuple[int, int] = X.shape
    if is_streamed(X) and X.is_sparse:
        return int(X.indptr[-1])
    entries: int = X.data.shape[0] if is_sparse(X) else shape[0] * shape[1]
    return entries
