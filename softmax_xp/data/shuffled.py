# SPDX-License-Identifier: BSD-3-Clause
"""Minibatches of samples in storage: an order that reads whole blocks, and the blocks that are at hand.

A uniformly random order would read the storage row by row. So rows are shuffled in two steps. The storage is cut into
blocks of neighbouring rows, whose order is random; and of each run of blocks, a window of 64 MB, the rows are shuffled
among themselves. Each epoch reads each block once. A batch is drawn from the random blocks of one window, not from all
rows: where neighbouring rows are alike, as in files sorted by class, it is as mixed as a sample of 64 blocks.

Data that fit in one window are shuffled as data in memory are, and give the same model.
"""

__all__ = ["BlockCache", "batch_of", "row_order"]

from itertools import pairwise
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import to_host
from softmax_xp.data.order import epoch_order, philox
from softmax_xp.data.rows import take_rows
from softmax_xp.data.streamed import StreamedRows, is_streamed
from softmax_xp.typing import Array

# Of a block, and how many of them make a window.
_BLOCK_BYTES, _BLOCKS = 1 << 20, 64
# Generators of blocks and of their windows, beside those of `epoch_order`, which count from 2.
_FIRST_STREAM = 1 << 40


def row_order(X: Any, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order in which an epoch visits the samples: a function of seed, epoch and the data's shape.

    Parameters
    ----------
    X : array, sparse array or StreamedRows, of shape (n_samples, n_features)
        The samples.
    seed : int
        Of the fit.
    epoch : int
        Counted from 0.

    Returns
    -------
    numpy.ndarray of int64, shape (n_samples,)
        A permutation of ``0 .. n_samples - 1``; of a streamed ``X`` one within windows.
    """
    n_samples = X.shape[0]
    block = _block_rows(X) if is_streamed(X) else n_samples
    if n_samples <= block * _BLOCKS:
        return epoch_order(seed, epoch, n_samples)
    random = philox(seed, _FIRST_STREAM + epoch)
    blocks = random.permutation(-(-n_samples // block))
    order = np.empty(n_samples, dtype=np.int64)
    filled = 0
    for first in range(0, blocks.shape[0], _BLOCKS):
        starts = block * blocks[first : first + _BLOCKS, None]
        rows = (starts + np.arange(block)).reshape(-1)
        rows = rows[rows < n_samples]
        order[filled : filled + rows.shape[0]] = random.permutation(rows)
        filled += rows.shape[0]
    return order


def batch_of(X: Any, index: Array) -> Any:
    """Return the rows of a batch.

    Parameters
    ----------
    X : array, sparse array or StreamedRows, of shape (n_samples, n_features)
        The samples.
    index : array of int, shape (batch,)
        Row numbers, on the device.

    Returns
    -------
    array, or sparse array, of shape (batch, n_features)
        As they are stored.
    """
    if not is_streamed(X):
        return take_rows(X, index)
    if X.cache is None:
        X.cache = BlockCache(X)
    return X.backend.put(X.cache.take(to_host(index)))  # host: the order came from there


@final
class BlockCache:
    """The blocks that were used last: those of two windows, since a batch may end one and begin the next.

    Parameters
    ----------
    rows : StreamedRows
        Whose.
    """

    def __init__(self, rows: StreamedRows) -> None:
        self.rows, self.block = rows, _block_rows(rows)
        self.blocks: dict[int, NDArray[Any]] = {}  # the one that was used longest ago comes first

    def take(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """Return some rows.

        Parameters
        ----------
        index : numpy.ndarray of int, shape (batch,)
            Their numbers.

        Returns
        -------
        numpy.ndarray of shape (batch, n_features)
            A copy.
        """
        taken = np.empty((index.shape[0], self.rows.shape[1]), dtype=self.rows.source.dtype)
        numbers, places = np.divmod(index, self.block)
        order = np.argsort(numbers, kind="stable")
        bounds = np.flatnonzero(np.diff(numbers[order], prepend=-1, append=-1)).tolist()
        for first, last in pairwise(bounds):
            some = order[first:last]
            taken[some] = self._block(int(numbers[some[0]]))[places[some]]
        return taken

    def _block(self, number: int) -> NDArray[Any]:
        """Return a block, which is read if it is not at hand."""
        found = self.blocks.pop(number, None)
        if found is None:
            while len(self.blocks) >= 2 * _BLOCKS:
                del self.blocks[next(iter(self.blocks))]
            start = number * self.block
            found = self.rows.read(slice(start, min(start + self.block, self.rows.shape[0])))
        self.blocks[number] = found
        return found


def _block_rows(rows: StreamedRows) -> int:
    """Return how many rows a block has."""
    return max(_BLOCK_BYTES // (rows.shape[1] * rows.source.dtype.itemsize), 1)
