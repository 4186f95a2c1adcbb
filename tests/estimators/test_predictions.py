# SPDX-License-Identifier: BSD-3-Clause
"""What a fitted classifier says, row by row and where the rows live."""

import numpy as np
import pytest
from scipy.special import log_expit, log_softmax

from softmax_xp import SoftmaxClassifier
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators import predictions
from softmax_xp.ops import predicted
from tests.estimators.samples import blobs


def fitted(n_classes=3, **params):
    X, y = blobs(n_classes=n_classes)
    return SoftmaxClassifier(device="cpu", **params).fit(X, y), X, y


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_methods_agree_with_one_another(n_classes):
    classifier, X, _ = fitted(n_classes)
    logits = X @ classifier.coef_.T + classifier.intercept_
    decision = classifier.decision_function(X)
    np.testing.assert_allclose(decision, logits[:, 0] if n_classes == 2 else logits, rtol=1e-12)
    probabilities = classifier.predict_proba(X)
    assert probabilities.shape == (len(X), n_classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(classifier.predict_log_proba(X), np.log(probabilities), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(classifier.predict(X), probabilities.argmax(axis=1))


def test_log_probabilities_are_finite_far_out():
    for n_classes in (2, 3):
        classifier, X, _ = fitted(n_classes)
        far = X * 1e4
        logarithms = classifier.predict_log_proba(far)
        assert np.isfinite(logarithms).all()
        assert logarithms.min() < -1e4
        logits = classifier.decision_function(far)
        expected = (
            log_softmax(logits, axis=1) if n_classes > 2 else np.stack([log_expit(-logits), log_expit(logits)], axis=1)
        )
        np.testing.assert_allclose(logarithms, expected, rtol=1e-12, atol=1e-200)


def test_ties_go_to_the_first_class():
    for n_classes in (2, 3):
        classifier, X, _ = fitted(n_classes)
        classifier.coef_, classifier.intercept_ = classifier.coef_ * 0.0, classifier.intercept_ * 0.0
        assert (classifier.predict(X) == 0).all()
        np.testing.assert_array_equal(classifier.predict_proba(X), np.full((len(X), n_classes), 1.0 / n_classes))
        top = classifier.predict_top_k(X, n_classes)
        np.testing.assert_array_equal(top.labels[0], np.arange(n_classes))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("k", [1, 2])
def test_the_top_k_are_the_sorted_probabilities(backend, n_classes, k):
    classifier, X, _ = fitted(n_classes)
    probabilities = classifier.predict_proba(X)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    top = classifier.predict_top_k(backend.asarray(X), k)
    np.testing.assert_array_equal(backend.to_numpy(top.labels), order)
    expected = np.take_along_axis(probabilities, order, axis=1)
    np.testing.assert_allclose(backend.to_numpy(top.probabilities), expected, rtol=1e-9)
    logarithms = classifier.predict_top_k(backend.asarray(X), k, log=True).probabilities
    np.testing.assert_allclose(backend.to_numpy(logarithms), np.log(expected), rtol=1e-9)


@pytest.mark.parametrize("k", [3, 40])
def test_many_classes_by_search_and_by_sorting(k):
    X, _ = blobs(200, 6)
    classifier = SoftmaxClassifier(device="cpu").fit(X, np.asarray([f"c{code:02}" for code in np.arange(200) % 50]))
    top = classifier.predict_top_k(X, k)
    probabilities = classifier.predict_proba(X)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(top.labels, classifier.classes_[order])
    np.testing.assert_allclose(top.probabilities, np.take_along_axis(probabilities, order, axis=1), rtol=1e-10)


def test_the_top_k_never_hold_all_probabilities(monkeypatch):
    classifier, X, _ = fitted()
    rows = []
    largest = predictions._largest
    monkeypatch.setattr(predicted, "chunk_rows", lambda *_, **__: 7)
    monkeypatch.setattr(predictions, "_largest", lambda logits, k: rows.append(logits.shape[0]) or largest(logits, k))
    whole = classifier.predict_top_k(X, 1)
    assert sum(rows) == len(X)
    assert max(rows) == 7
    assert whole.labels.shape == (len(X), 1)


@pytest.mark.parametrize("method", ["decision_function", "predict", "predict_proba", "predict_log_proba"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_chunks_change_nothing(monkeypatch, backend, method, n_classes):
    classifier, X, _ = fitted(n_classes)
    whole = getattr(classifier, method)(X)
    monkeypatch.setattr(predicted, "chunk_rows", lambda *_, **__: 7)
    np.testing.assert_allclose(backend.to_numpy(getattr(classifier, method)(backend.asarray(X))), whole, rtol=1e-12)


def test_the_wider_float_wins():
    X, y = blobs(dtype="float32")
    classifier = SoftmaxClassifier(device="cpu").fit(X, y)
    assert classifier.coef_.dtype == np.float32
    assert classifier.predict_proba(X).dtype == np.float32
    assert classifier.predict_proba(X.astype("float64")).dtype == np.float64
    assert classifier.predict_proba(np.full((1, 4), 1e100)).sum() == 1.0
    assert classifier.predict_proba((X * 10).astype("int8")).dtype == np.float32


@pytest.mark.parametrize(
    ("k", "kind", "text"),
    [
        (0, InvalidValueError, "`k` must be between 1 and the 3 classes; got 0."),
        (4, InvalidValueError, "`k` must be between 1 and the 3 classes; got 4."),
        (1.0, InvalidTypeError, "`k` must be an integer; got 1.0."),
        (True, InvalidTypeError, "`k` must be an integer; got True."),
    ],
)
def test_k_is_checked(k, kind, text):
    classifier, X, _ = fitted()
    with pytest.raises(kind, match=text):
        classifier.predict_top_k(X, k)


def test_the_score_is_the_weighted_accuracy():
    classifier, X, y = fitted()
    hits = classifier.predict(X) == y
    weight = np.random.default_rng(0).uniform(size=len(y))
    score = classifier.score(X, y, weight)
    assert type(score) is float
    assert score == pytest.approx(np.average(hits, weights=weight))
    assert classifier.score(X, y.tolist()) == classifier.score(X, y[:, None]) == pytest.approx(hits.mean())
    assert classifier.score(X, ["x"] * len(y)) == 0.0
    assert classifier.score(X, np.asarray(["x"] * len(y))) == 0.0
    with pytest.raises(InvalidValueError, match="one entry per sample"):
        classifier.score(X, y[:-1])
    with pytest.raises(InvalidValueError, match=r"`y` must have shape \(90,\)"):
        classifier.score(X, np.eye(3)[y])


def test_by_default_five_classes_or_all_of_fewer():
    X, y = blobs(n_classes=3)
    assert SoftmaxClassifier(device="cpu").fit(X, y).predict_top_k(X).labels.shape == (90, 3)
    X, y = blobs(n_classes=7)
    assert SoftmaxClassifier(device="cpu").fit(X, y).predict_top_k(X).labels.shape == (90, 5)
