# SPDX-License-Identifier: BSD-3-Clause
"""What every solver in the table promises: the minimum, proven, on data of every kind, in every library.

The truth comes from three sides: a Newton method of the tests' own (tests/objectives/convex_reference.py),
scikit-learn, and numbers that glmnet printed.
"""

import pickle
from functools import cache

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression

from softmax_xp.solvers import SOLVERS, Solver, Status, minimise
from tests.backends import load
from tests.objectives.convex_problems import PROBLEMS
from tests.objectives.convex_reference import Problem, gap, gradient, lift, make, minimum, stacked, value

NUMPY = load("numpy")


@cache
def data_sets():
    rng = np.random.default_rng(101)
    iris, wine, digits, cancer = (
        load(return_X_y=True) for load in (load_iris, load_wine, load_digits, load_breast_cancer)
    )
    few = np.flatnonzero(digits[1] < 4)[:150]
    wide = rng.standard_normal((25, 70))
    one = rng.standard_normal((60, 1))
    weight = rng.uniform(0.0, 3.0, 150) * (rng.uniform(size=150) > 0.1)

    def problem(X, y, C, **changes):
        n_classes = int(np.max(y)) + 1
        total = len(X) if "sample_weight" not in changes else np.sum(changes["sample_weight"])
        return Problem(X, y, n_classes, one_column=n_classes == 2, l2=1 / (C * total), **changes)

    return {
        "iris": problem(*iris, 1.0),
        "iris, weak penalty": problem(*iris, 1e4),
        "iris, weighted": problem(*iris, 1.0, sample_weight=weight),
        "iris, no bias": problem(*iris, 1.0, fit_intercept=False),
        "wine, raw": problem(*wine, 1.0),
        "breast cancer, raw": problem(*cancer, 1.0),
        "digits, four classes": problem(digits[0][few], digits[1][few], 1.0),
        "more features than samples": problem(wide, rng.integers(0, 3, 25), 0.1),
        "one feature": problem(one, rng.integers(0, 3, 60), 1.0),
        "one feature, two classes": problem(one, rng.integers(0, 2, 60), 1.0),
        "imbalanced": problem(one, (np.arange(60) > 57).astype(int), 10.0),
    }


NAMES = (
    "iris",
    "iris, weak penalty",
    "iris, weighted",
    "iris, no bias",
    "wine, raw",
    "breast cancer, raw",
    "digits, four classes",
    "more features than samples",
    "one feature",
    "one feature, two classes",
    "imbalanced",
)


@cache
def truth(name):
    return minimum(lift(data_sets()[name]))


@pytest.fixture(params=SOLVERS.keys())
def name(request):
    return request.param


@pytest.fixture
def solver(name):
    return SOLVERS[name]


def fit(solver, problem, *, backend=NUMPY, dtype="float64", tol=1e-10, max_iter=3000, **how):
    objective = make(problem, backend, dtype)
    solution = minimise(solver, objective, objective.start(), tol=tol, max_iter=max_iter, **how)
    return stacked(objective, backend, solution.certified.point), solution


