# SPDX-License-Identifier: BSD-3-Clause
"""The proximal solver: against a high-precision optimum, scikit-learn, and the conditions that define the optimum."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_digits, load_wine
from sklearn.linear_model import LogisticRegression

from softmax_xp.data.sparse_input import as_rows
from softmax_xp.errors import InvalidValueError
from softmax_xp.losses.contract import CurvedLoss
from softmax_xp.objectives.surrogate import DiagonalSurrogate, KroneckerSurrogate
from softmax_xp.solvers import minimise, proximal
from softmax_xp.solvers.proximal import Proximal
from tests.backends import load
from tests.objectives.convex_problems import PROBLEMS
from tests.objectives.convex_reference import Problem, gradient, lift, make, minimum, stacked, subgradient, value

NUMPY = load("numpy")
WITH_L1 = {
    **{name: problem for name, problem in PROBLEMS.items() if problem.l1},
    "softmax, weak l1": PROBLEMS["softmax"].but(l1=1e-4, l2=0.0),
    "softmax, l1, soft targets": PROBLEMS["softmax, soft targets"].but(l1=0.01, l2=0.0),
    "softmax, l1, no bias": PROBLEMS["softmax, no bias"].but(l1=0.01, l2=0.0),
    "two columns, l1": PROBLEMS["two columns"].but(l1=0.02, l2=0.0),
    "logistic, l1": PROBLEMS["logistic"].but(l1=0.02, l2=0.0),
}
MODELS = ("hessian", "surrogate", "diagonal", "flat")


@pytest.fixture(params=WITH_L1.values(), ids=WITH_L1.keys())
def problem(request):
    return request.param


@pytest.fixture(params=MODELS)
def model(request, monkeypatch):
    """Restrict the solver to one of its models."""
    if request.param != "hessian":
        monkeypatch.setattr(proximal, "_MATRIX_LIMIT", 0)
    if request.param == "diagonal":
        monkeypatch.setattr("softmax_xp.objectives.surrogate._SMALL", 0)
        monkeypatch.setattr("softmax_xp.objectives.surrogate._DENSE_LIMIT", 0)
    if request.param == "flat":
        monkeypatch.setattr(proximal, "_Surveyed", CurvedLoss)  # which no curvature is
    return request.param


def fit(problem, backend=NUMPY, dtype="float64", *, solver=None, X=None, tol=1e-10, max_iter=3000, **how):
    """Return the coefficients of a fit in NumPy, and the solution."""
    objective = make(problem, backend, dtype, X=X)
    solution = minimise(solver or Proximal(), objective, objective.start(), tol=tol, max_iter=max_iter, **how)
    return stacked(objective, backend, solution.certified.point), solution


def excess(problem, coefficients, dtype="float64"):
    """Return by how much the objective exceeds its minimum, relative to the latter."""
    dense = lift(problem, dtype)
    least = value(dense, minimum(dense))
    return (value(dense, coefficients.astype(float)) - least) / least


def assert_same_model(problem, coefficients, expected, *, tolerance):
    """Compare what decides: with L1 alone and an even number of classes the coefficients themselves are not unique."""
    dense = lift(problem)
    if not problem.one_column:
        coefficients, expected = (array - np.mean(array, axis=1, keepdims=True) for array in (coefficients, expected))
    np.testing.assert_allclose(dense.X @ coefficients, dense.X @ expected, atol=tolerance)


def draw(n_samples, n_features, n_classes, *, seed=0, informative=3, **kind):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    W = rng.standard_normal((n_features, n_classes)) * (np.arange(n_features) < informative)[:, None]
    y = np.argmax(X @ W + rng.gumbel(size=(n_samples, n_classes)), axis=1)
    y[:n_classes] = np.arange(n_classes)
    return Problem(X, y, n_classes, **kind)


def check_the_kinks(problem, coefficients, *, tolerance):
    """Zeros have a slope of at most l1, the others one of exactly l1 against their sign; as glmnet's manual says."""
    dense = lift(problem)
    slope, l1 = gradient(dense, coefficients), np.broadcast_to(dense.l1, coefficients.shape)
    zero = (coefficients == 0) & (l1 > 0)
    assert np.all(np.abs(slope[zero]) <= l1[zero] + tolerance)
    np.testing.assert_allclose(slope[~zero], (-l1 * np.sign(coefficients))[~zero], atol=tolerance)


