# SPDX-License-Identifier: BSD-3-Clause
import gc
import threading
import time

import numpy as np
import pytest
from scipy.sparse import csr_array

from softmax_xp.backend import backend_of, to_host
from softmax_xp.data import streamed
from softmax_xp.data.source import ArraySource
from softmax_xp.data.sparse_source import CsrArraySource
from softmax_xp.data.streamed import StreamedRows, chunks_of, is_streamed, loaded
from softmax_xp.devices import get_backend
from softmax_xp.errors import InvalidValueError
from tests.data.sparse_forms import random_dense

X = np.arange(60, dtype=np.float32).reshape(20, 3)
PARTS = [slice(start, start + 4) for start in range(0, 20, 4)]


class Watched:
    """A source that notes what is read, and by which thread."""

    name, labels, feature_names, target_name = "watched", None, None, None

    def __init__(self, X=X, delay=0.0):
        self.X, self.shape, self.dtype, self.delay = X, X.shape, X.dtype, delay
        self.reads, self.threads = [], []

    def read_into(self, start, out):
        time.sleep(self.delay)
        self.reads.append((start, start + len(out)))
        self.threads.append(threading.current_thread().name)
        out[...] = self.X[start : start + len(out)]


def streamed_rows(source=None, backend="cpu", **options):
    return StreamedRows(source or ArraySource(X), get_backend(backend), **options)


def test_it_has_the_shape_of_an_array():
    rows = streamed_rows()
    assert is_streamed(rows)
    assert not is_streamed(X)
    assert (rows.shape, rows.ndim, rows.dtype) == ((20, 3), 2, np.float32)
    assert repr(rows) == "StreamedRows('an array', shape=(20, 3), dtype=float32)"


@pytest.mark.parametrize("part", [slice(0, 20), slice(3, 9), slice(1, 18, 5), slice(18, 99), np.asarray([4, 0, 4])])
def test_rows_are_read_and_not_to_be_written_to(part):
    rows = streamed_rows().read(part)
    np.testing.assert_array_equal(rows, X[part])
    assert rows.flags.c_contiguous
    assert not rows.flags.writeable


def test_chunks_are_the_parts_in_order():
    chunks = list(chunks_of(streamed_rows(), PARTS))
    assert [chunk.shape for chunk in chunks] == [(4, 3)] * 5
    for part, chunk in zip(PARTS, chunks, strict=True):
        np.testing.assert_array_equal(loaded(chunk), X[part])
    np.testing.assert_array_equal(loaded(streamed_rows()), X)
    assert loaded(X) is X


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [1, 0, 3, 2, 4], [4, 0], [2, 2]])
def test_any_order_of_questions_is_answered(order):
    chunks = list(chunks_of(streamed_rows(Watched(delay=0.001)), PARTS))
    for number in order:
        np.testing.assert_array_equal(chunks[number].get(), X[PARTS[number]])


def test_what_nobody_asks_for_is_not_read():
    source = Watched()
    assert len(list(chunks_of(streamed_rows(source), PARTS))) == 5
    assert source.reads == []


def test_what_comes_fast_is_read_by_whoever_computes(monkeypatch):
    monkeypatch.setattr(streamed, "_PAUSE_SECONDS", 1.0)
    source = Watched()
    for chunk in chunks_of(streamed_rows(source), PARTS):
        chunk.get()
    assert source.reads == [(part.start, part.stop) for part in PARTS]
    assert set(source.threads) == {"MainThread"}


def test_after_a_slow_chunk_the_next_are_read_by_a_thread_of_their_own_each_once():
    source = Watched(delay=0.005)
    chunks = chunks_of(streamed_rows(source), PARTS)
    for part, chunk in zip(PARTS, chunks, strict=True):
        np.testing.assert_array_equal(chunk.get(), X[part])
        time.sleep(0.03)
    assert sorted(source.reads) == [(0, 4), (4, 8), (8, 12), (12, 16), (16, 20)]
    by_thread = dict(zip(source.reads, source.threads, strict=True))
    assert [by_thread.pop((start, start + 4)) for start in (0, 4)] == ["MainThread"] * 2
    assert all(name.startswith("softmax_xp-read") for name in by_thread.values())


def test_no_more_is_read_ahead_than_said():
    source = Watched(delay=0.005)
    chunks = chunks_of(streamed_rows(source), PARTS)
    next(chunks).get()
    next(chunks).get()
    time.sleep(0.1)
    assert sorted(source.reads) == [(0, 4), (4, 8), (8, 12), (12, 16)]


def test_nobody_waits_for_a_chunk_that_the_thread_has_not_begun():
    source, released = Watched(delay=0.005), threading.Event()
    chunks = list(chunks_of(streamed_rows(source), PARTS))
    chunks[0].get()
    reads = source.read_into

    def read_into(start, out):
        if threading.current_thread().name != "MainThread":
            assert released.wait(10)
        reads(start, out)

    source.read_into = read_into
    chunks[1].get()  # the thread begins with chunk 2, and gets no further; chunk 3 waits
    np.testing.assert_array_equal(chunks[3].get(), X[12:16])
    released.set()
    np.testing.assert_array_equal(chunks[2].get(), X[8:12])
    assert dict(zip(source.reads, source.threads, strict=True))[12, 16] == "MainThread"


