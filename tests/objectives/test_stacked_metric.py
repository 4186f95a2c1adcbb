# SPDX-License-Identifier: BSD-3-Clause
"""The metric of a stack is positive definite for each head."""

import numpy as np
import pytest

from tests.objectives.stacked_problem import HEADS, RNG, stacked


@pytest.mark.parametrize("thorough", [False, True])
def test_descends_for_each_head(thorough):
    objective, points = stacked(), 0.3 * RNG.standard_normal((3, 3, 5))
    stack = objective.stack(HEADS)
    evaluation = objective.evaluate(stack, points)
    solved = objective.metric(objective.curvature(stack, evaluation), thorough=thorough).solve(evaluation.gradient)
    assert (np.sum(evaluation.gradient * solved, axis=(0, 2)) > 0).all()
