# SPDX-License-Identifier: BSD-3-Clause
"""The metrics that are built from data: what they are of, and that they are definite whatever the data."""

import numpy as np
import pytest

from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import ConvexObjective, LinearObjective, scaling
from softmax_xp.objectives import metric_sums as module
from softmax_xp.objectives.metric import (
    CentredMetric,
    ClassMetric,
    DenseMetric,
    DiagonalMetric,
    LowRankMetric,
    ShiftedMetric,
)
from softmax_xp.solvers import SOLVERS, minimise
from tests.backends import load
from tests.objectives.convex_problems import PROBLEMS, coefficients_for
from tests.objectives.convex_reference import make, point_of, scaled_hessian

NUMPY = load("numpy")
SMOOTH = {name: problem for name, problem in PROBLEMS.items() if not problem.l1}


def as_matrix(metric, shape):
    """Return what a metric solves by as a matrix, columns slowest."""
    columns = []
    for place in range(shape[0] * shape[1]):
        unit = np.zeros(shape[0] * shape[1])
        unit[place] = 1.0
        columns.append(metric.solve(unit.reshape(shape[::-1]).T).T.ravel())
    return np.stack(columns, axis=1)


def blocks_of(matrix, shape):
    """Return the diagonal blocks, one for each column."""
    n_rows, n_columns = shape
    whole = matrix.reshape(n_columns, n_rows, n_columns, n_rows)
    return np.stack([whole[column, :, column, :] for column in range(n_columns)])


def shift_of(metric, n_rows):
    """Return what takes a step of a model of centred features to one of the features as they are."""
    shift = np.eye(n_rows)
    if isinstance(metric, ShiftedMetric):
        shift[-1, :-1] = -metric.mean[:, 0]
    return shift


def unshifted(metric):
    """Return the metric of the centred features."""
    return metric.inner if isinstance(metric, ShiftedMetric) else metric


def expected_metric(objective, problem, coefficients, *, shared, shift):
    """Write the definition out: invert the blocks, or their sum with each diagonal corrected; centre on both sides."""
    n_rows, n_columns = objective.shape
    l2 = np.zeros((n_rows, 1)) if objective.l2_rows is None else objective.l2_rows
    blocks = shift.T @ blocks_of(scaled_hessian(objective, NUMPY, problem, coefficients), objective.shape) @ shift
    everywhere = np.kron(np.eye(n_columns), shift)
    if shared:
        common = np.sum(blocks - np.diag(l2[:, 0]), axis=0) / max(n_columns - 1, 1) + np.diag(l2[:, 0])
        roots = np.sqrt(np.diag(common) / np.stack([np.diag(block) for block in blocks]))
        inverses = [root[:, None] * np.linalg.inv(common) * root for root in roots]
    else:
        inverses = [np.linalg.inv(block) for block in blocks]
    whole = np.zeros((n_columns, n_rows, n_columns, n_rows))
    for column, inverse in enumerate(inverses):
        whole[column, :, column, :] = inverse
    whole = whole.reshape(n_columns * n_rows, -1)
    if n_columns == 1:
        return everywhere @ whole @ everywhere.T
    centre = np.kron(np.eye(n_columns) - 1 / n_columns, np.eye(n_rows))
    gain = np.where(l2 > 0, 1 / np.where(l2 > 0, l2, 1), 0)
    whole = centre @ whole @ centre + np.kron(np.ones((n_columns, n_columns)) / n_columns, np.diag(gain[:, 0]))
    return everywhere @ whole @ everywhere.T


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("rows", [7, 1000])
@pytest.mark.parametrize("far", [1000.0, 0.0])
@pytest.mark.parametrize("name", SMOOTH)
def test_the_inverse_is_that_of_the_definition(in_chunks, monkeypatch, name, far, rows, shared):
    in_chunks(rows)
    monkeypatch.setattr(scaling, "_FAR", far)
    problem = SMOOTH[name]
    if "no weight" in name:
        pytest.skip("the block of a class of no weight is that of its probabilities: see the next test")
    if shared:
        monkeypatch.setattr(module, "_CLASS_WORK", 0)
    monkeypatch.setattr(module, "_SAMPLED", 0.0)  # see the next test
    objective, coefficients = make(problem, NUMPY), coefficients_for(problem)
    metric = objective.curvature(point_of(objective, NUMPY, coefficients)).metric()
    got = as_matrix(metric, objective.shape)
    shift = shift_of(metric, objective.shape[0])
    expected = expected_metric(objective, problem, coefficients, shared=shared, shift=shift)
    tolerance = 1e-7 if shared or problem.n_columns == 1 else 1e-4  # a class's own inverse has float32
    np.testing.assert_allclose(got, expected, rtol=10 * tolerance, atol=tolerance * np.max(np.abs(expected)))
    assert isinstance(metric, ShiftedMetric) == (far == 0.0 and problem.fit_intercept)
    metric = unshifted(metric)
    if problem.n_columns == 1:
        assert isinstance(metric, DenseMetric)
        exact = np.linalg.inv(scaled_hessian(objective, NUMPY, problem, coefficients))
        np.testing.assert_allclose(got, exact, rtol=1e-6, atol=1e-7 * np.max(np.abs(exact)))
    else:
        assert isinstance(metric, CentredMetric)
        assert isinstance(metric.inner, DenseMetric if shared else ClassMetric)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 30.0, 1000.0])
