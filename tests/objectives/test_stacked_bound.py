# SPDX-License-Identifier: BSD-3-Clause
"""The bounds of heads are never below the truth, and reach it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softmax_xp.objectives.stacked_heads import Head
from softmax_xp.solvers.stacked import StackedNewton
from tests.backends import load
from tests.objectives.convex_reference import Problem, gap, minimum, value
from tests.objectives.stacked_problem import CASES, COUNTS, HEADS, Case, coefficients, dense, draw, points, stacked


def bounds_of(objective, backend, at, heads):
    stack = objective.stack(heads)
    return backend.to_numpy(objective.measures(stack, objective.evaluate(stack, at, wide=True)))[2]


@pytest.mark.parametrize("size", [0.0, 0.01, 1.0, 30.0])
@pytest.mark.parametrize("name", CASES)
def test_no_bound_is_below_the_distance_from_the_minimum(name, size):
    case, backend = CASES[name], load("numpy")
    objective, drawn = stacked(case, backend), draw(case, size=size)
    found = bounds_of(objective, backend, points(objective, backend, drawn), HEADS)
    for number, head in enumerate(HEADS):
        exact = dense(case, head, kind=np.longdouble)
        optimum = minimum(dense(case, head))
        assert found[number] >= gap(exact, drawn[number].astype(np.longdouble), optimum.astype(np.longdouble))
        assert found[number] <= value(dense(case, head), drawn[number]) * (1.0 + 1e-9)  # the loss is one, too


@pytest.mark.parametrize("name", CASES)
def test_bounds_reach_zero_with_the_distance(name, backend):
    case = CASES[name]
    objective = stacked(case, backend)
    optima = [minimum(dense(case, head)) for head in HEADS]
    if any(np.abs(optimum).max() > 1e3 for optimum in optima):
        pytest.skip("a class that a fold lacks has no best bias")
    assert (bounds_of(objective, backend, points(objective, backend, optima), HEADS) <= 1e-13).all()


def test_near_the_minimum_the_bound_is_the_square_of_the_gradient():
    case, backend, head = CASES["softmax, no bias; folds"], load("numpy"), Head(0, 0.03)
    objective = stacked(case, backend)
    near = minimum(dense(case, head)) + 1e-6 * draw(case)[0]
    stack = objective.stack([head])
    _, _, bound, weights = objective.measures(stack, objective.evaluate(stack, points(objective, backend, [near])))
    np.testing.assert_allclose(bound, weights, rtol=1e-3)


def test_a_class_that_a_fold_lacks_does_not_spoil_the_bound():
    case, backend = CASES["softmax; folds"], load("numpy")
    counts = COUNTS["folds"].copy()
    counts[0, case.problem.y == 2] = 0
    lacking, head = Case(case.problem, counts), Head(0, 0.05)
    objective = stacked(lacking, backend)
    stack = objective.stack([head])
    (solution,) = StackedNewton(objective).solve(stack, objective.zeros(stack), tol=1e-9, max_iter=50)
    exact = dense(lacking, head, kind=np.longdouble)
    optimum = minimum(dense(lacking, head)).astype(np.longdouble)
    at = coefficients(objective, backend, solution.point).astype(np.longdouble)
    assert solution.status == "certified"
    assert gap(exact, at, optimum) <= solution.certificate.bound <= 1e-9


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_samples=st.integers(4, 40),
    n_features=st.integers(1, 6),
    n_classes=st.integers(2, 5),
    logarithm=st.floats(-6.0, 2.0),
    size=st.floats(0.0, 5.0),
    one_column=st.booleans(),
    weighted=st.booleans(),
    soft=st.booleans(),
)
def test_bounds_hold_for_any_problem(
    seed, n_samples, n_features, n_classes, logarithm, size, one_column, weighted, soft
):
    rng, backend = np.random.default_rng(seed), load("numpy")
    n_classes = 2 if one_column else max(n_classes, 3)
    y = rng.dirichlet(np.ones(n_classes), n_samples) if soft else rng.integers(0, n_classes, n_samples)
    weight = rng.integers(0, 4, n_samples) + (np.arange(n_samples) < 2) if weighted else None
    problem = Problem(
        rng.standard_normal((n_samples, n_features)) * np.exp(rng.standard_normal(n_features)),
        y,
        n_classes,
        one_column=one_column,
        sample_weight=None if weight is None else weight.astype(float),
        class_weight=tuple(rng.uniform(0.5, 2.0, n_classes)) if weighted else None,
    )
    counts = np.ones((2, n_samples), dtype=np.int64)
    counts[0, 2::3] = 0
    case, heads = Case(problem, counts), [Head(0, 10.0**logarithm), Head(1, 0.1)]
    objective = stacked(case, backend)
    drawn = [size * rng.standard_normal(problem.shape) for _ in heads]
    found = bounds_of(objective, backend, points(objective, backend, drawn), heads)
    for number, head in enumerate(heads):
        exact = dense(case, head, kind=np.longdouble)
        optimum = minimum(dense(case, head)).astype(np.longdouble)
        assert found[number] >= gap(exact, drawn[number].astype(np.longdouble), optimum)