def test_a_pass_that_is_given_up_leaves_no_thread():
    before = set(threading.enumerate())
    chunks = chunks_of(streamed_rows(Watched(delay=0.01)), PARTS)
    first = next(chunks)
    first.get()
    first.get()
    (reader,) = [thread for thread in threading.enumerate() if thread not in before]
    chunks.close()
    reader.join(5)
    assert not reader.is_alive()
    np.testing.assert_array_equal(first.get(), X[:4])  # what is asked for all the same is read


def test_an_error_of_the_reading_thread_reaches_whoever_asks():
    bad = X.copy()
    bad[9, 1] = np.nan
    source = Watched(bad, delay=0.005)
    chunks = list(chunks_of(streamed_rows(source), PARTS))
    chunks[0].get()
    chunks[1].get()
    time.sleep(0.1)
    with pytest.raises(InvalidValueError, match="NaN at row 9, column 1"):
        chunks[2].get()
    assert source.threads[source.reads.index((8, 12))] != "MainThread"


def test_memory_is_used_again_when_nobody_looks_at_it():
    rows = streamed_rows()
    first = rows.read(slice(0, 4))
    view, address = first[1:].T, first.ctypes.data
    del first
    second = rows.read(slice(4, 8))
    np.testing.assert_array_equal(view, X[1:4].T)  # a view keeps it
    assert second.ctypes.data != address
    del view
    gc.collect()
    third = rows.read(slice(8, 12))
    assert third.ctypes.data == address
    np.testing.assert_array_equal(second, X[4:8])
    np.testing.assert_array_equal(third, X[8:12])


def test_a_pass_has_few_buffers():
    rows = streamed_rows(Watched(np.zeros((4000, 3), dtype=np.float32)))
    addresses = {chunk.get().ctypes.data for chunk in chunks_of(rows, [slice(i, i + 4) for i in range(0, 4000, 4)])}
    assert len(addresses) <= 2 + streamed._AHEAD


