# SPDX-License-Identifier: BSD-3-Clause
"""Full-batch fits: what the solvers get, and when no minimum exists."""

import numpy as np
import pytest

from softmax_xp import SoftmaxClassifier
from softmax_xp.estimators.convex_fit import convex_objective, fit_convex, separates
from softmax_xp.estimators.problem import prepare_fit
from softmax_xp.estimators.reporting import NotConvergedWarning
from softmax_xp.estimators.settings import FitSettings
from softmax_xp.losses import CrossEntropy, Logistic
from softmax_xp.objectives import LinearObjective
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
