# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.data.selected_rows import SelectedRows
from softmax_xp.data.source import ArraySource, is_source, runs_of
from softmax_xp.errors import InvalidValueError

X = np.arange(60.0).reshape(20, 3)


def test_selected_rows_are_a_source():
    labels = np.arange(20)
    some = SelectedRows(ArraySource(X, labels, "mine", ("a", "b", "c"), "kind"), np.asarray([1, 4, 5, 19]))
    out = np.empty((2, 3))
    some.read_into(1, out)
    np.testing.assert_array_equal(out, X[[4, 5]])
    assert is_source(some)
    assert (some.shape, some.name, some.feature_names, some.target_name) == ((4, 3), "mine", ("a", "b", "c"), "kind")
    assert some.dtype == X.dtype
    assert some.labels.tolist() == [1, 4, 5, 19]
    assert SelectedRows(ArraySource(X), np.asarray([0])).labels is None


@pytest.mark.parametrize("index", [[], [2, 1], [1, 1], [-1, 2], [20]])
def test_selected_rows_ascend(index):
    with pytest.raises(InvalidValueError, match="`index` must hold ascending row numbers below 20, at least one"):
        SelectedRows(ArraySource(X), np.asarray(index, dtype=np.int64))


def test_runs_are_those_that_a_part_of_the_rows_meets():
    class InRuns(ArraySource):
        runs = np.asarray([0, 4, 8])

    X = np.zeros((12, 2))
    assert runs_of(ArraySource(X)) is None
    assert runs_of(SelectedRows(ArraySource(X), np.asarray([1]))) is None
    assert runs_of(InRuns(X)).tolist() == [0, 4, 8]
    assert runs_of(SelectedRows(InRuns(X), np.asarray([1, 2, 5, 6, 11]))).tolist() == [0, 2, 4]
    assert runs_of(SelectedRows(InRuns(X), np.asarray([5, 6]))).tolist() == [0]
