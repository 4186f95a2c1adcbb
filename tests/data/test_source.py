# SPDX-License-Identifier: BSD-3-Clause
import pickle

import numpy as np
import pytest

from softmax_xp.data import source as source_module
from softmax_xp.data.npy_source import open_npy
from softmax_xp.data.selected_rows import SelectedRows
from softmax_xp.data.sharded import ShardedSource
from softmax_xp.data.source import (
    ArraySource,
    check_storage,
    fingerprint_of,
    is_source,
    rows_at,
)
from softmax_xp.errors import InvalidTypeError, InvalidValueError

X = np.arange(60.0).reshape(20, 3)


class Counting:
    """A source that notes what is read of it."""

    name, labels, feature_names, target_name = "counted", None, None, None
    shape, dtype = X.shape, X.dtype

    def __init__(self):
        self.reads = []

    def read_into(self, start, out):
        self.reads.append((start, start + len(out)))
        out[...] = X[start : start + len(out)]


def test_what_is_a_source():
    assert is_source(ArraySource(X))
    assert is_source(Counting())
    assert not is_source(X)
    assert not is_source("X.npy")


@pytest.mark.parametrize("index", [[0], [19, 0, 7, 7], [3, 4, 5], list(range(20)), list(range(0, 20, 6)), []])
@pytest.mark.parametrize(("near", "span"), [(1, 1), (24, 48), (1 << 16, 1 << 22)])
def test_rows_here_and_there(monkeypatch, index, near, span):
    monkeypatch.setattr(source_module, "_NEAR_BYTES", near)
    monkeypatch.setattr(source_module, "_SPAN_BYTES", span)
    counting, index = Counting(), np.asarray(index, dtype=np.int64)
    np.testing.assert_array_equal(rows_at(counting, index), X[index])
    longest = max((stop - start for start, stop in counting.reads), default=0)
    assert longest <= max(span // 24, 1)


def test_neighbours_are_read_together_and_in_place():
    counting, out = Counting(), np.empty((3, 3))
    assert rows_at(counting, np.asarray([4, 5, 6]), out) is out
    np.testing.assert_array_equal(out, X[4:7])
    assert counting.reads == [(4, 7)]


def test_rows_far_apart_are_read_alone(monkeypatch):
    monkeypatch.setattr(source_module, "_NEAR_BYTES", 24)
    counting = Counting()
    rows_at(counting, np.asarray([0, 1, 10, 19]))
    assert counting.reads == [(0, 2), (10, 11), (19, 20)]


def test_a_fingerprint_is_of_the_content(tmp_path):
    np.save(tmp_path / "X.npy", X)
    halves = ShardedSource([ArraySource(X[:7]), ArraySource(X[7:])])
    swapped = ArraySource(X.astype(">f8"))
    same = {fingerprint_of(source) for source in (ArraySource(X), open_npy(tmp_path / "X.npy"), halves, swapped)}
    assert len(same) == 1
    other = X.copy()
    other[19, 2] += 1
    different = {fingerprint_of(ArraySource(array)) for array in (other, X[:-1], X.astype(np.float32), X[:, :2])}
    assert len(different | same) == 5


def test_a_fingerprint_reads_few_rows():
    tall = ArraySource(np.zeros((100_000, 2)))
    assert len(fingerprint_of(tall)) == 64


def test_sources_are_pickled():
    some = SelectedRows(ArraySource(X), np.asarray([1, 3]))
    twin = pickle.loads(pickle.dumps(some))
    np.testing.assert_array_equal(rows_at(twin, np.asarray([0, 1])), X[[1, 3]])


@pytest.mark.parametrize(
    ("shape", "dtype", "error", "text"),
    [
        ((3, 2), "complex64", InvalidTypeError, "it must hold real numbers of at most 64 bits .*; got dtype complex64"),
        ((3, 2), "U3", InvalidTypeError, "got dtype <U3"),
        ((3, 2), "longdouble", InvalidTypeError, "of at most 64 bits"),
        ((3,), "f4", InvalidValueError, r"\(n_samples, n_features\), none of them 0; got shape \(3,\)"),
        ((0, 2), "f4", InvalidValueError, r"got shape \(0, 2\)"),
        ((2, 0), "f4", InvalidValueError, r"got shape \(2, 0\)"),
    ],
)
def test_only_matrices_of_numbers_are_samples(shape, dtype, error, text):
    with pytest.raises(error, match=text):
        check_storage(shape, np.dtype(dtype), "it")


def test_an_array_source_takes_arrays_alone():
    with pytest.raises(InvalidTypeError, match="`X` must be a NumPy array; got list"):
        ArraySource([[1.0]])
    with pytest.raises(InvalidValueError, match="an array must hold samples of shape"):
        ArraySource(np.zeros(3))
