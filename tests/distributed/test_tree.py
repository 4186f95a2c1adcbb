# SPDX-License-Identifier: BSD-3-Clause
from itertools import pairwise

import numpy as np
import pytest

from softmax_xp.distributed.tree import Node, TreeSum
from softmax_xp.errors import WorkerLostError


def leaves(n_shards):
    values = np.random.default_rng(n_shards).standard_normal((n_shards, 3)) * 10.0 ** np.arange(0, 12, 4)
    return [Node(0, number, number + 1, (value, None, number)) for number, value in enumerate(values)]


def sum_of(nodes, n_shards):
    tree = TreeSum(n_shards)
    for node in nodes:
        tree.add(node)
    return tree


@pytest.mark.parametrize("n_shards", [1, 2, 3, 5, 8, 13, 31])
def test_the_sum_is_the_same_bits_whoever_has_which_leaf(n_shards):
    terms, rng = leaves(n_shards), np.random.default_rng(1)
    n_samples = n_shards * (n_shards + 1) // 2
    whole = sum_of(terms, n_shards).total(n_samples)
    assert whole[1] is None
    assert whole[2] == n_shards * (n_shards - 1) // 2
    np.testing.assert_allclose(whole[0], sum(node.term[0] for node in terms), rtol=1e-10)
    for _ in range(10):
        order, cuts = rng.permutation(n_shards), np.sort(rng.integers(0, n_shards + 1, 2))
        parts = [
            sum_of([terms[number] for number in order[first:last]], n_shards)
            for first, last in pairwise([0, *cuts, n_shards])
        ]
        again = sum_of([node for part in parts for node in part.nodes()], n_shards).total(n_samples)
        assert whole[0].tobytes() == again[0].tobytes()
        assert whole[2] == again[2]


def test_neighbours_merge_into_few_nodes():
    assert len(sum_of(leaves(64)[:32], 64).nodes()) == 1
    assert len(sum_of(leaves(64)[1:63], 64).nodes()) == 10


@pytest.mark.parametrize("left_out", [0, 4])
def test_a_part_of_the_sum_never_passes_for_the_whole(left_out):
    terms = [node for node in leaves(5) if node.place != left_out]
    with pytest.raises(WorkerLostError, match=rf"15 samples once; it met {15 - left_out - 1}"):
        sum_of(terms, 5).total(15)


def test_rows_that_are_missing_within_a_shard_are_noticed():
    terms = leaves(4)
    terms[2] = terms[2]._replace(n_samples=1)
    with pytest.raises(WorkerLostError, match="10 samples once; it met 8"):
        sum_of(terms, 4).total(10)


@pytest.mark.parametrize("n_shards", [1, 2, 3, 4])
def test_a_shard_counts_once(n_shards):
    terms = leaves(n_shards)
    n_samples = sum(node.n_samples for node in terms)
    with pytest.raises(WorkerLostError, match="once"):
        sum_of([*terms, terms[-1]], n_shards).total(n_samples)
