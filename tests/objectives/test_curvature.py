# SPDX-License-Identifier: BSD-3-Clause
"""The Hessian as products: against its definition and against differences of the gradient."""

import numpy as np
import pytest

from softmax_xp.backend import backend_of
from tests.backends import load
from tests.objectives.convex_problems import coefficients_for
from tests.objectives.convex_reference import make, point_of, scaled_hessian

NUMPY = load("numpy")


def check_the_product(problem, backend, dtype):
    objective, coefficients = make(problem, backend, dtype), coefficients_for(problem)
    direction = np.random.default_rng(1).standard_normal(objective.shape)
    curvature = objective.curvature(point_of(objective, backend, coefficients))
    expected = scaled_hessian(objective, backend, problem, coefficients, dtype) @ direction.T.ravel()
    expected = expected.reshape(direction.shape[::-1]).T
    for _ in range(2):  # the second time from kept probabilities
        got = curvature.product(backend.asarray(direction.astype(dtype)))
        tolerance = 2e-5 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(backend.to_numpy(got), expected, rtol=tolerance, atol=tolerance / 10)
        assert str(backend.to_numpy(got).dtype) == dtype
        assert backend_of(got) == objective.backend


@pytest.mark.parametrize("rows", [7, 1000])
def test_a_product_is_that_of_the_definition(in_chunks, problem, rows):
    for keep in (True, False):
        in_chunks(rows, keep=keep)
        for dtype in ("float32", "float64"):
            check_the_product(problem, NUMPY, dtype)


def test_a_product_is_the_same_in_every_library(backend, dtype, in_chunks, typical):
    in_chunks(16)
    check_the_product(typical, backend, dtype)


def test_a_product_is_the_derivative_of_the_gradient(problem):
    objective = make(problem, NUMPY)
    point = point_of(objective, NUMPY, coefficients_for(problem))
    direction = np.random.default_rng(2).standard_normal(objective.shape)
    above, below = (objective.value_and_gradient(point + sign * 1e-5 * direction)[1] for sign in (1, -1))
    product = objective.curvature(point).product(direction)
    np.testing.assert_allclose(product, (above - below) / 2e-5, rtol=1e-6, atol=1e-9)
