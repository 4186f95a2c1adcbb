# SPDX-License-Identifier: BSD-3-Clause
"""Minibatches of samples in storage: an order that reads whole blocks, and the blocks that are at hand.

A uniformly random order would read the storage row by row. So rows are shuffled in two steps. The storage is cut into
blocks of neighbouring rows, whose order is random; and of each run of blocks, a window of 64 MB, the rows are shuffled
among themselves. Each epoch reads each block once. A batch is drawn from the random blocks of one window, not from all
rows: where neighbouring rows are alike, as in files sorted by class, it is as mixed as a sample of 64 blocks.

A row group of Parquet, or a batch of Arrow, is decoded from its beginning, so its blocks keep their order: groups come
in random order, and windows are cut from that. Groups of more than a window are windows of neighbours; write small ones
if the rows are sorted.

Data that fit in one window are shuffled as data in memory are, and give the same model.

Where a read waits, as for a disk, a thread reads the next window while this one is trained on. What the system's cache
holds, and what has to be decoded, is read by the thread that computes: a step is many short calls, and a decoder beside
them made an epoch over Parquet a tenth to a fifth longer (measured on two cores).
"""

__all__ = ["ANY_ROW", "BlockCache", "announce_epoch", "batch_of", "describe_order", "row_order"]

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from time import perf_counter, thread_time
from typing import Any, final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import to_host
from softmax_xp.data.order import epoch_order, philox
from softmax_xp.data.rows import take_rows
from softmax_xp.data.source import runs_of
from softmax_xp.data.streamed import StreamedRows, is_slow_read, is_streamed
from softmax_xp.typing import Array

# Of a block, and how many of them make a window.
_BLOCK_BYTES, _BLOCKS = 1 << 20, 64
# How an order without windows is described.
ANY_ROW = "any row"
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
    if not _has_windows(X):
        return epoch_order(seed, epoch, n_samples)
    random, windows = _windows(X, seed, epoch)
    order = np.empty(n_samples, dtype=np.int64)
    filled, block = 0, _block_rows(X)
    for blocks in windows:
        rows = (block * blocks[:, None] + np.arange(block)).reshape(-1)
        rows = rows[rows < n_samples]
        order[filled : filled + rows.shape[0]] = random.permutation(rows)
        filled += rows.shape[0]
    return order


def _has_windows(X: Any) -> bool:
    """Tell whether rows are shuffled in windows."""
    return is_streamed(X) and X.shape[0] > _block_rows(X) * _BLOCKS


def _windows(X: StreamedRows, seed: int, epoch: int) -> tuple[np.random.Generator, list[NDArray[np.int64]]]:
    """Return the blocks of each window of an epoch, and the generator that will shuffle their rows."""
    random, size = philox(seed, _FIRST_STREAM + epoch), _block_rows(X)
    n_blocks = -(-X.shape[0] // size)
    runs = runs_of(X.source)
    if runs is None:
        blocks = random.permutation(n_blocks)
    else:
        run_of_block = np.searchsorted(runs, size * np.arange(n_blocks), side="right") - 1
        blocks = np.argsort(random.permutation(runs.shape[0])[run_of_block], kind="stable")
    return random, [blocks[first : first + _BLOCKS] for first in range(0, n_blocks, _BLOCKS)]


def describe_order(X: Any) -> str:
    """Return what the order of an epoch depends on, beside seed, epoch and the number of samples.

    Parameters
    ----------
    X : array, sparse array or StreamedRows, of shape (n_samples, n_features)
        The samples.

    Returns
    -------
    str
        The same for data whose orders are the same.

    Examples
    --------
    >>> import numpy as np
    >>> describe_order(np.eye(3))
    'any row'
    """
    if not _has_windows(X):
        return ANY_ROW
    runs = runs_of(X.source)
    return f"{_BLOCKS} blocks of {_block_rows(X)} rows" + ("" if runs is None else f" {crc32(runs.tobytes()):08x}")


def announce_epoch(X: Any, seed: int, epoch: int) -> None:
    """Say which order :func:`batch_of` will be asked for next, so that storage can be read ahead.

    Parameters
    ----------
    X : array, sparse array or StreamedRows, of shape (n_samples, n_features)
        The samples. Nothing happens for those in memory.
    seed : int
        Of the fit.
    epoch : int
        Counted from 0; that after the one announced before, or a first one.
    """
    if _has_windows(X):
        X.cache = X.cache or BlockCache(X)
        X.cache.announce(_windows(X, seed, epoch)[1])


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
        self.windows: deque[frozenset[int]] = deque()  # the one that is being used, and those that come
        self.coming: dict[int, Future[NDArray[Any]]] = {}
        self.is_ahead, self.is_slow = False, rows.uploads is not None

    def announce(self, windows: list[NDArray[np.int64]]) -> None:
        """Note which blocks will be asked for together, after those that were announced before."""
        self.windows.extend(frozenset(blocks.tolist()) for blocks in windows)

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
            future = self.coming.pop(number, None)
            # What the thread has not begun is not waited for.
            found = self._read(number) if future is None or future.cancel() else future.result()
            self._look_ahead(number)
        self.blocks[number] = found
        return found

    def _look_ahead(self, number: int) -> None:
        """Let a thread read the window after the one that a new block belongs to, if it has not begun to."""
        if len(self.windows) > 1 and number in self.windows[1]:
            self.windows.popleft()
            self.is_ahead = False
        if not self.is_slow or self.is_ahead or len(self.windows) < 2 or number not in self.windows[0]:
            return
        self.is_ahead = True
        # Its thread lives no longer than it has to read: none is left for a fork to meet.
        pool = ThreadPoolExecutor(1, thread_name_prefix="softmax_xp-read")
        for each in sorted(self.windows[1] - self.blocks.keys() - self.coming.keys()):
            self.coming[each] = pool.submit(self._read, each)
        pool.shutdown(wait=False)

    def _read(self, number: int) -> NDArray[Any]:
        """Read a block."""
        begin, worked, start = perf_counter(), thread_time(), number * self.block
        found: NDArray[Any] = self.rows.read(slice(start, min(start + self.block, self.rows.shape[0])))
        # As long as the last read waited the next one is expected to wait.
        waited = perf_counter() - begin - (thread_time() - worked)
        self.is_slow = self.rows.uploads is not None or is_slow_read(found.nbytes, waited)
        return found


def _block_rows(rows: StreamedRows) -> int:
    """Return how many rows a block has."""
    return max(_BLOCK_BYTES // (rows.shape[1] * rows.source.dtype.itemsize), 1)