@pytest.mark.parametrize(("value", "text"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_the_first_read_of_a_row_checks_it(value, text):
    bad = X.copy()
    bad[13, 2] = bad[14, 0] = value
    advice = "Remove" if np.isnan(value) else "Scale"
    rows = streamed_rows(ArraySource(bad, name="X.npy"))
    rows.read(slice(0, 12))
    where = rf"row 13, column 2 of X.npy \(in the chunk of rows 12 to 15\), 2 such values in this chunk. {advice}"
    with pytest.raises(InvalidValueError, match=f"`X` must be finite; got {text} at {where}"):
        rows.read(slice(12, 16))
    with pytest.raises(InvalidValueError, match=r"row 13, column 2 of X.npy \(in the chunk of rows 1 to 19\)"):
        rows.read(slice(1, 20, 6))
    with pytest.raises(InvalidValueError, match=r"row 14, column 0"):
        rows.take(np.asarray([14, 2]))


def test_rows_are_checked_once(monkeypatch):
    rows, checks = streamed_rows(), []
    check = streamed.check_rows
    monkeypatch.setattr(streamed, "check_rows", lambda *given: checks.append(1) or check(*given))
    for part in (slice(0, 10), slice(0, 10), slice(2, 8, 3), slice(5, 20), slice(0, 20)):
        rows.read(part)
    assert len(checks) == 2
    whole_numbers = streamed_rows(ArraySource(np.zeros((3, 2), dtype=np.int16)))
    monkeypatch.setattr(streamed, "check_rows", None)
    whole_numbers.read(slice(0, 3))


def test_what_is_too_large_for_the_float_of_the_fit_is_refused():
    wide = X.astype(np.float64)
    wide[3, 1] = -1e39
    source = ArraySource(wide, name="X.npy")
    np.testing.assert_array_equal(streamed_rows(source).read(slice(0, 4)), wide[:4])
    rows = streamed_rows(source, largest=float(np.finfo(np.float32).max))
    with pytest.raises(InvalidValueError, match=r"`X` must fit float32; got -1e\+39 at row 3, column 1 of X.npy"):
        rows.read(slice(0, 4))
    assert rows.over(ArraySource(X)).largest == rows.largest


def test_rows_go_to_the_backend(backend):
    backend = backend_of(backend.asarray(np.zeros(1)))
    rows = StreamedRows(ArraySource(X), backend)
    assert rows.dtype == backend.xp.float32
    chunk = next(chunks_of(rows, [slice(2, 6)])).get()
    assert backend.owns(chunk)
    np.testing.assert_array_equal(to_host(chunk), X[2:6])
    taken = rows.take(backend.put(np.asarray([5, 1])))
    assert backend.owns(taken)
    np.testing.assert_array_equal(to_host(taken), X[[5, 1]])


@pytest.mark.parametrize("every", [2, 3, 7, 20])
def test_a_small_sample_is_read_once_and_kept(every):
    source = Watched()
    rows = streamed_rows(source)
    parts = [slice(start, min(start + 2 * every, 20), every) for start in range(0, 20, 2 * every)]
    for _ in range(3):
        found = np.concatenate([loaded(chunk) for chunk in chunks_of(rows, parts)])
        np.testing.assert_array_equal(found, X[::every])
    n_sampled = len(X[::every])
    index = np.asarray([n_sampled - 1, 0, 0])
    np.testing.assert_array_equal(rows.take(index, every), X[::every][index])
    assert sum(stop - start for start, stop in source.reads) <= 20
    assert rows.sample(every) is rows.sample(every)


def test_a_large_sample_is_read_each_time(monkeypatch):
    monkeypatch.setattr(streamed, "_SAMPLE_BYTES", 12 * 4 - 1)
    source = Watched()
    rows = streamed_rows(source)
    assert rows.sample(6) is None
    assert rows.sample(7) is not None
    for _ in range(2):
        found = [chunk.get() for chunk in chunks_of(rows, [slice(0, 12, 6), slice(12, 20, 6)])]
        np.testing.assert_array_equal(np.concatenate(found), X[::6])
    np.testing.assert_array_equal(rows.take(np.asarray([2, 1]), 6), X[[12, 6]])


DENSE = random_dense()


def sparse_rows(matrix=None, **options):
    return streamed_rows(CsrArraySource(csr_array(DENSE) if matrix is None else matrix), **options)


def test_sparse_samples_come_as_sparse_chunks():
    rows = sparse_rows()
    assert (rows.is_sparse, streamed_rows().is_sparse) == (True, False)
    assert rows.indptr.tolist() == csr_array(DENSE).indptr.tolist()
    parts = [slice(0, 5), slice(5, 6), slice(6, 37)]
    chunks = list(chunks_of(rows, parts))
    assert [chunk.shape for chunk in chunks] == [(5, 11), (1, 11), (31, 11)]
    for part, chunk in zip(parts, chunks, strict=True):
        np.testing.assert_array_equal(loaded(chunk).toarray(), DENSE[part])
    np.testing.assert_array_equal(loaded(rows).toarray(), DENSE)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(
    "parts", [[slice(0, 12, 3), slice(12, 37, 3)], [slice(0, 7, 3), slice(7, 37, 3)]], ids=["aligned", "anywhere"]
)
def test_samples_of_sparse_rows(monkeypatch, kept, parts):
    n_bytes = int(np.diff(csr_array(DENSE).indptr)[::3].sum()) * 12
    monkeypatch.setattr(streamed, "_SAMPLE_BYTES", n_bytes - (not kept))
    rows = sparse_rows()
    assert (rows.sample(3) is not None) is kept
    found = [loaded(chunk).toarray() for chunk in chunks_of(rows, parts)]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate([DENSE[part] for part in parts]))
    index = np.asarray([12, 0, 3])
    np.testing.assert_array_equal(rows.take(index, 3).toarray(), DENSE[::3][index])
    np.testing.assert_array_equal(rows.take(index).toarray(), DENSE[index])


def test_sparse_rows_are_checked_once(monkeypatch):
    bad = DENSE.copy()
    bad[13, 2] = np.nan
    with pytest.raises(InvalidValueError, match="NaN at row 13, column 2 of a sparse matrix"):
        sparse_rows(csr_array(bad)).read(slice(10, 20))
    with pytest.raises(InvalidValueError, match="`X` must fit float32; got 1.5 at row 3, column 0"):
        sparse_rows(largest=1.4).read(slice(3, 4))
    rows, checks = sparse_rows(), []
    monkeypatch.setattr(streamed, "check_entries", lambda *given: checks.append(1))
    for part in (slice(0, 10), slice(0, 10), slice(5, 20)):
        rows.read(part)
    assert len(checks) == 2


def test_slow_sparse_storage_is_read_ahead():
    source = CsrArraySource(csr_array(DENSE))

    class Slow:
        name, labels, feature_names, target_name = "slow", None, None, None
        shape, dtype, limits, threads = source.shape, source.dtype, source.limits, set()

        def read_entries(self, *given):
            time.sleep(0.005)
            self.threads.add(threading.current_thread().name)
            source.read_entries(*given)

    slow, parts = Slow(), [slice(start, start + 5) for start in range(0, 35, 5)]
    for part, chunk in zip(parts, chunks_of(streamed_rows(slow), parts), strict=True):
        np.testing.assert_array_equal(chunk.get().toarray(), DENSE[part])
        time.sleep(0.02)
    assert len(slow.threads) > 1
