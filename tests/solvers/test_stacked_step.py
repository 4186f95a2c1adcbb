# SPDX-License-Identifier: BSD-3-Clause
"""What the steps of a stack are made of."""

from types import SimpleNamespace

import numpy as np
import pytest

from softmax_xp.solvers.stacked_step import directions_of, dots, replaced, taken


def test_products_are_those_of_each_head():
    left, right = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    np.testing.assert_allclose(dots(left, right), np.einsum("chr,chr->h", left, right), rtol=1e-12)


def test_taken_heads_go_back_to_their_places():
    values = np.arange(8.0).reshape(2, 4, 1)
    some = taken(values, [1, 3])
    np.testing.assert_array_equal(some, values[:, [1, 3]])
    expected = values.copy()
    expected[:, [1, 3]] *= 10
    np.testing.assert_array_equal(replaced(values, some * 10, {1: 0, 3: 1}), expected)


@pytest.mark.parametrize(("steepest", "is_lost"), [(2.0, False), (1e4, True)])
def test_a_residual_that_grows_ends_the_products_after_one_step_of_descent(steepest, is_lost):
    bend = np.asarray([[[1.0, steepest]]])

    class Curvature:
        dtype = np.dtype("float64")

        def product(self, direction):
            return bend * direction

        def narrowed(self, heads):
            return self

    problem, metric = SimpleNamespace(has_bias=False), SimpleNamespace(solve=lambda residual: residual)
    gradient = np.asarray([[[1.0, 0.01]]])
    found = directions_of(problem, Curvature(), metric, gradient, settled=[False], looseness=1e-6, max_inner=20)
    assert found.is_lost == is_lost
    if is_lost:
        assert found.products == 1
        assert dots(found.direction, gradient)[0] < 0.0  # a misfit metric's first step is descent all the same
    else:
        np.testing.assert_allclose(found.direction, -gradient / bend, rtol=1e-6)
