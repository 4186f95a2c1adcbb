# SPDX-License-Identifier: BSD-3-Clause
"""Answers joined from chunks: the same for any chunks, in little memory, also where memory ends."""

import tracemalloc

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import softmax_xp as sx
from softmax_xp.backend import Backend
from softmax_xp.devices import get_backend
from softmax_xp.ops import predicted
from softmax_xp.ops.predicted import predicted_rows
from softmax_xp.typing import LinearParams

N_SAMPLES, N_FEATURES, N_CLASSES = 400, 30, 1500
RNG = np.random.default_rng(2)
X = RNG.standard_normal((N_SAMPLES, N_FEATURES))
CPU = get_backend("cpu")


def pair(rows):
    return X[rows] * 2.0, X[rows, 0] > 0.0


@pytest.fixture
def few_rows(monkeypatch):
    monkeypatch.setattr(predicted, "chunk_rows", lambda *_, **__: 7)


@pytest.mark.usefixtures("few_rows")
def test_chunks_are_joined_with_any_library(backend):
    given = backend.asarray(X)
    lengths = []

    def predict(rows):
        lengths.append(rows.stop - rows.start)
        return given[rows, :] * 2.0, given[rows, 0] > 0.0

    place = Backend("somewhere", backend.xp, backend.device)  # one that may not write to arrays
    for where in (sx.get_backend(None, like=given), place):
        doubled, signs = predicted_rows(predict, X.shape, 3, 8, where)
        np.testing.assert_allclose(backend.to_numpy(doubled), 2.0 * X, rtol=1e-6)
        np.testing.assert_array_equal(backend.to_numpy(signs), X[:, 0] > 0.0)
    assert max(lengths) == 7
    assert lengths.count(1) == 2  # 400 is 57 * 7 + 1


def test_a_single_chunk_is_the_answer_itself():
    made = []

    def predict(rows):
        made.append(X[rows] + 1.0)
        return (made[0],)

    (whole,) = predicted_rows(predict, X.shape, 3, 8, CPU)
    assert whole is made[0]


def peak_of(function):
    function()
    tracemalloc.start()
    try:
        answer = function()
        return tracemalloc.get_traced_memory()[1], answer
    finally:
        tracemalloc.stop()


def classifier_with(budget, dtype):
    classifier = sx.SoftmaxClassifier(device="cpu", memory_budget=budget)
    classifier.coef_ = RNG.standard_normal((N_CLASSES, N_FEATURES)).astype(dtype)
    classifier.intercept_ = RNG.standard_normal(N_CLASSES).astype(dtype)
    classifier.classes_, classifier.n_features_in_ = np.arange(N_CLASSES), N_FEATURES
    return classifier


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("budget", [300_000, 1_500_000])
@pytest.mark.parametrize(
    ("method", "k", "beside"),
    [
        ("decision_function", None, 8 * N_CLASSES),
        ("predict_proba", None, 8 * N_CLASSES),
        ("predict_log_proba", None, 8 * N_CLASSES),
        ("predict", None, 3 * 8),
        ("predict_top_k", 3, 3 * 4 * 8),  # numbers, labels, probabilities
        ("predict_top_k", 20, 20 * 4 * 8),
    ],
)
def test_predictions_stay_within_a_budget_beside_their_answer(dtype, threads, budget, method, k, beside):
    model, data = classifier_with(budget, dtype), X.astype(dtype)
    arguments = () if k is None else (k,)
    with threadpool_limits(threads, user_api="blas"):
        peak, answer = peak_of(lambda: getattr(model, method)(data, *arguments))
    beside = beside if k or method == "predict" else beside // 8 * np.dtype(dtype).itemsize
    assert peak <= budget + beside * N_SAMPLES
    expected = getattr(without_budget(model), method)(data, *arguments)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for ours, theirs in zip(answer, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def without_budget(model):
    other = sx.SoftmaxClassifier(device="cpu")
    for name in ("coef_", "intercept_", "classes_", "n_features_in_"):
        setattr(other, name, getattr(model, name))
    return other


def test_the_measurement_sees_predictions_without_a_budget():
    model = classifier_with(None, "float64")
    assert peak_of(lambda: model.predict(X))[0] > 3_000_000


def test_a_large_answer_is_not_there_twice():
    model = sx.SoftmaxModel(LinearParams(np.ones((N_FEATURES, N_CLASSES))), np.arange(N_CLASSES))
    data = np.ones((8000, N_FEATURES))
    with threadpool_limits(1, user_api="blas"):
        peak, answer = peak_of(lambda: model.decision_function(data))
    assert peak < 1.5 * answer.nbytes


@pytest.mark.parametrize("threads", [1, 2])
def test_without_memory_chunks_are_halved(threads, caplog):
    seen = []

    def predict(rows):
        seen.append(rows.stop - rows.start)
        if seen[-1] > 60:
            raise MemoryError
        return pair(rows)

    with threadpool_limits(threads, user_api="blas"):
        doubled, signs = predicted_rows(predict, X.shape, 3, 8, CPU)
    np.testing.assert_array_equal(doubled, 2.0 * X)
    np.testing.assert_array_equal(signs, X[:, 0] > 0.0)
    assert {400, 200, 100, 50} == set(seen)
    assert len(caplog.records) == 1