def test_the_optimum_is_that_of_the_definition(problem):
    coefficients, solution = fit(problem)
    assert solution.converged
    assert solution.certified.certificate.bound <= 1e-10
    assert abs(excess(problem, coefficients)) <= 1e-10


def test_the_coefficients_are_those_of_the_optimum(problem):
    coefficients, solution = fit(problem, tol=1e-11, stopping="gradient")
    assert solution.status == "gradient"
    assert_same_model(problem, coefficients, minimum(lift(problem)), tolerance=1e-6)
    check_the_kinks(problem, coefficients, tolerance=1e-10)


@pytest.mark.parametrize("name", ["softmax, l1", "softmax, elastic net", "logistic, elastic net", "logistic, l1"])
def test_each_model_leads_to_the_same_optimum(name, model):
    problem = draw(120, 8, 4, l1=0.01) if name == "softmax, l1" else WITH_L1[name]
    coefficients, solution = fit(problem, tol=1e-8)
    assert solution.converged
    assert abs(excess(problem, coefficients)) <= 1e-8
    check_the_kinks(problem, coefficients, tolerance=1e-4)


@pytest.mark.parametrize("name", ["softmax, elastic net", "logistic, l1"])
def test_all_libraries_agree(backend, name):
    """Small problems, because JAX compiles each operation for each number of working entries."""
    problem = draw(40, 2, 3, l1=0.1, l2=0.05) if name == "softmax, elastic net" else draw(40, 2, 2, l1=0.05)
    problem = problem.but(one_column=name == "logistic, l1")
    coefficients, solution = fit(problem, backend, tol=1e-8)
    assert solution.converged
    assert abs(excess(problem, coefficients)) <= 1e-8


@pytest.mark.parametrize("kind", ["surrogate", "diagonal"])
def test_all_libraries_agree_without_the_hessian(backend, kind, monkeypatch):
    monkeypatch.setattr(proximal, "_MATRIX_LIMIT", 0)
    if kind == "diagonal":
        monkeypatch.setattr("softmax_xp.objectives.surrogate._SMALL", 0)
        monkeypatch.setattr("softmax_xp.objectives.surrogate._DENSE_LIMIT", 0)
    problem = draw(60, 3, 3, l1=0.05)
    coefficients, solution = fit(problem, backend, solver=Proximal(memory=1), tol=1e-3)
    assert solution.converged
    assert abs(excess(problem, coefficients)) <= 1e-3


def test_plain_proximal_gradient_steps_lead_to_the_same_optimum():
    """FISTA with the textbook's step length, and nothing else of ours."""
    problem = draw(80, 6, 3, l1=0.02, l2=0.005)
    dense = lift(problem)
    step = 1.0 / (0.5 * np.linalg.norm(dense.X, 2) ** 2 / len(dense.X) + 0.005)
    point = ahead = np.zeros(problem.shape)
    momentum = 1.0
    for _ in range(20_000):
        moved = ahead - step * gradient(dense, ahead)
        following = np.sign(moved) * np.maximum(np.abs(moved) - step * dense.l1, 0)
        growth = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        restart = np.sum((ahead - following) * (following - point)) > 0
        ahead = following + (0 if restart else (momentum - 1) / growth) * (following - point)
        point, momentum = following, 1.0 if restart else growth
    coefficients, _ = fit(problem, tol=1e-11, stopping="gradient")
    np.testing.assert_array_equal(coefficients == 0, point == 0)
    np.testing.assert_allclose(coefficients[:-1], point[:-1], atol=1e-7)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_scikit_learn_finds_the_same_objective(n_classes, l1_ratio):
    C = 0.3
    plain = draw(100, 7, n_classes, one_column=n_classes == 2, seed=n_classes)
    total = 100 * C
    problem = plain.but(l1=l1_ratio / total, l2=(1 - l1_ratio) / total)
    peer = LogisticRegression(C=C, l1_ratio=l1_ratio, solver="saga", tol=1e-12, max_iter=20_000, random_state=0)
    peer.fit(problem.X, problem.y)
    theirs = np.concatenate([peer.coef_.T, peer.intercept_[None, :]])
    coefficients, _ = fit(problem, tol=1e-11, stopping="gradient")
    dense = lift(problem)
    assert value(dense, coefficients) <= value(dense, theirs) + 1e-14
    np.testing.assert_allclose(coefficients[:-1], theirs[:-1], atol=1e-6)
    np.testing.assert_array_equal(coefficients[:-1] == 0, theirs[:-1] == 0)


