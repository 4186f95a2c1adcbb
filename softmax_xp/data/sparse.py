# SPDX-License-Identifier: BSD-3-Clause
"""Sparse rows: what a fit does with the canonical form of :func:`softmax_xp.data.sparse_input.as_rows`.

A fit needs two products: ``rows @ weight`` and ``rows.T @ gradient``. SciPy makes both in compiled code that leaves the
interpreter free, so that two cores work on two chunks of rows at once; sums run over the entries of a row in their
order, and over the chunks in theirs. So on a CPU a result depends on the data alone: not on the number of threads, and
not on the form or the indices in which the matrix came. CuPy's products go to cuSPARSE, which adds in the order in
which its threads arrive: there two runs agree to rounding only.

No matrix is made dense as a whole. :func:`to_dense` is for chunks of a few rows, where there are few features.
"""

__all__ = [
    "assembled",
    "balanced_slices",
    "bounded_slices",
    "chunk_count",
    "in_float",
    "is_sparse",
    "largest_entries",
    "occurring_columns",
    "place_of",
    "row_slice",
    "select_columns",
    "spread_rows",
    "squared_entries",
    "take_rows",
    "to_dense",
]

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import Backend, array_namespace, backend_of, to_host
from softmax_xp.typing import Array

# What a row costs beside its entries, in entries: the loss of one logit takes as long as six products. Measured.
_ENTRIES_FOR_A_ROW = 6
# Each chunk makes its own part of the gradient, which has a row for each feature: writing and adding that costs about
# as much as the products with as many entries. A chunk has twelve times as many. With half of that, on 2 cores, data of
# 20000 x 47236 were cut into four instead of two, and a pass took a fifth longer.
_ENTRIES_FOR_A_FEATURE = 12
# Multiplications of a chunk, some 4 ms: with fewer, what each chunk costs apart from its work was seen.
_CHUNK_PRODUCTS = 1 << 22


def is_sparse(X: Any) -> bool:
    """Tell whether ``X`` is a sparse matrix or array of SciPy or CuPy."""
    return type(X).__module__.startswith(("scipy.sparse", "cupyx.scipy.sparse"))


def place_of(X: Any) -> Backend:
    """Return the backend on which a dense or a sparse matrix lives."""
    return backend_of(X.data if is_sparse(X) else X)


def assembled(kind: Any, parts: Sequence[Array], shape: tuple[int, int]) -> Any:
    """Return a CSR matrix of these values, columns and limits.

    The constructor would look through them, and copy a slice that is less than half of its array.
    """
    rows = kind(shape, dtype=parts[0].dtype)
    rows.data, rows.indices, rows.indptr = parts
    return rows


def row_slice(rows: Any, part: slice) -> Any:
    """Return some rows of canonical rows, which share their memory.

    SciPy's own ``rows[start:stop]`` copies.

    Parameters
    ----------
    rows : sparse array of shape (n_samples, n_features)
        From :func:`~softmax_xp.data.sparse_input.as_rows`.
    part : slice
        With a start and a stop. One with a step makes a copy.

    Returns
    -------
    sparse array of shape (some, n_features)
        As canonical as ``rows``.
    """
    if part.step not in {None, 1}:
        return rows[part, :]
    n_samples, n_features = rows.shape
    start, stop = part.start, min(part.stop, n_samples)
    if start == 0 and stop == n_samples:
        return rows
    limits = rows.indptr[start : stop + 1]
    first, last = (int(limit) for limit in to_host(limits[:: max(stop - start, 1)]))
    parts = (rows.data[first:last], rows.indices[first:last], limits - limits[0])
    return assembled(type(rows), parts, (stop - start, n_features))


def take_rows(rows: Any, index: Array) -> Any:
    """Return the rows named in ``index``, in that order, of dense or sparse data: a copy."""
    return rows[index] if is_sparse(rows) else array_namespace(rows).take(rows, index, axis=0)


def in_float(rows: Any, dtype: Any) -> Any:
    """Return canonical rows in another float, with the same indices; those that have it already as they are."""
    return rows if rows.dtype == dtype else _with_values(rows, rows.data.astype(dtype))


def squared_entries(rows: Any, scale: Array) -> Any:
    """Return canonical rows with the squares of ``rows / scale``, of which the squares alone might overflow.

    Parameters
    ----------
    rows : sparse array of shape (n_samples, n_features)
        From :func:`~softmax_xp.data.sparse_input.as_rows`.
    scale : array of shape (n_features,)
        Divides each column.

    Returns
    -------
    sparse array of shape (n_samples, n_features)
        It shares the indices.
    """
    values = rows.data / scale[rows.indices]
    values *= values
    return _with_values(rows, values)


def _with_values(rows: Any, values: Array) -> Any:
    return assembled(type(rows), (values, rows.indices, rows.indptr), rows.shape)


