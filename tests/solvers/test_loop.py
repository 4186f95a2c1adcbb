# SPDX-License-Identifier: BSD-3-Clause
"""The loop around any solver: each way to end, what is remembered, and that nothing is asked twice."""

import math

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from softmax_xp.blas import blas_threads
from softmax_xp.errors import InvalidValueError
from softmax_xp.ops import linear
from softmax_xp.solvers import LBFGS, SOLVERS, Certificate, NewtonCholesky, Status, minimise
from tests.backends import load
from tests.objectives.convex_reference import Problem, make
from tests.solvers.toy import Quadratic, Scripted


def run(objective, points, *, tol=1e-6, max_iter=100, **how):
    return minimise(Scripted(points), objective, np.ones(objective.shape), tol=tol, max_iter=max_iter, **how)


def test_ends_when_the_certificate_is_below_tol():
    objective = Quadratic(1.0)
    solution = run(objective, [0.1, 1e-4, 1e-5])
    assert solution.status is Status.CERTIFIED
    assert solution.converged
    certificate = solution.certified.certificate
    assert certificate.test == "certificate"
    assert not certificate.at_floor
    np.testing.assert_allclose(certificate.bound, 0.5e-8, rtol=1e-6)
    assert solution.n_iter == 2
    assert objective.certificates == 1
    assert solution.passes == objective.passes == 4


def test_ends_when_the_gradient_is_below_tol():
    objective = Quadratic(1.0)
    solution = run(objective, [0.1, 1e-4, 1e-7, 1e-9], stopping="gradient")
    assert solution.status is Status.GRADIENT
    assert solution.converged
    assert solution.certified.certificate.test == "gradient"
    assert solution.n_iter == 3
    assert objective.certificates == 1


def test_without_a_penalty_the_gradient_ends_it():
    objective = Quadratic(1.0, penalised=False)
    solution = run(objective, [0.1, 1e-7])
    assert solution.status is Status.GRADIENT
    assert solution.certified.certificate.bound == math.inf


def test_a_point_whose_better_bias_has_a_larger_gradient_is_not_the_last(monkeypatch):
    objective = Quadratic(1.0)
    honest = objective.certificate

    def worse(point, tol):
        point, certificate = honest(point, tol)
        return point, type(certificate)(certificate.bound, certificate.value, 5.0 * certificate.gradient_norm)

    monkeypatch.setattr(objective, "certificate", lambda point, tol: type(honest(point))(*worse(point, tol)))
    solution = run(objective, [0.1, 9e-7, 6e-7, 4e-7, 1e-7], stopping="gradient")
    assert solution.status is Status.GRADIENT
    assert solution.n_iter == 5
    assert solution.certified.certificate.gradient_norm <= 1e-6


def test_an_estimate_that_promised_too_much_costs_few_certificates(monkeypatch):
    objective = Quadratic(1.0)
    honest = objective.measures
    monkeypatch.setattr(objective, "measures", lambda *given: honest(*given) * np.asarray([1.0, 1.0, 1e-3]))
    solution = run(objective, list(np.geomspace(0.5, 1e-6, 60)), tol=1e-6)
    assert solution.status is Status.CERTIFIED
    assert solution.certified.certificate.bound <= 1e-6
    assert objective.certificates <= 4


def test_ends_at_the_start_where_that_is_good_enough():
    objective = Quadratic(1.0, centre=1.0)
    solution = run(objective, [])
    assert (solution.status, solution.n_iter, len(solution.history)) == (Status.CERTIFIED, 0, 1)


def test_ends_after_max_iter():
    objective = Quadratic(1.0)
    solution = run(objective, [0.9, 0.8, 0.7, 0.6], max_iter=3)
    assert solution.status is Status.MAX_ITER
    assert not solution.converged
    assert solution.n_iter == 3
    assert solution.certified.point[0, 0] == 0.7
    np.testing.assert_allclose(solution.certified.certificate.bound, 0.5 * 0.7**2)
    assert solution.certified.certificate.test == "none"
    assert run(objective, [0.9], max_iter=0).n_iter == 0


