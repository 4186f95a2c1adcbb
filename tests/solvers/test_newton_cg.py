# SPDX-License-Identifier: BSD-3-Clause
"""Newton's method by conjugate gradients: how exactly it solves, and when it stops trying."""

import pickle

import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError
from softmax_xp.solvers import NewtonCG, minimise
from tests.solvers.toy import Quadratic, evaluation_at

RNG = np.random.default_rng(92)


def quadratic(size=8, condition=100.0):
    root = np.linalg.qr(RNG.standard_normal((size, size)))[0]
    return Quadratic((root * np.geomspace(1, condition, size)) @ root.T, centre=RNG.standard_normal(size))


def direction_of(objective, point, **how):
    now = evaluation_at(objective, *point)
    curvature = objective.curvature(now.point)
    direction, slope = NewtonCG(**how)._direction(curvature, curvature.metric(), now.gradient)
    np.testing.assert_allclose(slope, np.sum(direction * now.gradient), rtol=1e-12)
    return now, direction


def test_a_tight_solution_is_newtons_step():
    objective = quadratic()
    now, direction = direction_of(objective, np.zeros(8), looseness=0.0)
    np.testing.assert_allclose(now.point + direction, objective.centre, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("looseness", [0.9, 0.3, 0.01])
def test_the_residual_shrinks_to_looseness(looseness):
    objective = quadratic()
    now, direction = direction_of(objective, np.zeros(8), looseness=looseness)
    left = np.linalg.norm(objective.hessian @ direction + now.gradient) / np.linalg.norm(now.gradient)
    assert left <= looseness
    assert objective.products <= 8


def test_inner_iterations_have_a_limit():
    objective = quadratic()
    direction_of(objective, np.zeros(8), looseness=0.0, max_inner=3)
    assert objective.products == 3


def test_where_there_is_no_curvature_the_metric_decides():
    objective = Quadratic(np.zeros((3, 3)))
    objective.hessian = np.diag([0.0, 0.0, -1.0])
    now = evaluation_at(Quadratic(np.eye(3)), 1.0, 2.0, 3.0)
    curvature = objective.curvature(now.point)
    direction, _ = NewtonCG()._direction(curvature, curvature.metric(), now.gradient)
    np.testing.assert_array_equal(direction, -now.gradient)
    assert objective.products == 1


def test_a_residual_that_grows_is_no_reason_to_go_on():
    # Hardly any curvature along the gradient, and what there is turns it elsewhere: a step of 1e8.
    objective = Quadratic(np.asarray([[1e-8, 1.0], [1.0, 1e9]]))
    now = evaluation_at(Quadratic(np.eye(2)), 1.0, 0.0)
    curvature = objective.curvature(now.point)
    direction, _ = NewtonCG()._direction(curvature, curvature.metric(), now.gradient)
    np.testing.assert_array_equal(direction, -now.gradient)
    assert objective.products == 1


def test_at_the_minimum_it_stays():
    objective = Quadratic(np.eye(2))
    state = NewtonCG().init(objective, objective.start())
    with np.errstate(invalid="ignore"):  # as around every fit
        assert NewtonCG().advance(objective, state).step == 0.0


def test_reaches_the_minimum_of_a_quadratic():
    objective = quadratic(condition=1e4)
    solution = minimise(NewtonCG(), objective, objective.start(), tol=1e-14, max_iter=100)
    assert solution.converged
    np.testing.assert_allclose(solution.certified.point, objective.centre, atol=1e-6)
    assert objective.metrics == solution.n_iter


def test_is_a_value():
    assert NewtonCG(0.1) == NewtonCG(looseness=0.1) != NewtonCG()
    assert pickle.loads(pickle.dumps(NewtonCG(0.1, 5))) == NewtonCG(0.1, 5)
    for wrong in ({"looseness": 1.0}, {"looseness": -0.1}, {"max_inner": 0}):
        with pytest.raises(InvalidValueError, match=next(iter(wrong))):
            NewtonCG(**wrong)
