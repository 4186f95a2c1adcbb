# SPDX-License-Identifier: BSD-3-Clause
from threading import current_thread, main_thread
from time import sleep, thread_time

import numpy as np
import pytest

from softmax_xp.backend import backend_of
from softmax_xp.data import shuffled
from softmax_xp.data.order import epoch_order
from softmax_xp.data.shuffled import BlockCache, announce_epoch, batch_of, describe_order, row_order
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


class Slow(Counting):
    """A source of slow reads, which notes which threads read."""

    def __init__(self):
        super().__init__()
        self.threads = []

    def read_into(self, start, out):
        self.threads.append((start // 10, current_thread() is main_thread()))
        sleep(2e-3)
        super().read_into(start, out)


def visited(rows, seed, epoch):
    """Visit an epoch in batches of 16; return its windows."""
    order = row_order(rows, seed, epoch)
    for start in range(0, N, 16):
        np.testing.assert_array_equal(batch_of(rows, order[start : start + 16]), X[order[start : start + 16]])
        sleep(4e-3)  # the step
    return [set((window // 10).tolist()) for window in np.split(order, range(50, N, 50))]


@pytest.mark.usefixtures("small_windows")
def test_a_slow_storage_is_read_one_window_ahead():
    source = Slow()
    rows = rows_of(source)
    for epoch in (0, 1):
        announce_epoch(rows, 0, epoch)
        visited(rows, 0, epoch)
        if epoch == 0:
            assert sorted(source.reads) == [(start, min(start + 10, N)) for start in range(0, N, 10)]
    by_the_caller = [block for block, is_main in source.threads if is_main]
    assert 5 <= len(by_the_caller) < 40  # the first window, that of the second epoch, and what was not in time
    assert len(rows.cache.blocks) <= 2 * shuffled._BLOCKS
    assert len(rows.cache.coming) <= shuffled._BLOCKS


@pytest.mark.usefixtures("small_windows")
def test_what_has_to_be_decoded_is_read_by_whoever_computes():
    class Decoded(Slow):
        def read_into(self, start, out):
            self.threads.append((start // 10, current_thread() is main_thread()))
            Counting.read_into(self, start, out)
            until = thread_time() + 2e-3
            while thread_time() < until:
                pass

    source = Decoded()
    rows = rows_of(source)
    announce_epoch(rows, 0, 0)
    order = row_order(rows, 0, 0)
    # Not all: waiting for a busy core looks like waiting for a disk.
    for start in range(0, N, 16):
        batch_of(rows, order[start : start + 16])
    assert sum(is_main for _, is_main in source.threads) > 0.5 * len(source.threads)


@pytest.mark.usefixtures("small_windows")
def test_a_fast_storage_is_read_by_whoever_computes(monkeypatch):
    monkeypatch.setattr(shuffled, "is_slow_read", lambda _n_bytes, _seconds: False)
    source = Slow()
    rows = rows_of(source)
    announce_epoch(rows, 0, 0)
    visited(rows, 0, 0)
    assert all(is_main for _, is_main in source.threads)


@pytest.mark.usefixtures("small_windows")
def test_an_error_of_the_reading_thread_reaches_whoever_asks():
    class Failing(Slow):
        def read_into(self, start, out):
            super().read_into(start, out)
            if current_thread() is not main_thread():
                msg = "the disk"
                raise OSError(msg)

    rows = rows_of(Failing())
    announce_epoch(rows, 0, 0)
    with pytest.raises(OSError, match="the disk"):
        visited(rows, 0, 0)


@pytest.mark.usefixtures("small_windows")
def test_what_was_not_announced_is_read_all_the_same():
    rows = rows_of(Slow())
    announce_epoch(rows, 0, 0)
    visited(rows, 5, 3)


def test_data_in_memory_need_no_announcement():
    announce_epoch(X, 0, 0)
    rows = rows_of()
    announce_epoch(rows, 0, 0)
    assert rows.cache is None


class InRuns(Counting):
    """A source whose rows are best read in runs of 100."""

    runs = np.arange(0, N, 100)


@pytest.mark.usefixtures("small_windows")
def test_blocks_of_a_run_keep_their_order_and_runs_do_not():
    rows = rows_of(InRuns())
    order = row_order(rows, 0, 0)
    assert sorted(order.tolist()) == list(range(N))
    _, windows = shuffled._windows(rows, 0, 0)
    blocks = np.concatenate(windows)
    assert sorted(blocks.tolist()) == list(range(101))
    runs = (blocks // 10).tolist()
    firsts = [run for place, run in enumerate(runs) if place == 0 or runs[place - 1] != run]
    assert sorted(firsts) == list(range(11))  # each run is visited once
    assert firsts != sorted(firsts)
    assert all(np.diff(blocks[blocks // 10 == run]).tolist() == [1] * (9 if run < 10 else 0) for run in range(11))
    for start in range(0, N, 16):
        np.testing.assert_array_equal(batch_of(rows, order[start : start + 16]), X[order[start : start + 16]])


@pytest.mark.usefixtures("small_windows")
def test_what_the_order_depends_on():
    plain, runs = describe_order(rows_of()), describe_order(rows_of(InRuns()))
    assert len({plain, runs, describe_order(X)}) == 3
    assert describe_order(rows_of(Counting())) == plain
