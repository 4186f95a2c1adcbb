# SPDX-License-Identifier: BSD-3-Clause
"""Sparse data give what dense data give, in every form, from the value to the fit, and are never made dense."""

import numpy as np
import pytest
import scipy.sparse as sp

import softmax_xp.backend
from softmax_xp.data import sparse
from softmax_xp.data.sparse_input import as_rows, as_sparse
from softmax_xp.losses import CrossEntropy, Logistic
from softmax_xp.objectives import ConvexObjective, LinearObjective, metric_sums
from softmax_xp.objectives.scaling import feature_scale
from softmax_xp.solvers import SOLVERS, minimise
from softmax_xp.typing import LinearParams
from tests.data.sparse_forms import FORMS, random_dense

RNG = np.random.default_rng(3)
DENSE = random_dense(80, 11)
N_SAMPLES, N_FEATURES = DENSE.shape
LABELS = RNG.integers(0, 3, N_SAMPLES)
SAMPLE_WEIGHT = RNG.uniform(0.0, 2.0, N_SAMPLES)
SOFT = RNG.dirichlet(np.ones(3), N_SAMPLES)
PROBLEMS = {
    "plain": (CrossEntropy(), LABELS, None, {"l2": 0.01}),
    "weighted": (CrossEntropy(class_weight=(1.0, 2.0, 0.5)), LABELS, SAMPLE_WEIGHT, {"l2": 0.02}),
    "soft": (CrossEntropy(), SOFT, None, {"l2": 0.01, "fit_intercept": False}),
    "one column": (Logistic(), (LABELS > 0).astype(int), SAMPLE_WEIGHT, {"l2": 0.01}),
    "elastic net": (CrossEntropy(), LABELS, SAMPLE_WEIGHT, {"l2": 0.01, "l1": 0.01}),
    "lasso": (Logistic(), (LABELS > 0).astype(int), None, {"l1": 0.01}),
    "unpenalised": (CrossEntropy(), LABELS, None, {"fit_intercept": False}),
}
SMOOTH = [name for name, (*_, strengths) in PROBLEMS.items() if "l1" not in strengths]


def objective(X, problem="plain", dtype="float64"):
    loss, y, weight, strengths = PROBLEMS[problem]
    kind = np.dtype(dtype)
    y = y.astype(kind) if y.ndim == 2 else y
    n_classes = y.shape[1] if y.ndim == 2 else int(y.max()) + 1
    targets = loss.prepare(y, n_classes, dtype=kind, sample_weight=None if weight is None else weight.astype(kind))
    X = as_rows(as_sparse(X), kind) if sparse.is_sparse(X) else X.astype(kind)
    return ConvexObjective(LinearObjective(X, targets, loss, None, kind), n_classes, **strengths)


def points(made, n=2, dtype="float64"):
    rng = np.random.default_rng(11)
    return [rng.standard_normal(made.shape).astype(dtype) for _ in range(n)]


def close(ours, theirs, tolerance=1e-12):
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * (1.0 + np.max(np.abs(theirs))))


@pytest.fixture
def many_chunks(monkeypatch):
    """Cut even small data into chunks."""
    monkeypatch.setattr(sparse, "_CHUNK_PRODUCTS", 1)
    monkeypatch.setattr(sparse, "_ENTRIES_FOR_A_FEATURE", 1)


@pytest.fixture
def never_dense(monkeypatch):
    """Make each way to write out a matrix's zeros an error."""

    def refuse(self, *arguments, **options):
        pytest.fail("a sparse matrix was made dense")

    for kind in (sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix, sp.coo_array, sp.coo_matrix):
        for name in ("toarray", "todense", "__array__"):
            monkeypatch.setattr(kind, name, refuse, raising=False)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("form", ["csr_array", "csc_matrix", "int64 duplicates", "unsorted csr", "explicit zeros"])
@pytest.mark.usefixtures("many_chunks")
def test_sparse_is_dense_in_all_that_a_solver_sees(form, problem):
    ours, theirs = objective(FORMS[form](DENSE), problem), objective(DENSE, problem)
    assert len(list(ours.linear.chunks(3))) > 2
    point, direction = points(theirs)
    np.testing.assert_array_equal(ours.scale, theirs.scale)
    for mine, other in zip(ours.value_and_gradient(point), theirs.value_and_gradient(point), strict=True):
        close(mine, other)
    close(ours.curvature(point).product(direction), theirs.curvature(point).product(direction))
    close(ours.curvature(point).matrix(), theirs.curvature(point).matrix())
    mine, other = ours.certificate(point), theirs.certificate(point)
    close(mine.point, other.point)
    close(mine.certificate.value, other.certificate.value)
    close(mine.certificate.gradient_norm, other.certificate.gradient_norm)
    np.testing.assert_allclose(mine.certificate.bound, other.certificate.bound, rtol=1e-11)
    assert ours.passes == theirs.passes


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_bits(form):
    if form in {"explicit zeros", "bsr_array", "dia_array"}:
        pytest.skip("it stores zeros, which are added too")
    ours, theirs = objective(FORMS[form](DENSE)), objective(sp.csr_array(DENSE))
    point, direction = points(theirs)
    for mine, other in zip(ours.value_and_gradient(point), theirs.value_and_gradient(point), strict=True):
        if "duplicates" in form:
            close(mine, other)
        else:
            np.testing.assert_array_equal(mine, other)
    close(ours.curvature(point).product(direction), theirs.curvature(point).product(direction))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("many_chunks")