@pytest.mark.parametrize("form", ["classes", "dense", "low rank"])
def test_a_mean_far_above_the_spread_changes_nothing(monkeypatch, form, offset, dtype):
    choose(monkeypatch, form)
    rng = np.random.default_rng(11)
    X = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 6))
    problem = PROBLEMS["softmax"].but(
        X=X + offset, y=np.argmax(X[:, :3] + rng.gumbel(size=(400, 3)), axis=1), n_classes=3
    )
    objective = make(problem, NUMPY, dtype)
    solution = minimise(SOLVERS["lbfgs"], objective, objective.start(), tol=1e-5, max_iter=100)
    assert solution.status == "certified"
    assert solution.n_iter <= 14


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_hardly_bends_is_lifted(dtype):
    problem = PROBLEMS["softmax"].but(l2=1e-9, X=PROBLEMS["softmax"].X[:, [0, 0, 1]])  # the first two are the same
    objective, coefficients = make(problem, NUMPY, dtype), coefficients_for(problem)
    metric = objective.curvature(point_of(objective, NUMPY, coefficients)).metric()
    blocks = blocks_of(scaled_hessian(objective, NUMPY, problem, coefficients), objective.shape)
    largest = np.max(blocks[:, -1, -1])  # the row of the bias has the mean weights
    for block, inverse in zip(blocks, np.concatenate(metric.inner.inverses), strict=True):
        lifted = block + 3e-4 * largest * np.eye(len(block))
        lifted += 3e-4 * np.diag(np.diag(lifted))
        np.testing.assert_allclose(inverse @ lifted, np.eye(len(block)), atol=2e-3)
        assert inverse.dtype == np.float32


def test_a_draw_stands_for_all_samples():
    rng = np.random.default_rng(8)
    X = rng.standard_normal((6000, 5)) * np.asarray([1.0, 30.0, 0.1, 1.0, 1.0])
    coefficients = np.concatenate([rng.standard_normal((5, 3)) / np.std(X, axis=0)[:, None], np.zeros((1, 3))])
    y = np.argmax(X @ coefficients[:-1] + rng.gumbel(size=(6000, 3)), axis=1)
    problem = PROBLEMS["softmax"].but(X=X, y=y, n_classes=3)
    objective = make(problem, NUMPY)
    point = point_of(objective, NUMPY, coefficients)
    passes = objective.passes
    drawn = objective.curvature(point).metric()
    # Of the 6000 samples all have their logits computed, and 1024 are read for each class.
    assert objective.passes - passes == 0.5 * (6000 + 3 * 1024) / 6000
    exact = blocks_of(scaled_hessian(objective, NUMPY, problem, coefficients), objective.shape)
    for inverse, block in zip(np.concatenate(drawn.inner.inverses), exact, strict=True):
        ratios = np.linalg.eigvals(inverse @ block).real
        assert 0.8 < ratios.min() <= ratios.max() < 1.25


