# SPDX-License-Identifier: BSD-3-Clause
"""A stack of heads against one objective for each head."""

import numpy as np

from tests.objectives.stacked_problem import HEADS, RNG, single, stacked


def test_values_are_those_of_single_objectives():
    objective, points = stacked(), RNG.standard_normal((3, 3, 5))
    found = objective.evaluate(objective.stack(HEADS), points)
    for number, head in enumerate(HEADS):
        own, point = single(head, points, number, objective)
        np.testing.assert_allclose(found.value[number], own.value_and_gradient(point)[0], rtol=1e-12)


def test_the_start_has_the_best_biases():
    objective = stacked()
    stack = objective.stack(HEADS)
    gradient = objective.evaluate(stack, objective.zeros(stack)).gradient
    np.testing.assert_allclose(gradient[:, :, -1], 0.0, atol=1e-15)
