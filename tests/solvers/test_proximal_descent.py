# SPDX-License-Identifier: BSD-3-Clause
"""Minimising a quadratic with an L1 part: against all faces tried one after the other."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softmax_xp.solvers import proximal_descent
from softmax_xp.solvers.proximal_descent import minimise_model, proximal_step, spread
from softmax_xp.solvers.proximal_model import QuadraticModel, exact_model
from tests.backends import load

NUMPY = load("numpy")


def definite(size, *, seed, condition=10.0):
    rng = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(rng.standard_normal((size, size)))
    return vectors @ np.diag(np.geomspace(1.0, 1.0 / condition, size)) @ vectors.T


def by_products(matrix):
    return QuadraticModel(lambda direction: direction @ matrix, np.diagonal(matrix).copy())


def exact(matrix):
    return exact_model(matrix, rounding=1e-16)


def objective(matrix, point, gradient, l1, x):
    step = x - point
    return gradient @ step + step @ matrix @ step / 2 + np.sum(l1 * np.abs(x))


def best_of_all_faces(matrix, point, gradient, l1):
    """Solve the equations for each pattern of signs, and keep the best of those whose signs come out right."""
    linear = gradient - matrix @ point
    best, least = None, np.inf
    for signs in product((-1, 0, 1), repeat=len(point)):
        free = np.asarray(signs) != 0
        x = np.zeros(len(point))
        x[free] = np.linalg.solve(matrix[np.ix_(free, free)], -(linear + l1 * signs)[free])
        if np.all(x * signs >= 0) and (value := objective(matrix, point, gradient, l1, x)) < least:
            best, least = x, value
    return best


def draw(size, *, seed, condition=10.0):
    rng = np.random.default_rng(seed)
    point = rng.standard_normal(size) * (rng.uniform(size=size) < 0.7)
    return definite(size, seed=seed, condition=condition), point, rng.standard_normal(size), rng.uniform(0, 0.8, size)


@pytest.mark.parametrize("build", [by_products, exact])
@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
@pytest.mark.parametrize("seed", range(6))
def test_the_minimum_is_that_of_the_best_face(build, condition, seed):
    matrix, point, gradient, l1 = draw(5, seed=seed, condition=condition)
    x = minimise_model(build(matrix), point, gradient, l1, looseness=1e-10, max_inner=20_000)
    expected = best_of_all_faces(matrix, point, gradient, l1)
    np.testing.assert_allclose(x, expected, atol=1e-6)
    np.testing.assert_array_equal(x == 0, expected == 0)


def violation(matrix, point, gradient, l1, x):
    """Return by how much the conditions of the minimum are missed."""
    slope = gradient + matrix @ (x - point)
    return np.max(np.where(x == 0, np.maximum(np.abs(slope) - l1, 0), np.abs(slope + l1 * np.sign(x))))


@pytest.mark.parametrize("seed", range(4))
def test_equations_solve_what_gradient_steps_cannot(seed):
    matrix, point, gradient, l1 = draw(40, seed=seed, condition=1e9)
    missed = [
        violation(matrix, *start, minimise_model(build(matrix), *start, looseness=1e-9, max_inner=500))
        for build in (exact, by_products)
        for start in [(point, gradient, l1)]
    ]
    assert missed[0] < 1e-7
    assert missed[1] > 1e-4


@pytest.mark.parametrize("build", [by_products, exact])
def test_a_loose_minimum_is_below_the_start(build):
    matrix, point, gradient, l1 = draw(30, seed=5, condition=1e6)
    x = minimise_model(build(matrix), point, gradient, l1, looseness=0.5, max_inner=5)
    assert objective(matrix, point, gradient, l1, x) < objective(matrix, point, gradient, l1, point)


@pytest.mark.parametrize("build", [by_products, exact])
def test_a_minimum_is_left_where_it_is(build):
    matrix, point, _, l1 = draw(6, seed=2)
    gradient = np.where(point == 0, 0.5 * l1, -l1 * np.sign(point))
    x = minimise_model(build(matrix), point, gradient, l1, looseness=0.1, max_inner=50)
    np.testing.assert_allclose(x, point, atol=1e-12)


def test_nothing_to_do_is_no_trouble():
    empty = np.zeros(0)
    x = minimise_model(by_products(np.zeros((0, 0))), empty, empty, empty, looseness=0.1, max_inner=5)
    assert x.shape == (0,)


def test_without_a_penalty_the_equations_are_solved():
    matrix, point, gradient, _ = draw(8, seed=4, condition=1e5)
    x = minimise_model(exact(matrix), point, gradient, np.zeros(8), looseness=1e-8, max_inner=50)
    np.testing.assert_allclose(x, point - np.linalg.solve(matrix, gradient), rtol=1e-6, atol=1e-6)


def test_a_direction_that_bends_nothing_is_ended_by_the_penalty():
    """The loss does not mind a common shift; the penalty asks for that whose median is zero."""
    matrix = np.eye(3) - np.ones((3, 3)) / 3
    point, l1 = np.asarray([4.0, 5.0, 7.0]), np.full(3, 0.1)
    x = minimise_model(exact(matrix), point, np.zeros(3), l1, looseness=1e-9, max_inner=500)
    expected = minimise_model(by_products(matrix), point, np.zeros(3), l1, looseness=1e-12, max_inner=5000)
    np.testing.assert_allclose(x, expected, atol=1e-8)
    assert np.count_nonzero(x == 0) == 1


def test_all_libraries_agree(backend):
    matrix, point, gradient, l1 = draw(3, seed=1, condition=1e3)
    arrays = [backend.asarray(array) for array in (point, gradient, l1)]
    x = minimise_model(exact_model(backend.asarray(matrix), rounding=1e-16), *arrays, looseness=1e-9, max_inner=500)
    np.testing.assert_allclose(backend.to_numpy(x), best_of_all_faces(matrix, point, gradient, l1), atol=1e-7)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 3), st.floats(0.01, 3))
def test_the_step_is_the_minimum_of_its_own_model(point, slope, l1, inverse):
    def model(x):
        return slope * (x - point) + (x - point) ** 2 / (2 * inverse) + l1 * np.abs(x)

    x = proximal_step(*(np.asarray([number]) for number in (point, slope, l1, inverse)))
    nearby = x + np.asarray([-1e-3, -1e-6, 1e-6, 1e-3])
    assert np.all(model(nearby) >= model(x) - 1e-12)


def test_the_step_keeps_small_entries_beside_large_thresholds():
    """The textbook's formula would round the entry away: 1e-3 + 1e16 - 1e16."""
    x = proximal_step(np.asarray([1e-3]), np.asarray([-1.0]), np.asarray([1.0]), np.asarray([1e16]))
    np.testing.assert_array_equal(x, 1e-3)


def test_spread_puts_values_in_their_places(backend):
    mask = np.asarray([False, True, True, False, True])
    got = backend.to_numpy(spread(backend.asarray(np.asarray([1.0, 2.0, 3.0])), backend.asarray(mask)))
    np.testing.assert_array_equal(got, [0.0, 1.0, 2.0, 0.0, 3.0])
    empty = spread(backend.asarray(np.zeros(0)), backend.asarray(np.zeros(4, dtype=bool)))
    np.testing.assert_array_equal(backend.to_numpy(empty), np.zeros(4))


def test_faces_are_left_alone_when_their_equations_fail(monkeypatch):
    """A matrix of rubbish gives no finite step; the gradient steps remain."""
    matrix, point, gradient, l1 = draw(5, seed=3)
    model = exact(matrix)
    broken = QuadraticModel(model.base, model.diagonal, np.full_like(matrix, np.nan), model.ridge)
    monkeypatch.setattr(proximal_descent, "_BURST", 2000)
    x = minimise_model(broken, point, gradient, l1, looseness=1e-9, max_inner=2000)
    np.testing.assert_allclose(x, best_of_all_faces(matrix, point, gradient, l1), atol=1e-6)