@pytest.mark.parametrize(("load_data", "passes"), [(load_digits, 70), (load_wine, 35)], ids=["digits", "wine"])
def test_raw_features_take_few_passes(load_data, passes):
    X, y = load_data(return_X_y=True)
    problem = Problem(X, y, int(np.max(y)) + 1, l1=1.0 / len(y))
    coefficients, solution = fit(problem)
    assert solution.converged
    assert solution.certified.certificate.bound <= 1e-10
    assert solution.passes <= passes
    check_the_kinks(problem, coefficients, tolerance=1e-8 * np.max(np.abs(X)))


@pytest.mark.parametrize("l2", [0.0, 1e-3])
def test_badly_scaled_features_converge(l2):
    plain = draw(150, 6, 3, l1=0.01, l2=l2)
    problem = plain.but(X=plain.X * 10.0 ** np.arange(-3, 3))
    coefficients, solution = fit(problem, max_iter=100)
    assert solution.converged
    assert abs(excess(problem, coefficients)) <= 1e-10


@pytest.mark.parametrize("exponent", [-30, 30])
def test_features_of_any_size_converge(exponent):
    plain = draw(80, 4, 3, l1=0.01)
    problem = plain.but(X=plain.X * 10.0**exponent, l1=0.01 * 10.0**exponent)
    coefficients, solution = fit(problem, max_iter=50)
    reference, _ = fit(plain)
    assert solution.converged
    np.testing.assert_allclose(coefficients[:-1] * 10.0**exponent, reference[:-1], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("l2", [0.0, 0.02])
def test_more_features_than_samples(l2):
    problem = draw(40, 300, 3, l1=0.03, l2=l2)
    coefficients, solution = fit(problem, max_iter=200)
    assert solution.converged
    assert 0 < np.count_nonzero(coefficients[:-1]) < 100
    check_the_kinks(problem, coefficients, tolerance=1e-7)


def test_one_feature():
    problem = draw(50, 1, 3, l1=0.02)
    coefficients, solution = fit(problem)
    assert solution.converged
    assert abs(excess(problem, coefficients)) <= 1e-10


def test_a_constant_feature_of_zeros_gets_no_weight():
    plain = draw(60, 4, 3, l1=0.01)
    problem = plain.but(X=np.concatenate([plain.X, np.zeros((60, 1))], axis=1))
    coefficients, solution = fit(problem)
    assert solution.converged
    np.testing.assert_array_equal(coefficients[4], 0.0)


@pytest.mark.parametrize("kind", ["hessian", "diagonal"])
def test_sparse_equals_dense(kind, monkeypatch):
    if kind == "diagonal":
        monkeypatch.setattr(proximal, "_MATRIX_LIMIT", 0)
    plain = draw(90, 12, 3, l1=0.01, l2=0.005)
    X = plain.X * (np.random.default_rng(3).uniform(size=plain.X.shape) < 0.4)
    problem = plain.but(X=X)
    how = {"tol": 1e-9, "stopping": "gradient"}
    expected, _ = fit(problem, **how)
    coefficients, solution = fit(problem, X=as_rows(scipy.sparse.csr_array(X), np.float64), **how)
    assert solution.converged
    np.testing.assert_allclose(coefficients[:-1], expected[:-1], atol=1e-6)


def test_a_strong_penalty_leaves_the_bias_only():
    problem = draw(60, 5, 3, l1=10.0)
    coefficients, solution = fit(problem)
    share = np.bincount(problem.y) / 60
    assert solution.converged
    np.testing.assert_array_equal(coefficients[:-1], 0.0)
    np.testing.assert_allclose(coefficients[-1] - np.mean(coefficients[-1]), np.log(share) - np.mean(np.log(share)))


def test_no_bias_and_a_strong_penalty_leave_nothing():
    coefficients, solution = fit(draw(60, 5, 3, l1=10.0, fit_intercept=False))
    assert solution.converged
    np.testing.assert_array_equal(coefficients, 0.0)


@pytest.mark.parametrize("name", ["softmax", "logistic", "softmax, all weights"])
def test_a_smooth_objective_works_too(name, model):
    coefficients, solution = fit(PROBLEMS[name], tol=1e-9)
    assert solution.converged
    assert abs(excess(PROBLEMS[name], coefficients)) <= 1e-9


def test_no_penalty_ends_by_the_gradient():
    problem = draw(200, 4, 3)
    coefficients, solution = fit(problem, tol=1e-9)
    assert solution.status == "gradient"
    assert np.max(np.abs(subgradient(lift(problem), coefficients))) <= 2e-9


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_float32_reaches_its_own_floor(scale):
    """Near the optimum of the rounded data, and the biases have not drifted off together."""
    plain = draw(200, 6, 4, l1=0.01)
    problem = plain.but(X=plain.X * scale, l1=0.01 * scale)
    coefficients, solution = fit(problem, dtype="float32", tol=1e-12, max_iter=200)
    assert solution.status in {"floor", "certified"}
    assert solution.certified.certificate.bound <= 1e-4
    assert abs(excess(problem, coefficients, "float32")) <= 1e-9
    assert coefficients.dtype == np.float32
    assert np.max(np.abs(coefficients[-1])) < 100


def test_raw_float32_features_are_no_obstacle():
    X, y = load_wine(return_X_y=True)
    problem = Problem(X, y, 3, l1=1.0 / len(y))
    _, solution = fit(problem, dtype="float32", tol=1e-3)
    assert solution.converged
    assert np.max(np.abs(np.asarray(solution.certified.point)[-1])) < 1e3


def test_the_objective_never_rises(problem):
    _, solution = fit(problem)
    values = [row["value"] for row in solution.history]
    assert np.all(np.diff(values) <= 1e-14)


def test_the_bound_is_above_the_truth(problem):
    dense = lift(problem)
    least = value(dense, minimum(dense))
    for tol in (1.0, 1e-1, 1e-2, 1e-4):
        coefficients, solution = fit(problem, tol=tol)
        assert value(dense, coefficients) - least <= solution.certified.certificate.bound + 1e-14


def test_a_fit_that_starts_at_the_optimum_stays_there():
    problem = WITH_L1["softmax, elastic net"]
    objective = make(problem, NUMPY)
    first = minimise(Proximal(), objective, objective.start(), tol=1e-11, max_iter=100)
    again = minimise(Proximal(), objective, first.certified.point, tol=1e-10, max_iter=100)
    assert again.n_iter == 0
    assert again.converged


def test_max_iter_ends_the_fit():
    _, solution = fit(draw(100, 5, 3, l1=0.001), max_iter=2)
    assert solution.status == "max_iter"
    assert solution.n_iter == 2


def test_more_memory_and_precision_take_no_more_iterations(monkeypatch):
    monkeypatch.setattr(proximal, "_MATRIX_LIMIT", 0)
    problem = draw(300, 15, 5, l1=0.002, informative=8)
    _, rough = fit(problem, solver=Proximal(memory=1, looseness=0.3, max_inner=20), tol=1e-8)
    _, fine = fit(problem, solver=Proximal(memory=20, looseness=0.01, max_inner=500), tol=1e-8)
    assert rough.converged
    assert fine.converged
    assert fine.n_iter < rough.n_iter


def test_the_hessian_ends_what_takes_many_iterations(monkeypatch):
    monkeypatch.setattr(proximal, "_SMALL_MATRIX", 0)
    problem = draw(200, 30, 4, l1=1e-3, informative=10)
    _, newton = fit(problem)
    monkeypatch.setattr(proximal, "_MATRIX_LIMIT", 0)
    _, plain = fit(problem)
    assert newton.converged
    assert plain.converged
    assert newton.n_iter < plain.n_iter


def test_the_model_suits_the_data():
    def surrogate_of(objective):
        return objective.curvature(objective.start()).surrogate()

    dense, wide = draw(300, 4, 3, l1=0.01), draw(100, 200, 3, l1=0.01)
    X = as_rows(scipy.sparse.csr_array(dense.X), np.float64)
    assert isinstance(surrogate_of(make(dense, NUMPY)), KroneckerSurrogate)
    assert isinstance(surrogate_of(make(wide, NUMPY)), DiagonalSurrogate)
    assert isinstance(surrogate_of(make(dense, NUMPY, X=X)), DiagonalSurrogate)


def test_an_objective_that_is_infinite_ahead_is_backed_away_from(monkeypatch):
    """The first trial of each search overflows; the step is cut instead."""
    problem = WITH_L1["softmax, l1"]
    whole, calls = proximal.evaluate, []

    def overflowing(objective, point, direction=None):
        calls.append(point)
        evaluation = whole(objective, point, direction)
        return evaluation._replace(total=np.inf) if len(calls) % 2 == 0 and len(calls) < 20 else evaluation

    monkeypatch.setattr(proximal, "evaluate", overflowing)
    coefficients, solution = fit(problem)
    assert min(row["step"] for row in solution.history) < 0.2
    assert abs(excess(problem, coefficients)) <= 1e-9


def test_the_slope_is_that_on_the_near_side():
    """Entries that have just become zero were falling towards it, from either side."""
    objective = make(WITH_L1["softmax, l1"], NUMPY)
    rng = np.random.default_rng(9)
    start, target = rng.standard_normal((2, *objective.shape))
    target[0], start[1], target[1] = 0.0, 0.0, 0.0
    direction = target - start
    totals = [proximal.evaluate(objective, start + length * direction).total for length in (1.0, 1.0 - 1e-7)]
    trial = proximal.evaluate(objective, start + direction, direction)
    expected = (totals[0] - totals[1]) / 1e-7
    np.testing.assert_allclose(proximal._slope(trial, direction, objective.l1), expected, rtol=1e-5)


def test_the_solver_is_a_value():
    solver = Proximal(memory=3)
    assert solver == Proximal(memory=3) != Proximal()
    assert pickle.loads(pickle.dumps(solver)) == solver
    assert repr(solver) == "Proximal(memory=3, looseness=0.03, max_inner=1000)"


@pytest.mark.parametrize("wrong", [{"memory": 0}, {"looseness": 1.0}, {"max_inner": 0}])
def test_hyperparameters_are_checked(wrong):
    with pytest.raises(InvalidValueError, match=f"`{next(iter(wrong))}` must be"):
        Proximal(**wrong)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_where_no_entry_is_at_work_the_fit_is_done(share):
    rng = np.random.default_rng(0)
    problem = PROBLEMS["softmax, no bias"].but(
        X=rng.standard_normal((40, 2)), y=np.arange(40) % 4, l1=share * 25, l2=1.0
    )
    objective = make(problem, NUMPY)
    solution = minimise(Proximal(), objective, objective.start(), tol=0.0, max_iter=5)
    assert solution.status == "floor"
    assert not solution.certified.point.any()
