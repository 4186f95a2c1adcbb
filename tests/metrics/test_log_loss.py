# SPDX-License-Identifier: BSD-3-Clause
"""The log loss, beside scikit-learn's and where that one clips."""

import numpy as np
import pytest
from sklearn.metrics import log_loss as reference

from softmax_xp.metrics import log_loss


def probabilities(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_is_scikit_learns(backend, dtype, weighted):
    generator = np.random.default_rng(0)
    logits = (3 * generator.standard_normal((101, 7))).astype(dtype)
    labels = generator.integers(0, 7, 101)
    weight = generator.uniform(0, 3, 101).astype(dtype) if weighted else None
    expected = reference(labels, probabilities(logits.astype("float64")), sample_weight=weight, labels=list(range(7)))
    result = log_loss(
        backend.asarray(labels),
        backend.asarray(logits),
        sample_weight=backend.asarray(weight) if weighted else None,
    )
    assert result.shape == ()
    np.testing.assert_allclose(float(backend.to_numpy(result)), expected, rtol=1e-12 if dtype == "float64" else 1e-6)


def test_is_finite_where_the_probability_underflows(backend):
    logits = backend.asarray(np.array([[1000.0, 0.0], [0.0, 1000.0]], dtype="float32"))
    assert float(backend.to_numpy(log_loss(backend.asarray(np.array([1, 0])), logits))) == 1000.0


def test_log_probabilities_are_logits():
    generator = np.random.default_rng(1)
    logits, labels = generator.standard_normal((20, 3)), generator.integers(0, 3, 20)
    from_logits = float(log_loss(labels, logits))
    assert float(log_loss(labels, np.log(probabilities(logits)))) == pytest.approx(from_logits, rel=1e-14)


def test_a_sample_of_weight_zero_does_not_count_even_where_its_loss_is_infinite():
    logits = np.array([[0.0, -np.inf], [0.0, 0.0]])
    labels, weight = np.array([1, 0]), np.array([0.0, 1.0])
    assert float(log_loss(labels, logits)) == np.inf
    assert float(log_loss(labels, logits, sample_weight=weight)) == pytest.approx(np.log(2), rel=1e-15)


def test_many_float32_losses_are_added_up_in_float64(backend):
    n_samples = 1 << 20
    logits = np.zeros((n_samples, 2), dtype="float32")
    result = log_loss(backend.asarray(np.zeros(n_samples, dtype=int)), backend.asarray(logits))
    rounded_once = float(np.log(np.float32(2)))
    assert float(backend.to_numpy(result)) == pytest.approx(rounded_once, rel=1e-7 if backend.name != "cupy" else 1e-5)


def test_narrow_labels_of_many_samples():
    logits = np.random.default_rng(0).standard_normal((1000, 3))
    labels = np.arange(1000) % 3
    assert float(log_loss(labels.astype("uint8"), logits)) == float(log_loss(labels, logits))