def test_stacks_and_threads_change_nothing(monkeypatch):
    problem = PROBLEMS["softmax"]
    objective, gradient = make(problem, NUMPY), coefficients_for(problem, seed=1)
    curvature = objective.curvature(point_of(objective, NUMPY, coefficients_for(problem)))
    one = curvature.metric()
    monkeypatch.setattr(module, "_STACK_BYTES", 2 * 4 * objective.shape[0] ** 2)
    monkeypatch.setattr(module, "_LARGE", 1)
    several = curvature.metric()
    assert [part.shape[0] for part in one.inner.inverses] == [4]
    assert [part.shape[0] for part in several.inner.inverses] == [2, 2]
    np.testing.assert_array_equal(several.solve(gradient), one.solve(gradient))


def test_samples_are_drawn_as_often_as_their_weights_say(backend):
    weights = np.asarray([0.0, 3.0, 0.0, 1.0, 4.0, 0.0])
    drawn = backend.to_numpy(module.drawn(backend.asarray(weights), 16))
    np.testing.assert_array_equal(np.bincount(drawn, minlength=6), [0, 6, 0, 2, 8, 0])


def test_at_zero_one_inverse_serves_all_classes():
    objective = make(PROBLEMS["softmax"], NUMPY)
    metric = objective.curvature(objective.start()).metric()
    assert isinstance(unshifted(metric).inner, DenseMetric)
    shift = np.eye(objective.shape[0])
    expected = expected_metric(objective, PROBLEMS["softmax"], np.zeros(objective.shape), shared=True, shift=shift)
    np.testing.assert_allclose(as_matrix(metric, objective.shape), expected, rtol=1e-6, atol=1e-6 * np.max(expected))


def rank_deficient(dtype):
    """Make more features than samples, among them the bias itself, an empty one, and ones of any size."""
    rng = np.random.default_rng(5)
    X = np.concatenate([rng.standard_normal((9, 10)), np.ones((9, 1)), np.zeros((9, 1))], axis=1)
    X[:, :3] *= np.asarray([1e6, 1e-6, 1e12])
    return np.concatenate([X, X[:, 3:4] - X[:, 4:5]], axis=1).astype(dtype)


FORMS = {
    "softmax": {"y": np.arange(9) % 3, "n_classes": 3},
    "softmax, l1": {"y": np.arange(9) % 3, "n_classes": 3, "l1": 0.1},
    "logistic": {"y": np.arange(9) % 2, "n_classes": 2, "one_column": True},
}