def test_a_callback_is_shown_each_row_and_may_end_the_fit():
    seen = []

    def report(row):
        seen.append(dict(row))
        return row["iteration"] == 2

    solution = run(Quadratic(1.0), [0.9, 0.8, 0.7], report=report)
    assert solution.status is Status.STOPPED
    assert solution.n_iter == 2
    assert solution.certified.point[0, 0] == 0.8
    assert [row["iteration"] for row in seen] == [0, 1, 2]
    np.testing.assert_equal(seen, solution.history)


def test_a_callback_cannot_undo_convergence():
    assert run(Quadratic(1.0, centre=1.0), [], report=lambda row: True).status is Status.CERTIFIED


@pytest.mark.parametrize("during", [2, 3, 4])
def test_an_interrupt_ends_with_the_last_full_iteration(during):
    objective = Quadratic(1.0)

    def interrupt():
        if objective.values == during:
            objective.before_value = lambda: None
            raise KeyboardInterrupt

    objective.before_value = interrupt
    solution = run(objective, [0.9, 0.8, 0.7, 0.6, 0.5])
    assert solution.status is Status.INTERRUPTED
    assert not solution.converged
    assert solution.n_iter == during - 1
    assert solution.certified.point[0, 0] == [0.9, 0.8, 0.7][during - 2]
    np.testing.assert_allclose(solution.certified.certificate.value, 1 + 0.5 * solution.certified.point[0, 0] ** 2)
    assert len(solution.history) == during


def test_an_interrupt_during_a_certificate_or_a_callback_is_one_too():
    objective = Quadratic(1.0)
    honest, calls = objective.certificate, []

    def certificate(point, tol):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return honest(point, tol)

    objective.certificate = certificate
    solution = run(objective, [0.5, 1e-9])
    assert solution.status is Status.INTERRUPTED
    assert solution.certified.point[0, 0] == 1e-9

    def report(row):
        raise KeyboardInterrupt

    assert run(Quadratic(1.0), [0.5], report=report).status is Status.INTERRUPTED


def test_a_solver_that_finds_no_step_is_at_the_floor():
    solution = run(Quadratic(1.0), [0.5, 0.1])
    assert solution.status is Status.FLOOR
    assert not solution.converged
    assert solution.certified.certificate.at_floor
    assert solution.certified.certificate.test == "none"
    assert solution.n_iter == 2
    assert len(solution.history) == 3
    assert solution.certified.point[0, 0] == 0.1


def test_a_floor_below_tol_is_no_failure():
    objective = Quadratic(1.0)
    objective.measures = lambda point, value, gradient: np.asarray([value, abs(gradient[0, 0]), 1.0])  # too careful
    solution = run(objective, [0.5, 1e-5])
    assert solution.status is Status.CERTIFIED
    assert solution.certified.certificate.at_floor
    assert solution.certified.certificate.test == "certificate"
    assert run(Quadratic(1.0, penalised=False), [0.5, 1e-5], tol=1e-4).status is Status.GRADIENT


def test_iterations_without_progress_end_at_the_floor_with_the_best_of_them():
    objective = Quadratic(1.0)
    honest = objective.certificate
    # Two ways to look at the same noise: the values are all 1 to rounding, the estimates are not.
    objective.measures = lambda point, value, gradient: np.asarray([value, gradient[0, 0], point[0, 0]])
    objective.certificate = lambda at, tol: honest(at, tol)._replace(certificate=Certificate(at[0, 0], 1.0, 0.0))
    noise = 1e-9 * (1.0 + np.random.default_rng(1).uniform(size=200))
    solution = run(objective, [0.1, *noise], tol=1e-30)
    assert solution.status is Status.FLOOR
    assert solution.n_iter < 30
    assert solution.certified.point[0, 0] == np.min(noise[: solution.n_iter - 1])
    assert solution.certified.certificate.bound == solution.certified.point[0, 0]


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.98])
def test_slow_progress_is_progress(rate):
    solution = run(Quadratic(1.0), list(rate ** np.arange(1, 2000)), tol=1e-12, max_iter=5000)
    assert solution.status is Status.CERTIFIED


def test_a_value_that_falls_is_progress_though_the_gradient_grows():
    # A long valley that gets steeper: -x has a slope of 1 throughout, and no certificate.
    objective = Quadratic(function=lambda x: (100.0 - x - x * x, -1.0 - 2 * x), penalised=False)
    solution = run(objective, list(np.arange(2.0, 42.0)), tol=1e-3, max_iter=40)
    assert solution.status is Status.MAX_ITER
    assert solution.certified.point[0, 0] == 41.0