def test_the_number_of_threads_changes_no_bit(monkeypatch, dtype):
    made = objective(sp.csr_array(DENSE), "weighted", dtype)
    point, direction = points(made, dtype=dtype)

    def everything(threads):
        monkeypatch.setattr(softmax_xp.backend, "blas_threads", lambda: threads)
        curvature = made.curvature(point)
        return [
            *made.value_and_gradient(point),
            curvature.product(direction),
            curvature.metric().solve(direction),
            made.certificate(point).point,
        ]

    one = everything(1)
    for threads in (2, 3, 5):
        for mine, other in zip(everything(threads), one, strict=True):
            np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("problem", SMOOTH)
@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "proximal"])
@pytest.mark.usefixtures("many_chunks")
def test_a_fit_to_sparse_data_is_that_to_dense_data(solver, problem):
    ours, theirs = objective(sp.csc_array(DENSE), problem), objective(DENSE, problem)
    stopping = {"tol": 1e-10, "stopping": "gradient"} if problem == "unpenalised" else {"tol": 1e-13}
    found = [minimise(SOLVERS[solver], made, made.start(), max_iter=500, **stopping) for made in (ours, theirs)]
    assert all(solution.converged for solution in found)
    mine, other = (solution.certified for solution in found)
    # Without a penalty a small gradient does not prove a small distance.
    close(mine.certificate.value, other.certificate.value, 1e-9 if problem == "unpenalised" else 1e-12)
    np.testing.assert_allclose(mine.point, other.point, rtol=0.0, atol=1e-3 if problem == "unpenalised" else 2e-5)


@pytest.mark.skipif("proximal" not in SOLVERS, reason="no solver for an L1 penalty")
@pytest.mark.parametrize("problem", ["elastic net", "lasso"])
@pytest.mark.usefixtures("many_chunks")
def test_a_penalised_fit_to_sparse_data_has_the_same_zeros(problem):
    ours, theirs = objective(sp.csc_array(DENSE), problem), objective(DENSE, problem)
    found = [minimise(SOLVERS["proximal"], made, made.start(), tol=1e-12, max_iter=2000) for made in (ours, theirs)]
    mine, other = (solution.certified for solution in found)
    close(mine.certificate.value, other.certificate.value, 1e-11)
    np.testing.assert_array_equal(mine.point == 0.0, other.point == 0.0)


@pytest.fixture
def wide(monkeypatch):
    """Treat the few features as too many to be worth the inverse of a dense metric."""
    monkeypatch.setattr(metric_sums, "_NARROW_WORK", 0)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
@pytest.mark.usefixtures("many_chunks", "never_dense", "wide")
def test_a_fit_makes_nothing_dense_and_keeps_its_float(solver):
    made = objective(sp.csr_matrix(DENSE), dtype="float32")
    solution = minimise(SOLVERS[solver], made, made.start(), tol=1e-5, max_iter=100)
    assert solution.converged
    assert solution.certified.point.dtype == "float32"
    assert np.all(solution.certified.point[4] == 0.0)  # the empty column


def test_an_explicit_hessian_writes_out_few_rows_at_a_time(monkeypatch):
    monkeypatch.setattr("softmax_xp.ops.linear._LEAST_CHUNK_ROWS", 16)
    monkeypatch.setattr("softmax_xp.ops.linear._CPU_LOGITS_BYTES", 1)
    made, theirs = objective(sp.csr_matrix(DENSE)), objective(DENSE)
    written = []
    toarray = sp.csr_array.toarray
    monkeypatch.setattr(sp.csr_array, "toarray", lambda rows: written.append(rows.shape[0]) or toarray(rows))
    point = points(made, 1)[0]
    close(made.curvature(point).matrix(), theirs.curvature(point).matrix())
    assert written == [16] * 5


@pytest.mark.usefixtures("wide")
def test_the_metric_of_wide_data_is_the_diagonal_of_the_hessian():
    made = objective(sp.csr_array(DENSE), "one column")
    point = points(made, 1)[0]
    inverse = made.curvature(point).metric().solve(np.ones(made.shape))
    np.testing.assert_allclose(1.0 / inverse[:, 0], np.diag(made.curvature(point).matrix()), rtol=1e-8)


