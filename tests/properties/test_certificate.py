# SPDX-License-Identifier: BSD-3-Clause
"""The certificate bounds the true gap, on problems that Hypothesis chooses."""

import numpy as np
import pytest

from tests.backends import load
from tests.objectives.convex_reference import Problem, gap, lift, make, minimum, point_of, recentred, stacked, value

pytest.importorskip("hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st

NUMPY = load("numpy")


@st.composite
def problems(draw):
    """Draw a penalised problem, a float for it, and a seed for points."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_samples, n_features = draw(st.integers(2, 20)), draw(st.integers(1, 6))
    n_classes = draw(st.integers(2, 8))
    scales = 10.0 ** rng.uniform(-1, 1, n_features) if draw(st.booleans()) else np.ones(n_features)
    X = rng.standard_normal((n_samples, n_features)) * scales + draw(st.sampled_from([0.0, 5.0, 1e3]))
    if draw(st.booleans()):
        X = np.round(X)  # ties, empty features and collinear ones
    y = rng.integers(0, n_classes, n_samples)
    if draw(st.booleans()):
        y = np.argmax(X @ rng.standard_normal((n_features, n_classes)), axis=1)  # separable
    if draw(st.booleans()):
        y = rng.dirichlet(np.full(n_classes, draw(st.sampled_from([0.1, 1.0, 10.0]))), n_samples)
    sample_weight = None
    if draw(st.booleans()):
        sample_weight = rng.exponential(size=n_samples) * (rng.uniform(size=n_samples) < 0.8)
        sample_weight[0] = 1.0  # something has to count
    class_weight = None
    if draw(st.booleans()):
        weights = rng.exponential(size=n_classes)
        weights[n_classes - 1] *= draw(st.sampled_from([0.0, 1.0]))
        class_weight = tuple(weights)
        y = y % (n_classes - 1) if y.ndim == 1 else y  # else all that counts might have a weight of 0
    strength = 10.0 ** draw(st.integers(-7, 1))
    share = draw(st.sampled_from([0.0, 0.0, 0.5, 1.0]))
    problem = Problem(
        X,
        y,
        n_classes,
        one_column=n_classes == 2 and draw(st.booleans()),
        sample_weight=sample_weight,
        class_weight=class_weight,
        l1=share * strength,
        l2=(1 - share) * strength,
        fit_intercept=draw(st.booleans()),
    )
    return problem, draw(st.sampled_from(["float32", "float64"])), rng


@given(problems(), st.sampled_from([0.0, 0.1, 1.0, 10.0]), st.sampled_from([0.0, 1e-8, 1e-4, 1.0]))
@settings(max_examples=200)
def test_the_bound_is_never_below_the_truth(drawn, size, tol):
    problem, dtype, rng = drawn
    objective, exact = make(problem, NUMPY, dtype), lift(problem, dtype, np.longdouble)
    optimum = minimum(lift(problem, dtype))
    away = rng.standard_normal(problem.shape) / np.concatenate([objective.scale, [[1.0]]])[: problem.shape[0]]
    points = [size * away, optimum, optimum + 1e-3 * size * away, optimum + 1e-8 * size * away]
    for coefficients in points:
        given_point = point_of(objective, NUMPY, coefficients)
        point, certificate = objective.certificate(given_point, tol)
        fitted = stacked(objective, NUMPY, point).astype(np.longdouble)
        assert gap(exact, fitted, optimum) <= certificate.bound
        assert np.isfinite(certificate.bound)
        np.testing.assert_allclose(certificate.value, float(value(exact, fitted)), rtol=1e-12, atol=1e-15)
        before = value(exact, recentred(problem, stacked(objective, NUMPY, given_point)).astype(np.longdouble))
        # A narrow bias can only be as good as its grid: the better value beside the grid's is out of its reach.
        assert value(exact, fitted) <= before * (1 + np.longdouble(1e-15 if dtype == "float64" else 1e-9))


@given(problems())
@settings(max_examples=100)
def test_the_bound_is_zero_at_the_minimum(drawn):
    problem, _, _ = drawn
    objective = make(problem, NUMPY)
    bound = objective.certificate(point_of(objective, NUMPY, minimum(lift(problem)))).certificate.bound
    # Far from the origin it is the minimum that is not exact.
    assert bound <= (1e-12 if np.max(np.abs(problem.X)) < 100 else 1e-9)


@given(problems(), st.sampled_from([1e-8, 1e-4, 1e-2]), st.floats(-9.0, 0.0))
@settings(max_examples=100)
def test_what_a_tolerance_leaves_undone_costs_little_of_it(drawn, tol, logarithm):
    problem, dtype, rng = drawn
    objective = make(problem, NUMPY, dtype)
    away = rng.standard_normal(problem.shape) / np.concatenate([objective.scale, [[1.0]]])[: problem.shape[0]]
    point = point_of(objective, NUMPY, minimum(lift(problem, dtype)) + 10.0**logarithm * away)
    best, enough = (objective.certificate(point, each).certificate.bound for each in (0.0, tol))
    assert enough <= 1.05 * best + 0.1 * tol
