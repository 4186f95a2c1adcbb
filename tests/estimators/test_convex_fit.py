# SPDX-License-Identifier: BSD-3-Clause
"""Full-batch fits: what the solvers get, and when no minimum exists."""

import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from sklearn.datasets import load_iris

from softmax_xp import SoftmaxClassifier
from softmax_xp.estimators import convex_fit
from softmax_xp.estimators.convex_fit import convex_objective, fit_convex, separates
from softmax_xp.estimators.problem import prepare_fit
from softmax_xp.estimators.reporting import NotConvergedWarning
from softmax_xp.estimators.settings import FitSettings
from softmax_xp.losses import CrossEntropy, Logistic
from softmax_xp.objectives import LinearObjective, linear
from softmax_xp.solvers import LBFGS, Status
from softmax_xp.typing import LinearParams
from tests.estimators.samples import blobs, soft


def prepared(X, y, weight=None, **params):
    classifier = SoftmaxClassifier(device="cpu", **params)
    settings = FitSettings.of(classifier)
    return prepare_fit(classifier, settings, X, y, weight), settings


def test_the_objective_is_scikit_learns_per_sample():
    X, y = blobs()
    weight = np.random.default_rng(0).uniform(size=len(y))
    problem, settings = prepared(X, y, weight, C=2.0, class_weight={0: 3.0}, fit_intercept=False)
    objective = convex_objective(problem, settings)
    coef = np.random.default_rng(1).normal(size=(4, 3))
    value, _ = objective.value_and_gradient(objective.point(LinearParams(coef, None)))
    counts = weight * np.where(y == 0, 3.0, 1.0)
    logits = X @ coef
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    expected = 2.0 * (counts * losses).sum() + 0.5 * (coef**2).sum()
    assert float(value) * 2.0 * counts.sum() == pytest.approx(expected, rel=1e-12)


def test_an_instance_is_a_solver_too():
    X, y = blobs()
    problem, settings = prepared(X, y, solver=LBFGS())
    parts = fit_convex(problem, settings, None, lambda row: False)
    assert parts.solver == "LBFGS"
    assert parts.status == Status.CERTIFIED


def test_biases_are_centred_and_without_penalty_weights():
    X, y = blobs()
    start = LinearParams(np.zeros((4, 3)), np.asarray([5.0, 6.0, 7.0]))
    problem, settings = prepared(X, y)
    parts = fit_convex(problem, settings, start, lambda row: False)
    assert abs(parts.params.bias.sum()) < 1e-12
    problem, settings = prepared(X, y, C=np.inf)
    start = LinearParams(np.ones((4, 3)), np.asarray([5.0, 6.0, 7.0]))
    parts = fit_convex(problem, settings, start, lambda row: False)
    np.testing.assert_allclose(parts.params.weight.sum(axis=1), 0.0, atol=1e-12)


def margins(backend, y, weight=None, n_classes=2, *, distribution=None, slope=1.0):
    X = np.asarray([[-2.0], [-1.0], [1.0], [3.0]])
    loss = Logistic() if n_classes == 2 else CrossEntropy()
    given = backend.asarray(np.asarray(y) if distribution is None else np.asarray(distribution))
    weight = None if weight is None else backend.asarray(np.asarray(weight))
    X = backend.asarray(X)
    targets = loss.prepare(given, n_classes, dtype=X.dtype, sample_weight=weight)
    columns = np.asarray([[slope]]) if n_classes == 2 else np.asarray([[-slope, 0.0, slope]])
    params = LinearParams(backend.asarray(columns), None)
    return separates(LinearObjective(X, targets, loss, None, X.dtype), params)


def test_separation_is_seen(backend):
    assert margins(backend, [0, 0, 1, 1])
    assert not margins(backend, [0, 1, 1, 1])
    assert not margins(backend, [0, 0, 1, 1], slope=0.0)
    assert margins(backend, [0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0])
    assert margins(backend, [0, 0, 2, 2], n_classes=3)
    assert not margins(backend, [0, 0, 1, 2], n_classes=3)
    assert margins(backend, None, distribution=np.eye(2)[[0, 0, 1, 1]])
    assert not margins(backend, None, distribution=[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.0, 1.0]])


def test_separable_data_with_a_penalty_are_no_problem():
    X, y = np.asarray([[-2.0], [-1.0], [1.0], [3.0]]), [0, 0, 1, 1]
    assert SoftmaxClassifier(C=1e3, device="cpu").fit(X, y).status_ == "certified"


