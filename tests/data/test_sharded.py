# SPDX-License-Identifier: BSD-3-Clause
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from softmax_xp.data.sharded import ShardedSource, natural_order
from softmax_xp.data.source import ArraySource
from softmax_xp.data.sparse_source import CsrArraySource
from softmax_xp.errors import InvalidValueError
from tests.data.sparse_forms import random_dense
from tests.data.test_csr_source import as_matrix

X = np.arange(30.0).reshape(10, 3)


def shards(*bounds, **options):
    limits = [0, *bounds, 10]
    return [ArraySource(X[start:stop], name=f"shard {start}", **options) for start, stop in pairwise(limits)]


@pytest.mark.parametrize("bounds", [(), (1,), (4, 5, 9), range(1, 10)])
def test_rows_run_over_the_shards(bounds):
    whole = ShardedSource(shards(*bounds))
    assert (whole.shape, whole.dtype, whole.labels) == ((10, 3), X.dtype, None)
    for start in range(10):
        for stop in range(start + 1, 11):
            out = np.empty((stop - start, 3))
            whole.read_into(start, out)
            np.testing.assert_array_equal(out, X[start:stop])


def test_names_and_labels_are_those_of_the_shards():
    parts = [
        ArraySource(X[:4], np.arange(4), "a", ("x", "y", "z"), "kind"),
        ArraySource(X[4:], np.arange(4, 10), "b", ("x", "y", "z"), "kind"),
    ]
    whole = ShardedSource(parts, "both")
    assert whole.labels.tolist() == list(range(10))
    assert (whole.feature_names, whole.target_name, whole.name) == (("x", "y", "z"), "kind", "both")
    assert ShardedSource(parts, labels=np.zeros(10)).labels.tolist() == [0.0] * 10


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ([], "must hold at least one shard; got none"),
        ([ArraySource(X, name="a"), ArraySource(X[:, :2], name="b")], "in their features; got 3 in a and 2 in b"),
        (
            [ArraySource(X, name="a"), ArraySource(X.astype("f4"), name="b")],
            "in their dtype; got float64 in a and float32 in b",
        ),
        (
            [ArraySource(X, None, "a", ("x", "y", "z")), ArraySource(X, None, "b", ("x", "z", "y"))],
            "in their feature names",
        ),
        (
            [ArraySource(X, name="a"), ArraySource(X, np.zeros(10), "b")],
            "labels in each shard or in none; got some in b, none in a",
        ),
        (
            [ArraySource(X, np.zeros(10), "a"), ArraySource(X, np.full(10, "x"), "b")],
            r"labels of one kind; got \['<U1', 'float64'\]",
        ),
    ],
)
def test_shards_that_do_not_fit_are_named(others, text):
    with pytest.raises(InvalidValueError, match=text):
        ShardedSource(others, "folder")


def test_numbers_in_names_count_as_numbers():
    names = ["b1", "a10.npy", "a9.npy", "a09.npy", "a", "10", "2"]
    assert [path.name for path in natural_order(map(Path, names))] == [
        "2",
        "10",
        "a",
        "a09.npy",
        "a9.npy",
        "a10.npy",
        "b1",
    ]


def test_sparse_shards_are_one_sparse_source():
    dense = random_dense()
    parts = [CsrArraySource(csr_array(dense[start:stop])) for start, stop in ((0, 4), (4, 5), (5, 37))]
    whole = pickle.loads(pickle.dumps(ShardedSource(parts)))
    for start in range(0, 37, 3):
        for stop in (start + 1, 5, 37):
            if start < stop:
                np.testing.assert_array_equal(as_matrix(whole, start, stop).toarray(), dense[start:stop])
    out = np.empty((9, 11))
    whole.read_into(2, out)
    np.testing.assert_array_equal(out, dense[2:11])
    assert ShardedSource([ArraySource(dense)]).limits is None
    with pytest.raises(
        InvalidValueError, match="must agree in their kind; got sparse in a sparse matrix and dense in an"
    ):
        ShardedSource([parts[0], ArraySource(dense)])


def test_runs_are_those_of_the_shards():
    class InRuns:
        name, labels, feature_names, target_name, dtype = "runs", None, None, None, np.dtype("float64")
        shape, runs = (6, 2), np.asarray([0, 4])

        def read_into(self, start, out):
            out[...] = 0.0

    plain = ArraySource(np.zeros((3, 2)))
    assert ShardedSource((plain, plain)).runs is None
    assert ShardedSource((plain, InRuns(), plain)).runs.tolist() == [0, 3, 7, 9]