@pytest.mark.parametrize("data", NAMES)
def test_the_reference_is_what_scikit_learn_finds(data):
    problem = data_sets()[data]
    total = np.sum(problem.sample_weight) if problem.sample_weight is not None else len(problem.X)
    theirs = LogisticRegression(
        C=1 / (problem.l2 * total),
        solver="newton-cholesky",
        tol=1e-10,
        max_iter=1000,
        fit_intercept=problem.fit_intercept,
    ).fit(problem.X, problem.y, sample_weight=problem.sample_weight)
    ours = truth(data)
    np.testing.assert_allclose(theirs.coef_.T, ours[: problem.X.shape[1]], rtol=1e-6, atol=1e-7)
    if problem.fit_intercept:
        bias = ours[-1] - (np.mean(ours[-1]) if problem.n_columns > 1 else 0)
        centred = theirs.intercept_ - (np.mean(theirs.intercept_) if problem.n_columns > 1 else 0)
        np.testing.assert_allclose(centred, bias, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("data", NAMES)
def test_reaches_a_certificate_that_is_true(name, solver, data):
    problem = data_sets()[data]
    coefficients, solution = fit(solver, problem)
    assert solution.status is Status.CERTIFIED, solution.status.message
    certificate = solution.certified.certificate
    distance = gap(lift(problem, "float64", np.longdouble), coefficients, truth(data))
    assert distance <= certificate.bound <= 1e-10
    np.testing.assert_allclose(certificate.value, float(value(lift(problem), truth(data))), rtol=0, atol=2e-10)
    assert solution.history[-1]["passes"] == solution.passes


@pytest.mark.parametrize("data", NAMES)
def test_finds_the_coefficients_to_six_digits(solver, data):
    problem = data_sets()[data]
    coefficients, _ = fit(solver, problem, tol=0.0)
    expected = truth(data).copy()
    if problem.n_columns > 1 and problem.fit_intercept:
        coefficients[-1] -= np.mean(coefficients[-1])
        expected[-1] -= np.mean(expected[-1])
    np.testing.assert_allclose(coefficients, expected, rtol=1e-6, atol=1e-6 * np.max(np.abs(expected)))


GLMNET_X = np.stack([np.arange(-4.0, 5.0), [0, 0, 1, 0, 1, 1, 1, 0, 0]], axis=1)


def test_gives_the_numbers_that_glmnet_gives(solver):
    """Compare with R's `glmnet(x, y, alpha=0, lambda=1, standardize=F, thresh=1e-10)`, as scikit-learn's tests do."""
    problem = Problem(GLMNET_X, np.asarray([0, 0, 0, 1, 1, 1, 1, 1, 1]), 2, one_column=True, l2=1.0)
    coefficients, _ = fit(solver, problem, tol=0.0)
    np.testing.assert_allclose(coefficients[:, 0], [0.44464569182, 0.01457563448, 0.89230405539], rtol=1e-7)
    problem = Problem(GLMNET_X, np.repeat([0, 1, 2], 3), 3, l2=1.0)
    coefficients, _ = fit(solver, problem, tol=0.0)
    coefficients[-1] -= np.mean(coefficients[-1])
    expected = [
        [-0.38023389305, -8.164030176e-05, 0.3803155334],
        [-0.01226499932, 4.734548012e-02, -0.0350804808],
        [-0.12004759652, 2.251747383e-01, -0.1051271418],
    ]
    np.testing.assert_allclose(coefficients, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["softmax", "logistic"])
def test_weights_are_repetitions_and_zeros_are_absences(solver, kind):
    problem = data_sets()["iris" if kind == "softmax" else "one feature, two classes"]
    counts = np.random.default_rng(1).integers(0, 4, len(problem.X))
    repeated = problem.but(X=np.repeat(problem.X, counts, axis=0), y=np.repeat(problem.y, counts))
    fits = [fit(solver, given, tol=0.0)[0] for given in (problem.but(sample_weight=counts.astype(float)), repeated)]
    for coefficients in fits:
        coefficients[-1] -= np.mean(coefficients[-1]) if problem.n_columns > 1 else 0.0
    np.testing.assert_allclose(*fits, rtol=1e-6, atol=1e-6)


def test_features_of_any_scale_lead_to_the_same_probabilities(solver):
    rng = np.random.default_rng(2)
    sizes = np.asarray([1e30, 1e-30, 1e6, 1.0, 1e-3, 1e3])
    Z = rng.standard_normal((100, 6))
    y = np.argmax(Z @ rng.standard_normal((6, 3)) + rng.gumbel(size=(100, 3)), axis=1)
    problem = Problem(Z * sizes, y, 3, l2=0.01)
    coefficients, solution = fit(solver, problem, max_iter=300)
    assert solution.status in {Status.CERTIFIED, Status.FLOOR}
    dense = lift(problem.but(X=Z))
    with np.errstate(over="ignore"):
        l2 = np.concatenate([0.01 / sizes**2, [0.0]])[:, None]
    l2[1] = 0.01
    scaled = dense.X.copy()
    scaled[:, 1] = 0.0  # 1e-30 is not worth a coefficient
    dense = dense._replace(X=scaled, l2=l2)
    expected = minimum(dense)
    unscaled = coefficients * np.concatenate([sizes, [1.0]])[:, None]
    np.testing.assert_allclose(value(dense, unscaled), value(dense, expected), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_collinear_features_without_a_penalty_are_no_obstacle(solver, dtype):
    rng = np.random.default_rng(3)
    X = np.round(rng.standard_normal((80, 3)) * 16) / 16
    y = np.argmax(X @ rng.standard_normal((3, 3)) + rng.gumbel(size=(80, 3)), axis=1)
    wide = np.concatenate([X, X[:, :1] + X[:, 1:2], np.ones((80, 1)), np.zeros((80, 1))], axis=1)
    for labels, n_classes in ((y, 3), (y % 2, 2)):
        problem = Problem(wide, labels, n_classes, one_column=n_classes == 2)
        tol = 1e-8 if dtype == "float64" else 1e-5
        coefficients, solution = fit(solver, problem, dtype=dtype, tol=tol, max_iter=500)
        assert solution.status is Status.GRADIENT
        certificate = solution.certified.certificate
        assert certificate.bound == np.inf
        assert certificate.gradient_norm <= tol
        assert np.max(np.abs(coefficients)) < 20
        lowest = value(lift(problem.but(X=X)), minimum(lift(problem.but(X=X))))
        np.testing.assert_allclose(value(lift(problem), coefficients.astype(float)), lowest, rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("tol", [1e-4, 0.0])
def test_separable_data_without_a_penalty_end_finite(solver, dtype, n_classes, tol):
    X, y = load_iris(return_X_y=True)
    y = np.minimum(y, 1) if n_classes == 2 else np.digitize(X[:, 2], [2.5, 4.85])
    problem = Problem(X, y, n_classes, one_column=n_classes == 2)
    coefficients, solution = fit(solver, problem, dtype=dtype, tol=tol, max_iter=60)
    assert np.all(np.isfinite(coefficients))
    assert np.isfinite(solution.certified.certificate.value)
    assert solution.certified.certificate.bound == np.inf
    assert solution.status in ({Status.GRADIENT} if tol else set(Status) - {Status.CERTIFIED, Status.INTERRUPTED})


@pytest.mark.parametrize("data", ["iris", "iris, weak penalty", "wine, raw", "breast cancer, raw"])
@pytest.mark.parametrize("tol", [1e-4, 1e-14])
def test_float32_ends_proven_or_at_its_floor(name, solver, data, tol):
    problem = data_sets()[data]
    coefficients, solution = fit(solver, problem, dtype="float32", tol=tol, max_iter=1000)
    certificate = solution.certified.certificate
    if name == "proximal":
        assert solution.status in {Status.CERTIFIED, Status.FLOOR, Status.MAX_ITER}
    else:
        assert solution.status is (Status.CERTIFIED if tol == 1e-4 else Status.FLOOR)
        assert solution.n_iter < 150
    distance = gap(lift(problem, "float32", np.longdouble), coefficients, minimum_in_float32(data))
    assert distance <= certificate.bound
    if name != "proximal":
        assert distance < (1e-4 if tol == 1e-4 else 1e-7)


@cache
def minimum_in_float32(data):
    return minimum(lift(data_sets()[data], "float32"))


def test_goes_where_its_data_live(backend, solver):
    problem, dtype = PROBLEMS["softmax, weighted soft targets"], "float64" if backend.float64 else "float32"
    coefficients, solution = fit(solver, problem, backend=backend, dtype=dtype, tol=1e-8)
    assert solution.status is Status.CERTIFIED
    assert solution.certified.certificate.bound <= 1e-8
    exact = lift(problem, dtype, np.longdouble)
    assert gap(exact, coefficients, minimum(lift(problem, dtype))) <= solution.certified.certificate.bound


def test_starts_where_it_is_told_to(solver):
    problem = data_sets()["iris"]
    objective = make(problem, NUMPY)
    far = 3.0 * np.random.default_rng(4).standard_normal(objective.shape)
    before = far.copy()
    solution = minimise(solver, objective, far, tol=1e-10, max_iter=2000)
    assert solution.status is Status.CERTIFIED
    np.testing.assert_array_equal(far, before)
    again = minimise(solver, objective, solution.certified.point, tol=1e-10, max_iter=2000)
    assert again.n_iter <= 1
    assert again.status is Status.CERTIFIED


def test_the_value_never_rises_by_more_than_rounding(solver):
    for data in ("iris, weak penalty", "wine, raw"):
        _, solution = fit(solver, data_sets()[data], max_iter=300)
        values = np.asarray([row["value"] for row in solution.history])
        assert np.all(np.diff(values) <= 1e-14 * values[:-1] + 2e-15)


def test_the_gradient_can_be_the_test(solver):
    problem = data_sets()["wine, raw"]
    coefficients, solution = fit(solver, problem, tol=1e-6, stopping="gradient")
    assert solution.status is Status.GRADIENT
    assert solution.certified.certificate.test == "gradient"
    slope = np.max(np.abs(gradient(lift(problem), coefficients)))
    assert slope <= 1e-6
    np.testing.assert_allclose(solution.certified.certificate.gradient_norm, slope, rtol=1e-4)


def test_is_a_value(solver):
    assert isinstance(solver, Solver)
    assert pickle.loads(pickle.dumps(solver)) == solver
    assert hash(solver) == hash(pickle.loads(pickle.dumps(solver)))
    assert "object at" not in repr(solver)
    with pytest.raises((AttributeError, TypeError)):  # which of them, depends on Python's version
        solver.memory = 3
