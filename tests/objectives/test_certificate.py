# SPDX-License-Identifier: BSD-3-Clause
"""The certificate: never below the true distance from the minimum, and zero there.

The truth is that of tests/objectives/convex_reference.py: the minimum by an active set of its own, and the objective in
long doubles, so that a gap of 1e-16 is known to three digits.
"""

import numpy as np
import pytest

from softmax_xp.objectives import bias
from softmax_xp.objectives import certificate as module
from softmax_xp.objectives.linear import LinearObjective
from softmax_xp.solvers import SOLVERS, minimise
from tests.backends import load
from tests.objectives.convex_problems import PROBLEMS, coefficients_for
from tests.objectives.convex_reference import gap, lift, make, minimum, point_of, recentred, stacked, subgradient, value

NUMPY = load("numpy")
PENALISED = {name: problem for name, problem in PROBLEMS.items() if problem.l1 or problem.l2}
_MINIMA = {}


@pytest.fixture(params=PENALISED.values(), ids=PENALISED.keys())
def problem(request):
    return request.param


def minimum_of(problem, dtype):
    """Find each minimum once."""
    key = id(problem), dtype
    if key not in _MINIMA:
        _MINIMA[key] = (problem, minimum(lift(problem, dtype)))  # the problem stays, and so does its id
    return _MINIMA[key][1]


