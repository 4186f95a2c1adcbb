# SPDX-License-Identifier: BSD-3-Clause
"""Which heads a chunk concerns."""

from tests.objectives.stacked_problem import HEADS, stacked


def test_a_narrowed_stack_keeps_the_order_that_was_asked_for():
    stack = stacked().stack(HEADS).narrowed([2, 0])
    assert stack.heads == (HEADS[2], HEADS[0])
    assert len(stack) == 2


def test_members_are_the_heads_of_the_folds_of_a_chunk():
    objective = stacked()
    stack = objective.stack(HEADS)
    found = {chunk.folds: stack.members(chunk) for chunk in objective.data.chunks}
    assert found == {(0,): (0,), (1,): (1, 2)}
