# SPDX-License-Identifier: BSD-3-Clause
"""Hessian products of a stack against differences of its gradients."""

import numpy as np

from tests.objectives.stacked_problem import HEADS, RNG, stacked


def test_products_are_differences_of_gradients():
    objective, points = stacked(), 0.3 * RNG.standard_normal((3, 3, 5))
    stack, direction, step = objective.stack(HEADS), RNG.standard_normal((3, 3, 5)), 1e-6
    product = objective.curvature(stack, objective.evaluate(stack, points)).product(direction)
    ahead, behind = (objective.evaluate(stack, points + sign * step * direction).gradient for sign in (1, -1))
    np.testing.assert_allclose(product, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)