def check(objective, problem, dtype, point, backend=NUMPY):
    """Certify a point; return the bound and the true gap."""
    certified = objective.certificate(point)
    exact = lift(problem, dtype, np.longdouble)
    polished = stacked(objective, backend, certified.point).astype(np.longdouble)
    truth = gap(exact, polished, minimum_of(problem, dtype))
    bound = certified.certificate.bound
    assert truth <= bound < np.inf
    np.testing.assert_allclose(certified.certificate.value, float(value(exact, polished)), rtol=1e-12)
    given = recentred(problem, stacked(objective, backend, point)).astype(np.longdouble)
    assert value(exact, polished) <= value(exact, given) * (1 + np.longdouble(1e-15))
    return bound, truth


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [0.0, 0.1, 1.0, 10.0, 100.0, 1e5])
def test_is_never_below_the_truth_at_any_point(problem, dtype, size):
    objective = make(problem, NUMPY, dtype)
    for seed in range(3):
        check(objective, problem, dtype, point_of(objective, NUMPY, coefficients_for(problem, seed=seed, size=size)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [0.01, 1.0, 10.0])
def test_is_never_below_the_truth_where_neither_logits_nor_curvatures_are_computed_twice(
    monkeypatch, problem, dtype, size
):
    monkeypatch.setattr(LinearObjective, "keeps_logits", lambda *_: False)
    monkeypatch.setattr(bias, "_MANY", 1)
    objective = make(problem, NUMPY, dtype)
    point = point_of(objective, NUMPY, coefficients_for(problem, size=size))
    for tol in (0.0, 1e-6):
        certificate = objective.certificate(point, tol).certificate
        exact = lift(problem, dtype, np.longdouble)
        fitted = stacked(objective, NUMPY, objective.certificate(point, tol).point).astype(np.longdouble)
        assert gap(exact, fitted, minimum_of(problem, dtype)) <= certificate.bound < np.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("distance", [1e-12, 1e-9, 1e-6, 1e-3])
def test_is_never_below_the_truth_near_the_minimum(problem, dtype, distance):
    objective, optimum = make(problem, NUMPY, dtype), minimum_of(problem, dtype)
    rng = np.random.default_rng(3)
    for _ in range(3):
        nearby = optimum * (1 + distance * rng.standard_normal(optimum.shape))
        check(objective, problem, dtype, point_of(objective, NUMPY, nearby))


def test_is_zero_at_the_minimum(problem):
    objective = make(problem, NUMPY)
    bound, _ = check(objective, problem, "float64", point_of(objective, NUMPY, minimum_of(problem, "float64")))
    assert bound < 1e-12


def test_follows_the_truth_along_a_run(problem):
    if problem.l1:
        pytest.skip("the solvers for smooth objectives only")
    objective = make(problem, NUMPY)
    state, ratios = SOLVERS["lbfgs"].init(objective, objective.start()), []
    for _ in range(12):
        bound, truth = check(objective, problem, "float64", state.evaluation.point)
        if truth > 1e-13:
            ratios.append(bound / truth)
        state = SOLVERS["lbfgs"].advance(objective, state)
    assert max(ratios) < 1e6


@pytest.mark.parametrize("rows", [7, 16])
def test_chunks_change_nothing(in_chunks, problem, rows):
    point = coefficients_for(problem)
    objective = make(problem, NUMPY)
    whole = objective.certificate(point_of(objective, NUMPY, point))
    in_chunks(rows)
    objective = make(problem, NUMPY)
    cut = objective.certificate(point_of(objective, NUMPY, point))
    tolerance = 1e-9 if not problem.class_weight or 0.0 not in problem.class_weight else 1e-4  # on its way to infinity
    np.testing.assert_allclose(cut.point, whole.point, rtol=tolerance)
    np.testing.assert_allclose(cut.certificate.bound, whole.certificate.bound, rtol=1e-9)
    np.testing.assert_allclose(cut.certificate.value, whole.certificate.value, rtol=1e-13)


@pytest.mark.parametrize("name", ["softmax, weighted soft targets", "logistic, elastic net"])
def test_is_the_same_in_every_library(backend, name):
    problem, dtype = PROBLEMS[name], "float64" if backend.float64 else "float32"
    bounds = []
    for place in (NUMPY, backend):
        objective = make(problem, place, dtype)
        bounds.append(check(objective, problem, dtype, point_of(objective, place, coefficients_for(problem)), place)[0])
    np.testing.assert_allclose(*bounds, rtol=1e-5 if dtype == "float32" else 1e-9)


def test_there_is_none_without_a_penalty():
    problem = PROBLEMS["softmax, no penalty"]
    objective = make(problem, NUMPY)
    certificate = objective.certificate(point_of(objective, NUMPY, coefficients_for(problem))).certificate
    assert certificate.bound == np.inf
    assert np.isfinite(certificate.value)
    assert 0 < certificate.gradient_norm < np.inf


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("size", [0.1, 1.0, 30.0])
def test_the_gradient_is_that_of_the_point(name, size):
    problem = PROBLEMS[name]
    objective = make(problem, NUMPY)
    point, certificate = objective.certificate(point_of(objective, NUMPY, coefficients_for(problem, size=size)))
    slope = subgradient(lift(problem), stacked(objective, NUMPY, point))
    tolerance = 1e-9 if "no weight" not in name else 1e-3  # there the best bias is at infinity
    np.testing.assert_allclose(certificate.gradient_norm, np.max(np.abs(slope)), rtol=tolerance)
    if problem.fit_intercept and "no weight" not in name:
        assert np.max(np.abs(slope[-1])) < 1e-12


def test_the_gradient_of_a_narrow_bias_is_that_of_the_bias_it_has():
    problem = PROBLEMS["softmax"].but(X=PROBLEMS["softmax"].X + 1e4)  # far from the middle: a bias of large steps
    objective = make(problem, NUMPY, "float32")
    point, certificate = objective.certificate(point_of(objective, NUMPY, coefficients_for(problem, size=3.0)))
    slope = subgradient(lift(problem, "float32"), stacked(objective, NUMPY, point).astype(float))
    np.testing.assert_allclose(certificate.gradient_norm, np.max(np.abs(slope)), rtol=1e-9)


def test_a_model_without_a_bias_keeps_its_point():
    problem = PROBLEMS["softmax, no bias"]
    objective = make(problem, NUMPY)
    point = point_of(objective, NUMPY, coefficients_for(problem))
    np.testing.assert_array_equal(objective.certificate(point).point, point)


@pytest.mark.parametrize("name", ["softmax", "softmax, a class of no weight", "logistic, all weights", "softmax, l1"])
@pytest.mark.parametrize("offset", [3.0, 30.0, 300.0])
def test_a_bias_far_away_comes_nearer(name, offset):
    problem = PROBLEMS[name]
    objective, coefficients = make(problem, NUMPY), coefficients_for(problem, size=0.1)
    coefficients[-1] += offset * np.random.default_rng(5).standard_normal(problem.n_columns)
    check(objective, problem, "float64", point_of(objective, NUMPY, coefficients))


def test_the_best_bias_is_found_from_any_point_that_solvers_meet():
    rng = np.random.default_rng(6)
    for seed in range(30):
        problem = PROBLEMS["softmax, weighted soft targets"]
        objective, coefficients = make(problem, NUMPY), coefficients_for(problem, seed=seed, size=3.0)
        coefficients[-1] += 3.0 * rng.standard_normal(problem.n_columns)
        point = objective.certificate(point_of(objective, NUMPY, coefficients)).point
        slope = subgradient(lift(problem), stacked(objective, NUMPY, point))
        assert np.max(np.abs(slope[-1])) < 1e-12


@pytest.mark.parametrize(
    ("offset", "spread", "l2"),
    [
        (1e9, 1e-3, 33.0),
        (2459000.0, 1e-4, 0.03),
        (1e9, 1e-3, 0.03),
        (1e10, 1e-3, 0.03),
        (1e15, 1.0, 1e5),
        (1e4, 1.0, 1.0),
    ],
)
def test_is_true_for_features_whose_mean_is_far_above_their_spread(offset, spread, l2):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, y = offset + spread * rng.integers(0, 8, (30, 1)), rng.integers(0, 2, 30)
        y[:2] = [0, 1]
        problem = PROBLEMS["softmax"].but(X=X, y=y, n_classes=2, l2=l2)
        # The bias is free, so that the same features less a constant have the same minimum, without the cancellation.
        middle = problem.but(X=(X.astype(np.longdouble) - X.astype(np.longdouble).mean()).astype(np.float64))
        lowest = value(lift(middle, "float64", np.longdouble), minimum(lift(middle)).astype(np.longdouble))
        objective, exact = make(problem, NUMPY), lift(problem, "float64", np.longdouble)
        solved = minimise(SOLVERS["lbfgs"], objective, objective.start(), tol=1e-10, max_iter=50)
        for point, certificate in (objective.certificate(objective.start()), solved.certified):
            truth = value(exact, stacked(objective, NUMPY, point).astype(np.longdouble)) - lowest
            assert truth <= certificate.bound


@pytest.mark.parametrize("one_column", [False, True])
def test_without_the_exact_transport_the_bound_would_be_wrong(monkeypatch, one_column):
    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((40, 2)), np.arange(40) % 2
    problem = PROBLEMS["softmax"].but(X=X, y=y, n_classes=2, l2=10.0, one_column=one_column)
    objective, exact = make(problem, NUMPY), lift(problem, "float64", np.longdouble)
    moved = minimum_of(problem, "float64").copy()
    moved[-1, -1] += 0.5
    moved = recentred(problem, moved)
    point = point_of(objective, NUMPY, moved)
    monkeypatch.setattr(bias, "_STEPS", 0)  # all is left to the transport
    honest = objective.certificate(point)
    np.testing.assert_allclose(honest.point, point, atol=1e-15)
    monkeypatch.setattr(module._Bound, "_transported", lambda self, p: p)
    broken = objective.certificate(point)
    truth = gap(exact, moved, minimum_of(problem, "float64"))
    assert honest.certificate.bound >= truth > 1e-3
    assert broken.certificate.bound < 0.1 * truth


def test_both_weights_in_float32_multiply_to_consistent_targets():
    rng = np.random.default_rng(8)
    problem = PROBLEMS["softmax, all weights"].but(
        sample_weight=rng.uniform(0.1, 3.0, 32), class_weight=(0.1, 1 / 3, 2.7, 0.9), l2=1e-6
    )
    objective = make(problem, NUMPY, "float32")
    for seed in range(5):
        check(objective, problem, "float32", point_of(objective, NUMPY, coefficients_for(problem, seed=seed)))
    check(objective, problem, "float32", point_of(objective, NUMPY, minimum_of(problem, "float32")))


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "proximal"])
def test_bounds_a_float32_fit_at_its_floor(solver):
    from sklearn.datasets import load_wine

    X, y = load_wine(return_X_y=True)
    problem = PROBLEMS["softmax"].but(X=X, y=y, n_classes=3, l2=1e-5)
    objective = make(problem, NUMPY, "float32")
    solution = minimise(SOLVERS[solver], objective, objective.start(), tol=1e-14, max_iter=1000)
    assert solution.status == "floor"
    exact = lift(problem, "float32", np.longdouble)
    fitted = stacked(objective, NUMPY, solution.certified.point).astype(np.longdouble)
    truth = gap(exact, fitted, minimum_of(problem, "float32"))
    assert -1e-15 < truth <= solution.certified.certificate.bound < 1e-5


@pytest.mark.parametrize("n_features", [1, 3])
def test_separable_data_have_a_bound(n_features):
    rng = np.random.default_rng(9)
    X = rng.standard_normal((30, n_features))
    for changes in (
        {"y": (X[:, 0] > 0).astype(int), "n_classes": 2, "one_column": True},
        {"y": np.digitize(X[:, 0], [-0.5, 0.5]), "n_classes": 3},
    ):
        for penalty in ({"l2": 1e-6}, {"l2": 0.0, "l1": 1e-5}, {"l2": 1e-6, "l1": 1e-6}):
            problem = PROBLEMS["softmax"].but(X=X, **changes, **penalty)
            objective = make(problem, NUMPY)
            for size in (0.0, 1.0, 30.0):
                check(objective, problem, "float64", point_of(objective, NUMPY, coefficients_for(problem, size=size)))
            bound, _ = check(objective, problem, "float64", point_of(objective, NUMPY, minimum_of(problem, "float64")))
            assert bound < 1e-12
