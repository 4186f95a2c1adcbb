# SPDX-License-Identifier: BSD-3-Clause
"""The objective that convex solvers see: against its definition, in any chunks, in coordinates of any scale."""

import numpy as np
import pytest

from softmax_xp.backend import backend_of, scalars
from softmax_xp.errors import InvalidValueError
from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import ConvexObjective, LinearObjective
from softmax_xp.solvers import Objective
from softmax_xp.typing import LinearParams
from tests.backends import load
from tests.objectives.convex_problems import PROBLEMS, coefficients_for
from tests.objectives.convex_reference import gradient, lift, make, minimum, point_of, stacked, subgradient, value

NUMPY = load("numpy")


@pytest.fixture(params=["softmax, weighted soft targets", "logistic, elastic net"])
def typical(request):
    return PROBLEMS[request.param]


def check_the_definition(problem, backend, dtype):
    objective, coefficients = make(problem, backend, dtype), coefficients_for(problem)
    got, slope = objective.value_and_gradient(point_of(objective, backend, coefficients))
    dense, narrow = lift(problem, dtype), coefficients.astype(dtype).astype(float)
    scale = np.ones((objective.shape[0], 1))
    scale[: problem.X.shape[1]] = backend.to_numpy(objective.scale)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(float(backend.to_numpy(got)), value(dense, narrow, smooth=True), rtol=tolerance)
    expected = gradient(dense, narrow) / scale
    np.testing.assert_allclose(backend.to_numpy(slope), expected, rtol=tolerance, atol=tolerance / 10)
    assert str(backend.to_numpy(slope).dtype) == dtype
    assert backend_of(slope) == objective.backend


@pytest.mark.parametrize("rows", [7, 1000])
def test_value_and_gradient_are_those_of_the_definition(in_chunks, problem, rows):
    in_chunks(rows)
    for dtype in ("float32", "float64"):
        check_the_definition(problem, NUMPY, dtype)


def test_value_and_gradient_are_the_same_in_every_library(backend, dtype, in_chunks, typical):
    in_chunks(16)
    check_the_definition(typical, backend, dtype)


def test_the_gradient_is_that_of_the_value(problem):
    objective = make(problem, NUMPY)
    point = point_of(objective, NUMPY, coefficients_for(problem))
    slope = objective.value_and_gradient(point)[1]
    for place in np.ndindex(point.shape):
        moved = np.zeros_like(point)
        moved[place] = 1e-5
        above, below = (objective.value_and_gradient(point + sign * moved)[0] for sign in (1, -1))
        np.testing.assert_allclose(slope[place], (above - below) / 2e-5, rtol=1e-6, atol=1e-9)


def test_measures_are_the_objective_its_subgradient_and_an_estimate_of_the_certificate(problem):
    for dtype in ("float32", "float64"):
        check_the_measures(problem, NUMPY, dtype)


def test_measures_are_the_same_in_every_library(backend, dtype, typical):
    check_the_measures(typical, backend, dtype)


def check_the_measures(problem, backend, dtype):
    objective, dense = make(problem, backend, dtype), lift(problem, dtype)
    point = point_of(objective, backend, coefficients_for(problem))
    total, norm, estimate = scalars(*objective.measures(point, *objective.value_and_gradient(point)))
    coefficients = stacked(objective, backend, point).astype(float)
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(total, value(dense, coefficients), rtol=tolerance)
    np.testing.assert_allclose(norm, np.max(np.abs(subgradient(dense, coefficients))), rtol=tolerance)
    if not problem.l1 and not problem.l2:
        assert estimate == np.inf
    elif not problem.l1:
        weight = slice(0, problem.X.shape[1])
        slope = gradient(dense, coefficients)
        if problem.fit_intercept:
            # What making the slopes of the biases vanish would do, if the samples that it moves were like all others.
            slope = slope - np.outer(dense.mass @ dense.X / np.sum(dense.mass), slope[-1])
        expected = min(np.sum(slope[weight] ** 2) / (2 * problem.l2), total)  # no loss is negative
        np.testing.assert_allclose(estimate, expected, rtol=tolerance)
    else:
        assert 0 < estimate < np.inf


def test_the_estimate_is_the_certificate_where_the_bias_is_optimal(problem):
    if (problem.l1 and not problem.l2) or (problem.class_weight and 0.0 in problem.class_weight):
        pytest.skip("with L1 alone the estimate is a guess, and a class of no weight has its best bias at infinity")
    objective = make(problem, NUMPY)
    point, certificate = objective.certificate(point_of(objective, NUMPY, coefficients_for(problem)))
    estimate = objective.measures(point, *objective.value_and_gradient(point))[2]
    if problem.l1:
        assert certificate.bound <= estimate * (1 + 1e-6)  # of two dual points the certificate takes the better one
    else:
        np.testing.assert_allclose(certificate.bound, estimate, rtol=1e-6)