def test_soft_targets_without_a_penalty_have_a_minimum():
    X, _ = blobs()
    classifier = SoftmaxClassifier(C=np.inf, device="cpu").fit(X, soft(len(X)))
    assert classifier.status_ == "gradient"


@pytest.mark.parametrize("n_classes", [2, 3])
def test_separable_data_of_many_features_end_with_a_warning(n_classes):
    X, y = blobs(20, 40, n_classes)
    with pytest.warns(NotConvergedWarning, match="No minimum exists"):
        classifier = SoftmaxClassifier(C=np.inf, device="cpu").fit(X, y)
    assert np.isfinite(classifier.coef_).all()
    assert classifier.score(X, y) == 1.0


class TestRoughProducts:
    """A library whose products are rough for the first part of a fit, as TF32's are."""

    @pytest.fixture
    def rough(self, monkeypatch):
        """Pretend that NumPy has such a setting: while it is on, factors keep 11 bits."""
        used = []

        @contextmanager
        def products(backend, compute):
            def rounded(array):
                mantissa, exponent = np.frexp(array)
                return np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent).astype(array.dtype)

            original = linear.linear_logits
            used.append(compute)
            if compute == "tf32":
                linear.linear_logits = lambda params, X: original(
                    params._replace(weight=rounded(params.weight)), rounded(X)
                )
            try:
                yield
            finally:
                linear.linear_logits = original

        monkeypatch.setattr(convex_fit, "products", products)
        monkeypatch.setattr(convex_fit, "can_be_rough", lambda backend: True)
        return used

    def test_the_fit_ends_with_exact_ones_at_the_same_optimum(self, rough):
        X, y = load_iris(return_X_y=True)
        exact = SoftmaxClassifier(tol=1e-9, solver="lbfgs").fit(X, y)
        assert rough == ["float32"]
        shown = []
        fitted = SoftmaxClassifier(tol=1e-9, solver="lbfgs", compute="tf32", callbacks=[shown.append]).fit(X, y)
        assert rough == ["float32", "tf32", "float32"]
        np.testing.assert_allclose(fitted.coef_, exact.coef_, atol=1e-3)
        assert fitted.certificate_.bound <= 1e-9
        assert fitted.status_ == "certified"
        # One history: iterations, passes and seconds go on where the rough part ended.
        for column in ("iteration", "passes", "seconds"):
            assert (np.diff(fitted.history_[column]) >= 0).all()
        assert fitted.history_["iteration"][-1] == fitted.n_iter_[0]
        assert [row["iteration"] for row in shown] == list(fitted.history_["iteration"])

    def test_rough_products_alone_would_not_get_there(self, rough, monkeypatch):
        X, y = load_iris(return_X_y=True)
        monkeypatch.setattr(convex_fit, "COMPUTE", ("tf32", "tf32"))
        with pytest.warns(NotConvergedWarning):
            fitted = SoftmaxClassifier(tol=1e-9, solver="lbfgs", compute="bfloat16").fit(X, y)
        assert fitted.certificate_.bound > 1e-9

    def test_a_fit_that_the_user_ends_ends(self, rough):
        X, y = load_iris(return_X_y=True)
        fitted = SoftmaxClassifier(compute="tf32", callbacks=[lambda row: row["iteration"] == 2]).fit(X, y)
        assert fitted.status_ == "stopped"
        assert rough == ["tf32"]


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "proximal"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_fit_takes_its_budget_beside_vectors_of_coefficients(solver, dtype):
    X, y = blobs(4000, n_features=5, n_classes=60, dtype=dtype)
    settings = {"device": "cpu", "solver": solver, "l1_ratio": 0.5 * (solver == "proximal"), "C": 0.01, "tol": 1e-2}
    peaks, fits = [], []
    for budget in (None, 600_000):
        tracemalloc.start()
        try:
            fits.append(SoftmaxClassifier(**settings, memory_budget=budget).fit(X, y))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    vectors = 6 * 60 * 8 * 60 + 60 * 60 * 8 * 6  # the solver's with its metric, and the certificate's curvature
    prepared = 4000 * 8 * 6  # labels and what was made of them
    assert peaks[1] <= 600_000 + vectors + prepared < 0.5 * peaks[0]
    for fit in fits:
        assert fit.certificate_.bound <= 1e-2
    assert fits[1].certificate_.value == pytest.approx(fits[0].certificate_.value, abs=1e-2)