@pytest.mark.parametrize("form", ["classes", "dense", "low rank", "diagonal"])
@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("l2", [0.0, 1e-8, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_against_the_gradient_always_goes_downhill(monkeypatch, form, kind, l2, dtype):
    choose(monkeypatch, form)
    problem = PROBLEMS["softmax"].but(X=rank_deficient("float64"), l2=l2, **FORMS[kind])
    objective = make(problem, NUMPY, dtype)
    rng = np.random.default_rng(6)
    for size in (0.0, 0.1, 3.0):
        point = (size * rng.standard_normal(objective.shape)).astype(dtype)
        metric = objective.curvature(point).metric()
        slope = objective.value_and_gradient(point)[1]
        step = metric.solve(slope)
        assert step.dtype == slope.dtype
        assert np.all(np.isfinite(step))
        downhill = np.sum(step.astype(float) * slope)
        assert downhill > 0
        # Rounding of the gradient must not be all there is to the step.
        rounding = (np.finfo(dtype).eps * rng.standard_normal(slope.shape)).astype(dtype)
        assert np.sum(metric.solve(rounding) * rounding) < 1e-2 * downhill


def choose(monkeypatch, form):
    monkeypatch.setattr(module, "_DENSE_LIMIT", 0 if form == "low rank" else 2500)
    if form == "dense":
        monkeypatch.setattr(module, "_CLASS_WORK", 0)
    if form == "diagonal":
        monkeypatch.setattr(module._Builder, "is_narrow", lambda _: False)
        monkeypatch.setattr(module, "has_sparse_rows", lambda _: True)
        monkeypatch.setattr(module, "squared_entries", lambda rows, scale: (rows / scale) ** 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_along_the_data_the_inverse_is_of_the_right_size_however_large_it_is_elsewhere(dtype):
    rng = np.random.default_rng(10)
    X = rng.standard_normal((50, 1)) * np.sign(rng.standard_normal((1, 300)))  # one direction in 300 features
    problem = PROBLEMS["logistic, no bias"].but(X=X, y=rng.integers(0, 2, 50), l2=0.0)
    objective = make(problem, NUMPY, dtype)
    slope = objective.value_and_gradient(objective.start())[1]
    step = objective.curvature(objective.start()).metric().solve(slope)
    expected = slope / (np.sum((X / objective.scale[:, 0]) ** 2) / 4 / 50)
    # Of the right size, no more: 300 features alike are the worst case of rounding, which makes this step 30 times as
    # long where nothing is done about it.
    np.testing.assert_allclose(step, expected, rtol=1.0)


@pytest.mark.parametrize("name", ["softmax", "softmax, weighted soft targets", "logistic, all weights"])
def test_the_diagonal_is_that_of_the_hessian(monkeypatch, name):
    choose(monkeypatch, "diagonal")
    problem = PROBLEMS[name]
    objective, coefficients = make(problem, NUMPY), coefficients_for(problem)
    metric = objective.curvature(point_of(objective, NUMPY, coefficients)).metric()
    inner = metric.inner if problem.n_columns > 1 else metric
    assert isinstance(inner, DiagonalMetric)
    diagonal = np.diag(scaled_hessian(objective, NUMPY, problem, coefficients)).reshape(objective.shape[::-1]).T
    np.testing.assert_allclose(inner.inverse, 1 / diagonal, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", [3, 40])
def test_low_rank_is_near_the_inverse_where_the_data_are_of_low_rank(monkeypatch, rank, dtype):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((300, rank)) @ rng.standard_normal((rank, 200))
    problem = PROBLEMS["logistic"].but(X=X, y=rng.integers(0, 2, 300), l2=1e-3 * np.max(np.abs(X)) ** 2)
    objective = make(problem, NUMPY, dtype)
    point = np.zeros(objective.shape, dtype)
    exact = np.linalg.inv(scaled_hessian(objective, NUMPY, problem, np.zeros(objective.shape)))
    choose(monkeypatch, "low rank")
    metric = objective.curvature(point).metric()
    assert isinstance(unshifted(metric), LowRankMetric)
    inverse = metric.solve(np.eye(objective.shape[0], dtype=dtype)).astype(float)
    root = np.linalg.cholesky(exact)
    # The eigenvalues of the one in terms of the other: how much slower than Newton's a method with this metric can be.
    spectrum = np.linalg.eigvalsh(np.linalg.solve(root, np.linalg.solve(root, inverse).T))
    assert spectrum[-1] / spectrum[0] < 20
    diagonal = np.diag(1 / np.diag(np.linalg.inv(exact)))
    plain = np.linalg.eigvalsh(np.linalg.solve(root, np.linalg.solve(root, diagonal).T))
    assert spectrum[-1] / spectrum[0] < 0.2 * plain[-1] / plain[0]


def test_a_sample_of_the_rows_will_do(in_chunks):
    rng = np.random.default_rng(8)
    X = rng.standard_normal((9000, 3))
    problem = PROBLEMS["logistic"].but(X=X, y=rng.integers(0, 2, 9000), sample_weight=rng.uniform(0.5, 2, 9000))
    objective = make(problem, NUMPY)
    coefficients = coefficients_for(problem)
    before = objective.passes
    inverse = as_matrix(objective.curvature(point_of(objective, NUMPY, coefficients)).metric(), objective.shape)
    assert objective.passes - before <= 1.0
    exact = np.linalg.inv(scaled_hessian(objective, NUMPY, problem, coefficients))
    root = np.linalg.cholesky(exact)
    spectrum = np.linalg.eigvalsh(np.linalg.solve(root, np.linalg.solve(root, inverse).T))
    assert spectrum[-1] < 1.3
    assert spectrum[0] > 0.7


@pytest.mark.parametrize("form", ["classes", "dense", "low rank"])
def test_is_the_same_in_every_library(backend, dtype, monkeypatch, form):
    choose(monkeypatch, form)
    problem = PROBLEMS["softmax, all weights"]
    coefficients, slope = coefficients_for(problem), np.random.default_rng(9).standard_normal(problem.shape)
    solved = []
    for place in (NUMPY, backend):
        objective = make(problem, place, dtype)
        metric = objective.curvature(point_of(objective, place, coefficients)).metric()
        solved.append(place.to_numpy(metric.solve(place.asarray(slope.astype(dtype)))))
    size, narrow = np.max(np.abs(solved[0])), "float32" if form == "classes" else dtype
    rtol = 1e-2 if narrow == "float32" else 1e-8
    np.testing.assert_allclose(*solved, rtol=rtol, atol=size * np.finfo(narrow).eps * 1e4)


def test_a_low_rank_metric_of_weights_that_vanish():
    rng = np.random.default_rng(30)
    problem = PROBLEMS["logistic"].but(X=rng.standard_normal((30, 2600)), y=np.arange(30) % 2, l2=0.0)
    for size in (0.0, 1.0, 30.0, 1000.0):
        objective = make(problem, NUMPY, "float32")
        point = np.full(objective.shape, size, dtype=np.float32)
        gradient = rng.standard_normal(objective.shape).astype(np.float32)
        solved = objective.curvature(point).metric().solve(gradient)
        assert np.isfinite(solved).all()
        assert np.sum(solved.astype(float) * gradient) > 0


def test_a_far_feature_is_lifted_by_no_more_than_its_own_spread():
    rng = np.random.default_rng(12)
    X = rng.standard_normal((400, 3)) + np.asarray([0.0, 1e4, 1e5])
    problem = PROBLEMS["softmax"].but(X=X, y=np.arange(400) % 3, n_classes=3, l2=1e-9)
    objective = make(problem, NUMPY)
    coefficients = np.concatenate([0.1 * rng.standard_normal((3, 3)), np.zeros((1, 3))])
    coefficients[-1] = -X.mean(axis=0) @ coefficients[:-1]
    metric = objective.curvature(point_of(objective, NUMPY, coefficients)).metric()
    assert metric.mean[0, 0] == 0.0  # near enough to zero
    shift = shift_of(metric, objective.shape[0])
    exact = shift.T @ blocks_of(scaled_hessian(objective, NUMPY, problem, coefficients), objective.shape) @ shift
    for inverse, block in zip(np.concatenate(metric.inner.inner.inverses), exact, strict=True):
        ratios = np.linalg.eigvals(inverse @ block).real
        assert 0.1 < ratios.min() <= ratios.max() < 1.05


def test_the_features_are_surveyed_once(monkeypatch):
    objective = make(PROBLEMS["softmax"], NUMPY)
    surveys, original = [], scaling.take_rows
    monkeypatch.setattr(scaling, "take_rows", lambda *args: surveys.append(1) or original(*args))
    for _ in range(3):
        objective.curvature(objective.start()).metric()
    assert surveys == [1]


@pytest.mark.parametrize(("budget", "candidates"), [(None, 8192), (10**9, 8192), (4 * 50 * 8 * 3000, 3000), (1, 1024)])
def test_no_more_samples_are_weighed_than_a_memory_budget_has_room_for(budget, candidates):
    labels, loss = np.arange(20_000) % 50, CrossEntropy()
    targets = loss.prepare(labels, 50, dtype=np.dtype("float64"))
    linear = LinearObjective(np.ones((20_000, 3)), targets, loss, None, np.dtype("float64"), memory_budget=budget)
    builder = module._Builder(ConvexObjective(linear, 50, l2=0.1), lambda *_: None)
    assert builder._candidates() == candidates
    assert builder.classes_pay() == (budget != 1)