def test_the_history_has_a_row_for_each_point():
    objective = Quadratic(2.0)
    solution = run(objective, [0.5, 0.25, 1e-4], tol=1e-6)
    rows = solution.history
    assert [row["iteration"] for row in rows] == [0, 1, 2, 3]
    np.testing.assert_allclose([row["value"] for row in rows], [2.0, 1.25, 1.0625, 1 + 1e-8])
    np.testing.assert_allclose([row["gradient_norm"] for row in rows], [2.0, 1.0, 0.5, 2e-4])
    assert [row["step"] for row in rows] == [1.0, 0.5, 0.5, 0.5]
    assert [row["passes"] for row in rows] == [1, 2, 3, 5]
    assert [math.isnan(row["bound"]) for row in rows] == [True, True, True, False]
    np.testing.assert_allclose(rows[-1]["bound"], 1e-8)
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert all(type(number) in {int, float} for row in rows for number in row.values())


def test_passes_are_those_of_this_fit_alone():
    objective = Quadratic(1.0)
    first, second = run(objective, [1e-9]), run(objective, [1e-9])
    assert first.passes == second.passes == 3
    assert second.history[-1]["passes"] == 3


@pytest.mark.parametrize("status", Status)
def test_each_status_says_what_it_means(status):
    assert status.message.endswith(".")
    assert str(status) == status.value
    if status in {Status.MAX_ITER, Status.FLOOR}:
        assert "`" in status.message  # what to change


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_objective_that_is_not_finite_is_an_error(value):
    with pytest.raises(InvalidValueError, match="Scale"):
        run(Quadratic(function=lambda x: (value, 0.0)), [])


def some_rows(n_samples=700):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n_samples, 5))
    y = np.argmax(X @ rng.standard_normal((5, 3)) + rng.gumbel(size=(n_samples, 3)), axis=1)
    return Problem(X, y, 3, l2=1e-3)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_runs_agree_to_the_last_bit_whatever_the_number_of_threads(monkeypatch, name, dtype):
    monkeypatch.setattr(linear, "_LEAST_CHUNK_ROWS", 64)
    monkeypatch.setattr(linear, "_CPU_ROWS_BYTES", 0)
    points, histories = [], []
    for threads in (1, 1, 2):
        with threadpool_limits(threads, user_api="blas"):
            assert blas_threads() == threads
            objective = make(some_rows(), load("numpy"), dtype)
            solution = minimise(SOLVERS[name], objective, objective.start(), tol=1e-6, max_iter=50)
        points.append(solution.certified.point)
        histories.append([[row[key] for key in ("value", "step", "passes")] for row in solution.history])
    assert solution.converged
    for point, history in zip(points[1:], histories[1:], strict=True):
        np.testing.assert_array_equal(point, points[0])
        assert history == histories[0]


def test_the_passes_of_a_small_fit_are_known():
    objective = make(some_rows(50), load("numpy"))
    solution = minimise(NewtonCholesky(), objective, objective.start(), tol=1e-8, max_iter=50)
    # One value at the start; a Hessian and a value for each iteration, all of step 1; and one certificate.
    assert solution.passes == 1 + 2 * solution.n_iter + 1
    objective = make(some_rows(50), load("numpy"))
    solution = minimise(LBFGS(), objective, objective.start(), tol=1e-2, max_iter=50)
    metric = solution.history[0]["passes"] - 1
    assert 0 < metric <= 2.0
    assert solution.n_iter < 8  # then there was one metric
    # Here the bias is as good as `tol` asks for; the gradient where it is not the best takes a product of its own.
    assert solution.passes == 1 + metric + solution.n_iter + 1.5


def test_begins_at_zero_where_the_start_is_worse_than_that():
    objective = Quadratic(np.eye(2), centre=1.0)
    far = np.full((2, 1), 100.0)
    seen = []
    minimise(
        SOLVERS["lbfgs"], objective, far, tol=1e-9, max_iter=9, worst=2.5, report=lambda row: seen.append(row["value"])
    )
    assert seen[0] == 2.0
    seen.clear()
    minimise(SOLVERS["lbfgs"], objective, far, tol=1e-9, max_iter=9, report=lambda row: seen.append(row["value"]))
    assert seen[0] == 1.0 + 99.0**2
