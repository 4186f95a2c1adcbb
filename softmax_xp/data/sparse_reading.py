# SPDX-License-Identifier: BSD-3-Clause
"""Rows of a sparse source, in the canonical form of :func:`softmax_xp.data.sparse_input.as_rows`.

A chunk shares the memory of one buffer, as a dense one does. Whether its columns ascend is found out at the first read
of each row; where they do not, or stand twice, each read sorts and adds them, in float64: then a chunk may have fewer
entries than the storage says.
"""

__all__ = ["SparseReader"]

import importlib
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import Backend
from softmax_xp.data.buffers import Buffers
from softmax_xp.data.source import SparseSource, entries_at
from softmax_xp.data.sparse import assembled
from softmax_xp.data.sparse_input import csr_type

_INT32_MAX = 2**31 - 1
# The widest number: what stands behind the columns in a buffer begins at a multiple of it.
_WIDEST = 8


@final
class SparseReader:
    """Reads rows of one source.

    Parameters
    ----------
    source : SparseSource
        Which.
    backend : Backend
        Where its rows go.

    Raises
    ------
    InvalidTypeError
        If the backend has no sparse matrices.
    """

    def __init__(self, source: SparseSource, backend: Backend) -> None:
        self.source, self.backend, self.limits = source, backend, source.limits
        self.kind = csr_type(backend)
        self._host_kind = importlib.import_module("scipy.sparse").csr_array
        self._buffers = Buffers(None)
        # One byte for each sample: whether its columns are known to ascend.
        self._is_sorted = np.zeros(source.shape[0], dtype=bool)

    def read(self, numbers: range | NDArray[np.int64]) -> Any:
        """Read some rows into memory of the host.

        Parameters
        ----------
        numbers : range or array of int, shape (some,)
            Which.

        Returns
        -------
        scipy.sparse.csr_array of shape (some, n_features)
            Canonical. Not to be written to, since its memory is used again.
        """
        if isinstance(numbers, range) and numbers.step == 1:
            return self._run(numbers.start, numbers.stop)
        index, places = np.unique(np.asarray(numbers, dtype=np.int64), return_inverse=True)
        lengths = (self.limits[1:] - self.limits[:-1])[index]
        columns, values = self._lease(int(lengths.sum()))
        entries_at(self.source, index, columns, values)
        rows = self._canonical(columns, values, np.concatenate(([0], np.cumsum(lengths))), index)
        return rows if index.shape[0] == len(numbers) and (places[1:] > places[:-1]).all() else rows[places]

    def put(self, rows: Any) -> Any:
        """Bring rows to the backend: sparse array of shape (some, n_features)."""
        if self.backend.name == "cpu":
            return rows
        with self.backend.scope():
            parts = [self.backend.put(part) for part in (rows.data, rows.indices, rows.indptr)]
            return assembled(self.kind, parts, rows.shape)

    def _run(self, start: int, stop: int) -> Any:
        """Read the rows from ``start`` to ``stop``."""
        limits = self.limits[start : stop + 1]
        columns, values = self._lease(int(limits[-1] - limits[0]))
        self.source.read_entries(start, stop, columns, values)
        return self._canonical(columns, values, limits - limits[0], slice(start, stop))

    def _lease(self, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return memory for so many columns and values, which are views of one array."""
        index = np.dtype(np.int32 if max(self.source.shape[1], count) <= _INT32_MAX else np.int64)
        begin = -(-count * index.itemsize // _WIDEST) * _WIDEST
        end = begin + count * self.source.dtype.itemsize
        # Chunks differ by some entries: rounded up by an eighth at most, the memory of one has room for the next.
        step = 1 << max(end.bit_length() - 4, 0)
        raw = self._buffers.lease((max(-(-end // step) * step, 1),), np.dtype(np.uint8))
        return raw[: count * index.itemsize].view(index), raw[begin:end].view(self.source.dtype)

    def _canonical(
        self, columns: NDArray[Any], values: NDArray[Any], limits: NDArray[np.int64], part: slice | NDArray[np.int64]
    ) -> Any:
        """Return rows whose columns ascend."""
        shape = (limits.shape[0] - 1, self.source.shape[1])
        rows = assembled(self._host_kind, (values, columns, limits.astype(columns.dtype)), shape)
        if not self._is_sorted[part].all():
            if not rows.has_canonical_format:
                rows = assembled(self._host_kind, (values.astype(np.float64), columns, rows.indptr), shape)
                rows.sum_duplicates()
                return rows
            self._is_sorted[part] = True
        rows.has_canonical_format = True
        return rows