def test_the_estimate_foresees_what_the_best_bias_does():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((400, 5)) + 10.0  # far from the middle: what the bias does, the weights have to undo
    problem = PROBLEMS["softmax"].but(X=X, y=rng.integers(0, 4, 400), l2=0.01)
    objective = make(problem, NUMPY)
    optimum = objective.certificate(point_of(objective, NUMPY, minimum(lift(problem)))).point
    away = optimum.copy()
    away[-1] += 1e-3 * np.asarray([1.0, -1.0, 0.5, -0.5])
    slope = objective.value_and_gradient(away)
    bound, estimate = objective.certificate(away).certificate.bound, objective.measures(away, *slope)[2]
    plain = np.sum((slope[1][:-1] * objective.scale) ** 2) / (2 * problem.l2)
    assert bound < 0.1 * plain
    assert estimate < 0.1 * plain


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_coefficients_of_any_scale_come_back_bit_for_bit(backend, dtype, fit_intercept):
    if dtype == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    rng = np.random.default_rng(1)
    X = rng.standard_normal((20, 6)) * np.asarray([1e30, 1e-30, 1e6, 3.0, 0.0, 7e-4])
    objective = make(PROBLEMS["softmax"].but(X=X, y=np.arange(20) % 4, fit_intercept=fit_intercept), backend, dtype)
    weight = rng.standard_normal((6, 4)) / backend.to_numpy(objective.scale)
    weight, bias = weight.astype(dtype), rng.standard_normal(4).astype(dtype)
    params = LinearParams(backend.asarray(weight), backend.asarray(bias) if fit_intercept else None)
    point = objective.point(params)
    assert tuple(point.shape) == objective.shape == (6 + fit_intercept, 4)
    assert np.max(np.abs(backend.to_numpy(point))) < 10
    back = objective.params(point)
    np.testing.assert_array_equal(backend.to_numpy(back.weight), weight)
    assert (back.bias is None) == (not fit_intercept)
    if fit_intercept:
        np.testing.assert_array_equal(backend.to_numpy(back.bias), bias)


def test_a_missing_bias_starts_at_zero():
    objective = make(PROBLEMS["softmax"], NUMPY)
    point = objective.point(LinearParams(np.ones((3, 4)), None))
    np.testing.assert_array_equal(point[-1], 0.0)


def test_features_of_any_scale_leave_everything_finite(backend):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((20, 5)) * np.asarray([1e30, 1e-30, 1e6, 0.0, 1e-3])
    for penalty in ({"l2": 0.01}, {"l2": 0.0, "l1": 0.01}):
        objective = make(PROBLEMS["softmax"].but(X=X, y=np.arange(20) % 4, **penalty), backend, "float32")
        point = backend.asarray(rng.standard_normal(objective.shape).astype("float32"))
        got, slope = objective.value_and_gradient(point)
        assert np.isfinite(backend.to_numpy(got))
        assert np.max(np.abs(backend.to_numpy(slope))) < 100
        assert np.all(np.isfinite(backend.to_numpy(objective.curvature(point).product(point))))


def test_the_start_is_zero_and_lives_with_the_data(backend, dtype):
    objective = make(PROBLEMS["logistic"], backend, dtype)
    start = objective.start()
    assert backend_of(start) == objective.backend
    assert str(backend.to_numpy(start).dtype) == dtype
    assert np.all(backend.to_numpy(start) == 0)
    assert tuple(start.shape) == objective.shape == (4, 1)


def test_each_value_and_each_product_costs_a_pass():
    objective = make(PROBLEMS["softmax"], NUMPY)
    assert objective.passes == 0
    point = objective.start()
    objective.value_and_gradient(point)
    assert objective.passes == 1.0
    curvature = objective.curvature(point)
    assert objective.passes == 1.0
    curvature.product(point)
    assert objective.passes == 2.5  # with the probabilities, which are kept
    curvature.product(point)
    assert objective.passes == 3.5
    curvature.matrix()
    assert objective.passes == 4.5


def test_a_pass_without_kept_logits_costs_more(in_chunks):
    in_chunks(7)
    objective = make(PROBLEMS["softmax"], NUMPY)
    curvature = objective.curvature(objective.start())
    curvature.product(objective.start())
    assert objective.passes == 1.5
    curvature.product(objective.start())
    assert objective.passes == 3.0
    objective.certificate(objective.start())
    assert objective.passes >= 5.0  # at least one step for the bias, its check, and the bound itself


def test_a_certificate_with_kept_logits_is_one_pass():
    objective = make(PROBLEMS["softmax"], NUMPY)
    objective.certificate(point_of(objective, NUMPY, coefficients_for(PROBLEMS["softmax"])))
    assert objective.passes == 1.0
    objective = make(PROBLEMS["softmax, l1"], NUMPY)
    objective.certificate(point_of(objective, NUMPY, coefficients_for(PROBLEMS["softmax, l1"])))
    assert objective.passes == 1.5  # the dual point had to be drawn nearer to the targets


def test_is_an_objective():
    assert isinstance(make(PROBLEMS["softmax"], NUMPY), Objective)


def test_a_loss_with_a_temperature_is_refused():
    loss = CrossEntropy(temperature=2.0)
    targets = loss.prepare(np.arange(4) % 2, 2, dtype=np.dtype("float64"))
    linear = LinearObjective(np.eye(4), targets, loss, None, np.dtype("float64"))
    with pytest.raises(InvalidValueError, match="temperature of 1; got 2.0"):
        ConvexObjective(linear, 2)
