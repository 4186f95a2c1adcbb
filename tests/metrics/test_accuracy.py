# SPDX-License-Identifier: BSD-3-Clause
"""The accuracy, beside scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from softmax_xp.metrics import METRICS, accuracy


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_is_scikit_learns(backend, dtype, weighted):
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((101, 7)).astype(dtype)
    labels = generator.integers(0, 7, 101)
    weight = generator.uniform(0, 3, 101).astype(dtype) if weighted else None
    expected = accuracy_score(labels, logits.argmax(axis=1), sample_weight=weight)
    result = accuracy(
        backend.asarray(labels),
        backend.asarray(logits),
        sample_weight=backend.asarray(weight) if weighted else None,
    )
    assert result.shape == ()
    np.testing.assert_allclose(backend.to_numpy(result), expected, rtol=1e-6 if backend.name == "cupy" else 1e-12)


def test_a_tie_goes_to_the_lowest_class():
    assert float(accuracy(np.array([0, 1]), np.array([[1.0, 1.0], [1.0, 1.0]]))) == 0.5


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint64"])
def test_any_integer_is_a_label(dtype):
    labels = np.arange(4).astype(dtype)
    assert float(accuracy(labels, np.eye(4))) == 1.0


def test_integer_logits_have_an_order():
    assert float(accuracy(np.array([1]), np.array([[0, 5, 2]]))) == 1.0


def test_only_the_order_counts_and_inputs_stay():
    generator = np.random.default_rng(1)
    logits, labels = generator.standard_normal((20, 3)), generator.integers(0, 3, 20)
    copies = logits.copy(), labels.copy()
    assert float(accuracy(labels, logits)) == float(accuracy(labels, np.exp(logits)))
    np.testing.assert_array_equal(logits, copies[0])
    np.testing.assert_array_equal(labels, copies[1])


def test_the_table_has_the_metrics_that_are_one_number(backend):
    assert list(METRICS) == ["accuracy", "log_loss"]
    labels, logits = backend.asarray(np.array([1, 0, 2])), backend.asarray(np.eye(3))
    for metric in METRICS.values():
        result = metric(labels, logits, sample_weight=backend.asarray(np.array([1.0, 0.0, 2.0])))
        assert result.shape == ()
        assert result.device == logits.device
