# SPDX-License-Identifier: BSD-3-Clause
"""The compiled gradient of one batch, against the formula in float64."""

import numpy as np
import pytest

from softmax_xp.kernels.numpy.compiled import batch_gradient

RANDOM = np.random.default_rng(11)


def by_formula(X, labels, weights, *, bias, sample_weight, temperature, scale):
    X = np.hstack([X, np.ones((len(X), 1))]) if bias else X
    logits = X.astype(np.float64) @ weights.T.astype(np.float64) / temperature
    largest = logits.max(axis=1, keepdims=True)
    p = np.exp(logits - largest)
    total = p.sum(axis=1, keepdims=True)
    onehot = np.eye(weights.shape[0])[labels]
    error = scale / temperature * sample_weight[:, None] * (p / total - onehot)
    value = sample_weight * (np.log(total) + largest - (logits * onehot).sum(axis=1, keepdims=True))[:, 0]
    return value, error.T @ X, logits.argmax(axis=1) == labels


def compiled(X, index, labels, weights, *, sample_weight=None, temperature=1.0, scale=1.0):
    real = weights.dtype.type
    gradient = np.full_like(weights, np.nan)
    values, hits = np.full(len(index), np.nan, real), np.zeros(len(index), bool)
    weight = np.empty(0, real) if sample_weight is None else sample_weight.astype(real)
    batch_gradient(X, index, labels, weight, real(temperature), real(scale), weights, gradient, values, hits)
    return values, gradient, hits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [1, 7, 8, 9, 50])
@pytest.mark.parametrize(("n_features", "n_classes"), [(1, 1), (3, 2), (33, 10), (784, 5)])
def test_values_gradient_and_hits_are_those_of_the_formula(dtype, bias, batch, n_features, n_classes):
    X = RANDOM.standard_normal((60, n_features)).astype(dtype)
    weights = RANDOM.standard_normal((n_classes, n_features + bias)).astype(dtype)
    index, labels = RANDOM.permutation(60)[:batch], RANDOM.integers(0, n_classes, batch)
    for options in ({}, {"sample_weight": RANDOM.random(batch), "temperature": 2.0, "scale": 0.25}):
        ours = compiled(X, index, labels, weights, **options)
        full = {"sample_weight": np.ones(batch), "temperature": 1.0, "scale": 1.0} | options
        expected = by_formula(X[index], labels, weights, bias=bias, **full)
        tolerance = 1e-12 if dtype == "float64" else 2e-5
        for mine, other in zip(ours[:2], expected[:2], strict=True):
            assert mine.dtype == dtype
            np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance * max(np.abs(other).max(), 1.0))
        np.testing.assert_array_equal(ours[2], expected[2])


def test_the_sample_that_fills_the_last_group_counts_once():
    X, index = RANDOM.standard_normal((9, 4)), np.arange(9)
    weights, labels = RANDOM.standard_normal((3, 5)), np.arange(9) % 3
    _, whole, _ = compiled(X, index, labels, weights)
    parts = [compiled(X, index[part], labels[part], weights)[1] for part in (slice(0, 8), slice(8, 9))]
    np.testing.assert_allclose(whole, sum(parts), rtol=1e-13)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_number_stays_in_its_own_sample(bad):
    X = np.ones((9, 2))
    X[4, 1] = bad
    weights = np.array([[0.0, 1.0], [0.0, -1.0]])
    values, gradient, hits = compiled(X, np.arange(9), np.zeros(9, int), weights)
    assert np.isnan(values[4])
    assert np.isfinite(np.delete(values, 4)).all()
    assert np.delete(hits, 4).all()
    assert np.isnan(gradient[:, 1]).all()


@pytest.mark.parametrize(
    "logits", [(1.0, 1.0, 0.0), (0.0, np.nan, np.nan), (np.nan, 5.0, np.nan), (-np.inf, -1.0, -1.0), (0.0, 1.0, np.inf)]
)
def test_the_likeliest_class_is_that_of_numpy(logits):
    weights = np.array(logits)[:, None]
    hits = [compiled(np.ones((1, 1)), np.array([0]), np.array([label]), weights)[2][0] for label in range(3)]
    assert hits == [label == np.argmax(logits) for label in range(3)]


def test_huge_logits_neither_overflow_nor_lose_the_loss():
    weights = np.array([[1e30], [-1e30], [0.0]], dtype=np.float32)
    values, gradient, _ = compiled(np.ones((2, 1), np.float32), np.arange(2), np.array([0, 1]), weights)
    np.testing.assert_array_equal(values, np.float32([0.0, 2e30]))
    np.testing.assert_array_equal(gradient[:, 0], [1.0, -1.0, 0.0])
