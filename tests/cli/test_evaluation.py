# SPDX-License-Identifier: BSD-3-Clause
"""How the command line measures a model."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import accuracy_score, log_loss

from softmax_xp import SoftmaxModel
from softmax_xp.cli import evaluation
from softmax_xp.cli.evaluation import Evaluation, evaluate_model, logit_chunks, most_confused
from softmax_xp.data.sparse_source import CsrArraySource
from softmax_xp.data.streamed import stream_matrix
from softmax_xp.errors import InvalidValueError
from softmax_xp.typing import LinearParams


@pytest.fixture
def classifier():
    generator = np.random.default_rng(0)
    return SoftmaxModel(LinearParams(generator.standard_normal((4, 3)), np.zeros(3)), np.array(["x", "y", "z"]))


@pytest.mark.parametrize("limit", [1, 30, 1 << 22])
def test_is_scikit_learns_whatever_the_chunks(monkeypatch, classifier, limit):
    monkeypatch.setattr(evaluation, "_CHUNK_LOGITS", limit)
    generator = np.random.default_rng(1)
    X, y = generator.standard_normal((57, 4)), np.array(["x", "y", "z"])[generator.integers(0, 3, 57)]
    result = evaluate_model(classifier, X, y)
    assert result.accuracy == pytest.approx(accuracy_score(y, classifier.predict(X)), rel=1e-12)
    assert result.loss == pytest.approx(log_loss(y, classifier.predict_proba(X)), rel=1e-12)
    np.testing.assert_array_equal(classifier.classes[result.labels], y)
    np.testing.assert_array_equal(classifier.classes[result.predicted], classifier.predict(X))
    assert result.summary() == {"samples": 57, "loss": result.loss, "accuracy": result.accuracy}


def test_chunks_bound_the_logits(monkeypatch, classifier):
    monkeypatch.setattr(evaluation, "_CHUNK_LOGITS", 30)
    shapes = [(rows, logits.shape) for rows, logits in logit_chunks(classifier, np.zeros((25, 4)))]
    assert shapes == [(slice(0, 10), (10, 3)), (slice(10, 20), (10, 3)), (slice(20, 25), (5, 3))]


def test_the_loss_is_finite_where_probabilities_underflow(classifier):
    assert evaluate_model(classifier, np.full((1, 4), 1e6), ["x"]).loss < np.inf
    assert evaluate_model(classifier, np.full((1, 4), 1e6), ["y"]).loss < np.inf


def test_an_unknown_label_is_an_error(classifier):
    with pytest.raises(InvalidValueError, match=r"got the unknown label 'w' at row 1"):
        evaluate_model(classifier, np.zeros((2, 4)), np.array(["x", "w"]))


def test_the_most_frequent_mistakes_come_first():
    labels = np.array([0, 0, 1, 1, 1, 5, 2])
    predicted = np.array([0, 3, 4, 4, 1, 0, 2])
    result = Evaluation(0.0, 0.0, labels, predicted)
    assert most_confused(result, 6, 10) == [(1, 4, 2), (0, 3, 1), (5, 0, 1)]
    assert most_confused(result, 6, 1) == [(1, 4, 2)]
    assert most_confused(Evaluation(0.0, 1.0, labels, labels), 6, 10) == []


def test_sparse_samples_from_storage_are_written_out_a_few_rows_at_a_time(monkeypatch, classifier):
    monkeypatch.setattr(evaluation, "_CHUNK_NUMBERS", 20)
    X = np.arange(48.0).reshape(12, 4) % 3
    rows = stream_matrix(CsrArraySource.of(csr_array(X)))
    y = classifier.predict(X)
    assert evaluate_model(classifier, rows, y)[:2] == pytest.approx(evaluate_model(classifier, X, y)[:2], rel=1e-12)
    assert [part.stop - part.start for part, _ in logit_chunks(classifier, rows)] == [5, 5, 2]
