# SPDX-License-Identifier: BSD-3-Clause
"""What a solver asks of an objective: one pass and one host read for each evaluation."""

import numpy as np
import pytest

from softmax_xp.solvers import SOLVERS, Certificate, Objective, Solver, contract
from softmax_xp.solvers.contract import evaluate
from tests.objectives.convex_problems import PROBLEMS, coefficients_for
from tests.objectives.convex_reference import gradient, lift, make, point_of, stacked, value
from tests.solvers.toy import Quadratic, Scripted


def test_an_evaluation_says_all_that_the_host_needs():
    objective = Quadratic([[2.0, 0.0], [0.0, 1.0]], centre=[1.0, 0.0])
    point, direction = np.asarray([[2.0], [1.0]]), np.asarray([[1.0], [-3.0]])
    now = evaluate(objective, point, direction)
    assert now.point is point
    assert (now.total, now.gradient_norm, now.estimate) == (2.5, 2.0, 1.5)
    assert now.slope == 2.0 - 3.0
    np.testing.assert_array_equal(now.gradient, [[2.0], [1.0]])
    assert all(type(number) is float for number in now[3:7])
    assert now.change is None
    assert evaluate(objective, point).slope == 0.0
    assert objective.values == 2


def test_an_evaluation_reads_the_host_once(monkeypatch):
    reads = []
    original = contract.scalars
    monkeypatch.setattr(contract, "scalars", lambda *arrays: reads.append(1) or original(*arrays))
    objective = Quadratic(np.eye(2))
    evaluate(objective, objective.start(), np.ones((2, 1)), evaluate(objective, objective.start() + 1.0))
    assert len(reads) == 2


@pytest.mark.parametrize("direction", [None, np.asarray([[1.0], [0.0]])], ids=["change", "change and slope"])
def test_an_evaluation_says_what_has_changed(direction):
    objective = Quadratic([[2.0, 0.0], [0.0, 1.0]])
    before = evaluate(objective, np.asarray([[2.0], [1.0]]))
    now = evaluate(objective, np.asarray([[3.0], [3.0]]), direction, before)
    np.testing.assert_array_equal(now.change.step, [1.0, 2.0])
    np.testing.assert_array_equal(now.change.gradient, [2.0, 2.0])
    assert now.change.product == now.change.curvature == 6.0
    assert type(now.change.curvature) is float
    assert now.slope == (0.0 if direction is None else 6.0)


def test_an_evaluation_is_the_same_in_every_library(backend):
    problem, dtype = PROBLEMS["softmax, all weights"], "float64" if backend.float64 else "float32"
    objective, dense = make(problem, backend, dtype), lift(problem, dtype)
    point = point_of(objective, backend, coefficients_for(problem))
    direction = np.random.default_rng(1).standard_normal(objective.shape).astype(dtype)
    now = evaluate(objective, point, backend.asarray(direction))
    coefficients = stacked(objective, backend, point).astype(float)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(now.total, value(dense, coefficients), rtol=tolerance)
    along = direction.astype(float).copy()
    along[:-1] /= backend.to_numpy(objective.scale)
    np.testing.assert_allclose(now.slope, np.sum(gradient(dense, coefficients) * along), rtol=10 * tolerance)


def test_a_certificate_says_what_fired_only_when_something_has():
    certificate = Certificate(0.1, 2.0, 0.3)
    assert certificate.test == "none"
    assert not certificate.at_floor


def test_protocols_tell_what_fits():
    assert all(isinstance(solver, Solver) for solver in SOLVERS.values())
    assert isinstance(Quadratic(), Objective)
    assert isinstance(Scripted([]), Solver)
    assert not isinstance(Quadratic(), Solver)
