# SPDX-License-Identifier: BSD-3-Clause
"""L-BFGS: its direction against the dense formula, its memory, and how often it asks for a metric."""

import pickle

import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError
from softmax_xp.solvers import LBFGS, minimise
from softmax_xp.solvers.lbfgs import LBFGSState, Pair, _direction, _scale
from tests.solvers.toy import Quadratic, evaluation_at

RNG = np.random.default_rng(91)


def hard_quadratic(size=12):
    root = np.linalg.qr(RNG.standard_normal((size, size)))[0]
    return Quadratic((root * np.geomspace(1, 1e3, size)) @ root.T, centre=RNG.standard_normal(size))


class _Shaped:
    """A metric with an inverse of its own."""

    def __init__(self, inverse, *, is_calibrated=False):
        self.inverse, self.is_calibrated = inverse, is_calibrated

    def solve(self, gradient):
        return self.inverse @ gradient


@pytest.mark.parametrize("n_pairs", [0, 1, 4])
def test_the_direction_is_that_of_the_dense_formula(n_pairs):
    size = 6
    objective = Quadratic(np.eye(size))
    inverse = np.diag(RNG.uniform(0.5, 2, size))
    hessian = 0.7 * inverse
    pairs = []
    for _ in range(n_pairs):
        step, change = RNG.standard_normal(size), RNG.standard_normal(size)
        change = change * np.sign(step @ change)
        pairs.append(Pair(step, change, 1 / (step @ change)))
        left = np.eye(size) - np.outer(step, change) / (step @ change)
        hessian = left @ hessian @ left.T + np.outer(step, step) / (step @ change)
    now = evaluation_at(objective, *RNG.standard_normal(size))
    state = LBFGSState(now, 1.0, tuple(pairs), _Shaped(inverse), 0.7, 0, 8)
    np.testing.assert_allclose(_direction(state), -hessian @ now.gradient, rtol=1e-10)


def test_the_scale_fits_the_newest_pair():
    step, change = np.asarray([1.0, 2.0]), np.asarray([3.0, 1.0])
    inverse = np.diag([2.0, 5.0])
    pairs = (Pair(change, step, 0.1), Pair(step, change, 1 / 5.0))
    np.testing.assert_allclose(_scale(pairs, _Shaped(inverse), (2, 1)), 5.0 / (change @ inverse @ change))
    assert _scale((), _Shaped(inverse), (2, 1)) == 1.0
    assert _scale(pairs, _Shaped(inverse, is_calibrated=True), (2, 1)) == 1.0


def test_reaches_the_minimum_of_a_quadratic():
    objective = hard_quadratic()
    solution = minimise(LBFGS(), objective, objective.start(), tol=1e-14, max_iter=200)
    assert solution.converged
    np.testing.assert_allclose(solution.certified.point, objective.centre, atol=1e-6)


def test_remembers_so_many_pairs_and_no_more():
    objective = hard_quadratic()
    solver = LBFGS(memory=3)
    state = solver.init(objective, objective.start())
    for iteration in range(6):
        state = solver.advance(objective, state)
        assert len(state.pairs) == min(iteration + 1, 3)
    newest = state.pairs[-1]
    np.testing.assert_allclose(newest.change, objective.hessian @ newest.step, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(newest.reciprocal * (newest.step @ newest.change), 1.0)


def test_asks_for_a_metric_ever_more_rarely():
    objective = hard_quadratic(30)
    solver = LBFGS(memory=1)
    state, made = solver.init(objective, objective.start()), []
    for iteration in range(60):
        before = objective.metrics
        state = solver.advance(objective, state)
        if objective.metrics > before:
            made.append(iteration)
    assert made == [8, 24, 56]


def test_a_pair_without_curvature_is_left_out():
    # The slope is the same everywhere: no change, no curvature.
    objective = Quadratic(function=lambda x: (-x, -1.0))
    state = LBFGS().init(objective, objective.start())
    state = LBFGS().advance(objective, state)
    assert state.step == 1.0
    assert state.pairs == ()


def test_pairs_that_mislead_are_forgotten():
    objective = Quadratic(np.eye(3), centre=1.0)
    solver = LBFGS()
    state = solver.init(objective, objective.start())
    # A pair from elsewhere, which turns the direction uphill.
    wrong = Pair(np.ones(3), -np.ones(3), -1 / 3)
    state = solver.advance(objective, state._replace(pairs=(wrong,), age=1))
    assert state.step == 1.0
    assert len(state.pairs) == 1
    np.testing.assert_allclose(state.evaluation.point, objective.centre)
    assert objective.metrics == 2


def test_where_nothing_helps_it_stays():
    objective = Quadratic(function=lambda x: (1.0 + abs(x), -1.0))  # its slope lies
    solver = LBFGS()
    state = solver.init(objective, objective.start())
    stuck = solver.advance(objective, state)
    assert stuck.step == 0.0
    assert stuck.evaluation is state.evaluation
    assert objective.metrics == 1  # the first metric was new enough


def test_is_a_value():
    assert LBFGS(5) == LBFGS(memory=5) != LBFGS()
    assert pickle.loads(pickle.dumps(LBFGS(5))) == LBFGS(5)
    assert repr(LBFGS(5)) == "LBFGS(memory=5)"
    with pytest.raises(InvalidValueError, match="memory"):
        LBFGS(0)