def test_encoded_categories_get_the_metric_of_dense_data():
    """Each group of columns adds up to the bias, of which a diagonal knows nothing."""
    codes = np.stack([RNG.integers(0, levels, 1000) for levels in (3, 4, 5)], axis=1)
    encoded = np.concatenate([codes[:, [group]] == np.arange(5)[None, :] for group in range(3)], axis=1).astype(float)
    weight = np.random.default_rng(2).standard_normal((15, 3))
    y = (encoded @ weight + np.random.default_rng(3).gumbel(size=(1000, 3))).argmax(axis=1)
    targets = CrossEntropy().prepare(y, 3, dtype=np.dtype("float64"))

    def fit(X):
        made = ConvexObjective(LinearObjective(X, targets, CrossEntropy(), None, np.dtype("float64")), 3, l2=1e-6)
        metric = made.curvature(np.ones(made.shape)).metric()
        return minimise(SOLVERS["lbfgs"], made, made.start(), tol=1e-9, max_iter=100), metric.solve(np.ones(made.shape))

    (ours, mine), (theirs, other) = fit(as_rows(sp.csr_array(encoded))), fit(encoded)
    np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4 * np.max(np.abs(other)))
    assert ours.converged
    assert ours.passes == theirs.passes < 40


@pytest.mark.usefixtures("wide")
def test_features_of_any_size_fit():
    sizes = 2.0 ** np.asarray([-100, 90, 0, 3, 1, 60, -60, 10, -10, 100, 2])
    made, plain = objective(sp.csr_array(DENSE * sizes), "unpenalised"), objective(sp.csr_array(DENSE), "unpenalised")
    point = points(made, 1)[0]
    np.testing.assert_array_equal(made.value_and_gradient(point)[1], plain.value_and_gradient(point)[1])
    narrow = objective(sp.csr_array(DENSE * sizes), "unpenalised", "float32")
    assert np.all(np.isfinite(narrow.curvature(point.astype("float32")).metric().solve(point.astype("float32"))))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_scale_of_a_feature_is_about_its_largest_entry(dtype):
    for X in (DENSE, sp.csr_array(DENSE)):
        made = objective(X, dtype=dtype).linear
        scale = feature_scale(made, 0.0)
        assert scale.dtype == dtype
        assert scale.shape == (N_FEATURES, 1)
        np.testing.assert_array_equal(np.frexp(scale)[0], 0.5)
        share = np.abs(DENSE).max(axis=0)[:, None] / scale
        assert np.all((share == 0.0) | ((share > 0.7) & (share < 1.42)))
        assert scale[4] == 1.0
        assert feature_scale(made, 4.0**2)[4] == 4.0


def test_a_linear_objective_evaluates_sparse_data():
    made, theirs = objective(sp.csr_array(DENSE), "weighted").linear, objective(DENSE, "weighted").linear
    rng = np.random.default_rng(5)
    params = LinearParams(rng.standard_normal((N_FEATURES, 3)), rng.standard_normal(3))
    close(made.evaluate(params), theirs.evaluate(params))


def test_integer_rows_are_converted_chunk_by_chunk():
    counts = np.round(10 * np.abs(DENSE)).astype(np.int64)
    targets = CrossEntropy().prepare(LABELS, 3, dtype=np.dtype("float32"))
    params = LinearParams(np.ones((N_FEATURES, 3), dtype="float32") * np.arange(3, dtype="float32"))
    values = [
        LinearObjective(X, targets, CrossEntropy(), None, np.dtype("float32")).value_and_gradient(params)
        for X in (as_rows(sp.csr_array(counts)), counts)
    ]
    assert values[0][1].weight.dtype == "float32"
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=1e-6)
    np.testing.assert_allclose(values[0][1].weight, values[1][1].weight, rtol=1e-4, atol=1e-4)


def test_logits_are_kept_where_they_are_small_beside_what_a_fit_holds():
    targets = CrossEntropy().prepare(np.zeros(10**6, dtype=int), 3, dtype=np.dtype("float64"))

    def keeps(X, n_columns):
        return LinearObjective(X, targets, CrossEntropy(), None, np.dtype("float64")).keeps_logits(n_columns, 8)

    assert keeps(sp.csr_array((10**6, 10)), 1)
    assert not keeps(sp.csr_array((10**6, 10**5)), 3)
    assert keeps(sp.csr_array((10**6, 10**5 + 10**5)), 3)
    assert not keeps(np.broadcast_to(0.0, (10**6, 47)), 3)
    assert keeps(np.broadcast_to(0.0, (10**6, 48)), 3)
    # A sixteenth in bytes, not in entries.
    for stored, n_features in (("float32", 96), ("uint8", 384), ("bool", 384)):
        assert not keeps(np.broadcast_to(np.zeros((), stored), (10**6, n_features - 1)), 3)
        assert keeps(np.broadcast_to(np.zeros((), stored), (10**6, n_features)), 3)


def test_a_metric_of_drawn_samples_is_that_of_dense_data():
    X = np.where(np.random.default_rng(1).uniform(size=(3000, 6)) < 0.5, random_dense(3000, 6), 0.0)
    y = np.arange(3000) % 3
    loss = CrossEntropy()
    metrics = []
    for rows in (X, as_rows(as_sparse(sp.csr_array(X)), X.dtype)):
        targets = loss.prepare(y, 3, dtype=X.dtype)
        made = ConvexObjective(LinearObjective(rows, targets, loss, None, X.dtype), 3, l2=0.01)
        metrics.append(made.curvature(0.1 + made.start() + np.arange(3)).metric())
    ours, theirs = (np.concatenate(metric.inner.inverses) for metric in metrics)
    assert ours.shape == (3, 7, 7)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.max(theirs))
