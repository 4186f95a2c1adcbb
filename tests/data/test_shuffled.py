# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.backend import backend_of
from softmax_xp.data import shuffled
from softmax_xp.data.order import epoch_order
from softmax_xp.data.shuffled import BlockCache, batch_of, row_order
from softmax_xp.data.source import ArraySource
from softmax_xp.data.streamed import StreamedRows

N = 1003
X = np.arange(3.0 * N).reshape(N, 3)


class Counting:
    """A source that notes what is read of it."""

    name, labels, feature_names, target_name = "counted", None, None, None
    shape, dtype = X.shape, X.dtype

    def __init__(self):
        self.reads = []

    def read_into(self, start, out):
        self.reads.append((start, start + len(out)))
        out[...] = X[start : start + len(out)]


def rows_of(source=None):
    return StreamedRows(source or ArraySource(X), backend_of(X))


@pytest.fixture
def small_windows(monkeypatch):
    """Blocks of 10 rows, windows of 50."""
    monkeypatch.setattr(shuffled, "_BLOCK_BYTES", 240)
    monkeypatch.setattr(shuffled, "_BLOCKS", 5)


def test_what_fits_in_one_window_is_shuffled_as_in_memory():
    for X_ in (rows_of(), X):
        np.testing.assert_array_equal(row_order(X_, 3, 7), epoch_order(3, 7, N))


@pytest.mark.usefixtures("small_windows")
def test_each_window_is_a_few_random_blocks_in_random_order():
    order = row_order(rows_of(), 0, 0)
    assert sorted(order.tolist()) == list(range(N))
    windows = np.split(order, range(50, N, 50))
    for window in windows[:-1]:
        # The last block has 3 rows, and moves the bounds of the windows behind it.
        assert len(set((window // 10).tolist())) in {5, 6, 7, 8, 9, 10}
    assert len(set((windows[0] // 10).tolist())) == 5
    assert np.abs(np.diff(windows[0])).max() > 50  # not neighbours alone
    blocks = (windows[0] // 10).tolist()
    assert blocks != sorted(blocks)


@pytest.mark.usefixtures("small_windows")
def test_the_order_is_a_function_of_seed_and_epoch():
    rows = rows_of()
    np.testing.assert_array_equal(row_order(rows, 1, 2), row_order(rows_of(), 1, 2))
    others = [row_order(rows, seed, epoch).tolist() for seed, epoch in ((1, 2), (1, 3), (2, 2))]
    assert len({tuple(order) for order in others}) == 3
    np.testing.assert_array_equal(row_order(X, 1, 2), epoch_order(1, 2, N))  # an array is shuffled as a whole


@pytest.mark.usefixtures("small_windows")
def test_an_epoch_reads_each_block_once():
    source = Counting()
    rows = rows_of(source)
    order = row_order(rows, 0, 0)
    for start in range(0, N, 16):
        index = order[start : start + 16]
        np.testing.assert_array_equal(batch_of(rows, index), X[index])
        assert len(rows.cache.blocks) <= 2 * shuffled._BLOCKS
    assert sorted(source.reads) == [(start, min(start + 10, N)) for start in range(0, N, 10)]


@pytest.mark.usefixtures("small_windows")
def test_any_rows_can_be_taken():
    cache = BlockCache(rows_of())
    index = np.asarray([1002, 0, 500, 0, 501, 9])
    np.testing.assert_array_equal(cache.take(index), X[index])
    np.testing.assert_array_equal(batch_of(X, index), X[index])
