# SPDX-License-Identifier: BSD-3-Clause
"""Which heads a chunk concerns."""

import numpy as np

from softmax_xp.objectives.stacked_heads import Head
from tests.backends import load
from tests.objectives.stacked_problem import CASES, HEADS, stacked


def test_members_are_selected_and_spread_back(backend):
    objective = stacked(CASES["softmax; folds"], backend)
    stack = objective.stack(HEADS)
    values = np.arange(2.0 * len(HEADS)).reshape(2, len(HEADS), 1) + 1.0
    for chunk in objective.data.chunks:
        members = stack.members(chunk)
        assert members == tuple(number for number, head in enumerate(HEADS) if head.fold in chunk.folds)
        chosen = stack.select(backend.asarray(values), chunk)
        np.testing.assert_array_equal(backend.to_numpy(chosen), values[:, list(members)])
        spread = backend.to_numpy(stack.spread(chosen, chunk))
        inside = np.isin(np.arange(len(HEADS)), members)
        np.testing.assert_array_equal(spread, np.where(inside[None, :, None], values, 0.0))


def test_a_stack_without_members_says_so():
    objective = stacked(CASES["softmax; folds"], load("numpy"))
    stack = objective.stack([Head(0, 1.0)])
    assert {stack.members(chunk) for chunk in objective.data.chunks} == {(), (0,)}


def test_narrowing_keeps_the_order_that_is_asked_for(backend):
    objective = stacked(CASES["softmax; folds"], backend)
    stack = objective.stack(HEADS).narrowed([4, 1])
    assert len(stack) == 2
    assert stack.heads == (HEADS[4], HEADS[1])
    np.testing.assert_array_equal(backend.to_numpy(stack.l2), [HEADS[4].l2, HEADS[1].l2])


def test_the_penalty_is_that_of_the_scaled_weights_and_leaves_the_bias_alone(backend):
    objective = stacked(CASES["softmax; folds"], backend)
    rows = backend.to_numpy(objective.stack(HEADS).l2_rows)
    scale = backend.to_numpy(objective.data.scale)
    np.testing.assert_allclose(rows[:, :-1], np.asarray([head.l2 for head in HEADS])[:, None] / scale**2)
    assert (rows[:, -1] == 0.0).all()


def test_targets_of_a_chunk_have_the_weights_of_each_head(backend):
    case = CASES["softmax; bootstrap"]
    objective = stacked(case, backend)
    stack = objective.stack(HEADS)
    chunk = objective.data.chunks[0]
    targets = stack.targets(chunk, [0, 2])
    n_rows = chunk.rows.shape[0]
    expected = np.concatenate([case.counts[HEADS[0].fold][:n_rows], case.counts[HEADS[2].fold][:n_rows]])
    np.testing.assert_array_equal(backend.to_numpy(targets.weight), expected)
