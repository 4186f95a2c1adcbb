# SPDX-License-Identifier: BSD-3-Clause
"""Exact Newton steps: one for a quadratic, and quadratic convergence for the rest."""

import itertools
import pickle

import numpy as np
import pytest

from softmax_xp.solvers import NewtonCholesky, minimise
from tests.backends import load
from tests.objectives.convex_problems import PROBLEMS
from tests.objectives.convex_reference import lift, make, minimum, stacked
from tests.solvers.toy import Quadratic

NUMPY = load("numpy")


def test_one_step_minimises_a_quadratic():
    rng = np.random.default_rng(1)
    root = rng.standard_normal((5, 5))
    objective = Quadratic(root @ root.T + np.eye(5), centre=rng.standard_normal(5))
    state = NewtonCholesky().advance(objective, NewtonCholesky().init(objective, objective.start()))
    assert state.step == 1.0
    assert objective.matrices == 1
    np.testing.assert_allclose(state.evaluation.point, objective.centre, rtol=1e-10)


@pytest.mark.parametrize("name", ["softmax, all weights", "logistic, soft targets"])
def test_converges_quadratically(name):
    objective = make(PROBLEMS[name], NUMPY)
    solution = minimise(NewtonCholesky(), objective, objective.start(), tol=1e-13, max_iter=20)
    assert solution.converged
    norms = [row["gradient_norm"] for row in solution.history]
    late = [(a, b) for a, b in itertools.pairwise(norms) if 1e-5 < a < 1e-1]
    assert late
    assert all(after < before**1.5 for before, after in late)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_collinear_features_without_a_penalty_are_no_obstacle(dtype):
    rng = np.random.default_rng(2)
    X = np.round(rng.standard_normal((60, 3)) * 16) / 16
    X = np.concatenate([X, X[:, :1] + X[:, 1:2], np.ones((60, 1)), np.zeros((60, 1))], axis=1)
    y = np.argmax(X[:, :3] + rng.gumbel(size=(60, 3)), axis=1)
    problem = PROBLEMS["softmax, no penalty"].but(X=X, y=y, n_classes=3)
    objective = make(problem, NUMPY, dtype)
    solution = minimise(NewtonCholesky(), objective, objective.start(), tol=1e-7, max_iter=50)
    assert solution.converged
    fitted = stacked(objective, NUMPY, solution.certified.point)
    assert np.max(np.abs(fitted)) < 10
    reduced = minimum(lift(problem.but(X=X[:, :3])))
    dense = lift(problem)
    logits, expected = dense.X @ fitted, lift(problem.but(X=X[:, :3])).X @ reduced
    tolerance = 1e-4 if dtype == "float32" else 1e-6
    np.testing.assert_allclose(
        logits - logits.mean(axis=1, keepdims=True), expected - expected.mean(axis=1, keepdims=True), atol=tolerance
    )


def test_at_the_minimum_it_stays():
    objective = Quadratic(np.eye(2))
    state = NewtonCholesky().init(objective, objective.start())
    assert NewtonCholesky().advance(objective, state).step == 0.0


def test_is_a_value():
    assert pickle.loads(pickle.dumps(NewtonCholesky())) == NewtonCholesky()
    assert repr(NewtonCholesky()) == "NewtonCholesky()"