def largest_entries(rows: Any) -> Array:
    """Return the largest absolute value of each column of canonical rows.

    Parameters
    ----------
    rows : sparse array of shape (n_samples, n_features)
        From :func:`~softmax_xp.data.sparse_input.as_rows`.

    Returns
    -------
    array of shape (n_features,)
        Of the dtype of ``rows``; 0 for an empty column.
    """
    xp = array_namespace(rows.data)
    largest = xp.zeros(rows.shape[1], dtype=rows.dtype)
    # A maximum does not depend on the order, so that CuPy's atomic one is repeatable too.
    xp.maximum.at(largest, rows.indices, abs(rows.data))
    return largest


def occurring_columns(rows: Any) -> Array:
    """Return the numbers of the columns that have an entry, in ascending order: array of shape (n_occurring,)."""
    xp = array_namespace(rows.data)
    occurs = xp.zeros(rows.shape[1], dtype=bool)
    occurs[rows.indices] = True
    return xp.nonzero(occurs)[0]


def select_columns(rows: Any, columns: Array) -> Any:
    """Return canonical rows without the columns that are not in ``columns``, all of which are empty.

    Parameters
    ----------
    rows : sparse array of shape (n_samples, n_features)
        From :func:`~softmax_xp.data.sparse_input.as_rows`.
    columns : array of int, shape (n_occurring,)
        From :func:`occurring_columns`.

    Returns
    -------
    sparse array of shape (n_samples, n_occurring)
        It shares all but the indices.
    """
    xp = array_namespace(rows.data)
    place = xp.zeros(rows.shape[1], dtype=rows.indices.dtype)
    place[columns] = xp.arange(columns.shape[0], dtype=rows.indices.dtype)
    return assembled(type(rows), (rows.data, place[rows.indices], rows.indptr), (rows.shape[0], columns.shape[0]))


def spread_rows(values: Array, columns: Array, n_rows: int) -> Array:
    """Return ``values`` of shape (n_occurring, n) at the rows in ``columns`` of zeros of shape (n_rows, n)."""
    spread = array_namespace(values).zeros((n_rows, values.shape[1]), dtype=values.dtype)
    spread[columns, :] = values
    return spread


def to_dense(rows: Any) -> Array:
    """Write out the zeros of a few rows; dense rows stay as they are."""
    return rows.toarray() if is_sparse(rows) else rows


def balanced_slices(rows: Any, n_chunks: int) -> list[slice]:
    """Cut canonical rows on the host into chunks of about equal work.

    Parameters
    ----------
    rows : sparse array or StreamedRows, of shape (n_samples, n_features)
        From :func:`~softmax_xp.data.sparse_input.as_rows`, or of a sparse source.
        Only its row limits are looked at, so that one matrix is cut the same way always.
    n_chunks : int
        How many chunks to make. There are fewer where single rows are long.

    Returns
    -------
    list of slice
        Of consecutive rows, none of them empty, in order.
    """
    n_samples, limits = rows.shape[0], rows.indptr

    def work(row: int) -> int:
        return int(limits[row]) + _ENTRIES_FOR_A_ROW * row

    wanted = (work(n_samples) * number // n_chunks for number in range(1, n_chunks))
    bounds = sorted({0, n_samples, *(bisect_left(range(n_samples), goal, key=work) for goal in wanted)})
    return [slice(start, stop) for start, stop in pairwise(bounds)]


def bounded_slices(limits: NDArray[np.int64], parts: Sequence[slice], most: int) -> list[slice]:
    """Cut parts of sparse rows that have too many entries for memory.

    Parameters
    ----------
    limits : numpy.ndarray of int64, shape (n_samples + 1,)
        Where the rows begin among the entries.
    parts : sequence of slice
        Of consecutive rows.
    most : int
        Entries of a part; a row that has more is a part of its own.

    Returns
    -------
    list of slice
        Those with few entries as they were.

    Examples
    --------
    >>> import numpy as np
    >>> bounded_slices(np.asarray([0, 2, 4, 9, 10]), [slice(0, 4)], 4)
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    found = []
    for part in parts:
        start = part.start
        while start < part.stop:
            reached = int(np.searchsorted(limits, limits[start] + most, side="right")) - 1
            stop = min(max(reached, start + 1), part.stop)
            found.append(slice(start, stop))
            start = stop
    return found


def chunk_count(rows: Any, n_classes: int) -> int:
    """Return into how many chunks to cut canonical rows on the host: a power of two.

    Parameters
    ----------
    rows : sparse array or StreamedRows, of shape (n_samples, n_features)
        From :func:`~softmax_xp.data.sparse_input.as_rows`, or of a sparse source.
    n_classes : int
        Columns of what they are multiplied by.

    Returns
    -------
    int
        At least 1.
    """
    n_samples, n_features = rows.shape
    work = int(rows.indptr[-1]) + _ENTRIES_FOR_A_ROW * n_samples
    wanted: int = min(max(work // (_ENTRIES_FOR_A_FEATURE * n_features), 2), work * n_classes // _CHUNK_PRODUCTS)
    return 1 << (max(wanted, 1).bit_length() - 1)
