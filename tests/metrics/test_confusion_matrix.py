# SPDX-License-Identifier: BSD-3-Clause
"""The confusion matrix, beside scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as reference

from softmax_xp.errors import DeviceMismatchError, InvalidTypeError, InvalidValueError
from softmax_xp.metrics import confusion_matrix


def test_counts_as_scikit_learn(backend):
    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(0, 6, 200), generator.integers(0, 4, 200)
    result = backend.to_numpy(confusion_matrix(backend.asarray(labels), backend.asarray(predicted), 7))
    assert result.dtype.kind == "i"
    np.testing.assert_array_equal(result, reference(labels, predicted, labels=range(7)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adds_weights_as_scikit_learn(backend, dtype):
    generator = np.random.default_rng(1)
    labels, predicted = generator.integers(0, 5, 300), generator.integers(0, 5, 300)
    weight = generator.uniform(0, 2, 300).astype(dtype)
    result = confusion_matrix(
        backend.asarray(labels), backend.asarray(predicted), 6, sample_weight=backend.asarray(weight)
    )
    expected = reference(labels, predicted, labels=range(6), sample_weight=weight.astype("float64"))
    tolerance = 1e-4 if backend.name == "cupy" and dtype == "float32" else 1e-11
    np.testing.assert_allclose(backend.to_numpy(result), expected, rtol=0, atol=tolerance)
    assert (backend.to_numpy(result)[5] == 0).all()


def test_integer_weights_add_up(backend):
    result = confusion_matrix(
        backend.asarray(np.array([0, 0, 1])),
        backend.asarray(np.array([1, 1, 1])),
        2,
        sample_weight=backend.asarray(np.array([2, 3, 4])),
    )
    np.testing.assert_array_equal(backend.to_numpy(result), [[0.0, 5.0], [0.0, 4.0]])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
def test_narrow_labels_do_not_overflow(dtype):
    labels = np.full(300, 100, dtype=dtype)
    matrix = confusion_matrix(labels, labels, 120)
    assert matrix[100, 100] == 300
    assert matrix.sum() == 300


@pytest.mark.parametrize(
    ("labels", "predicted", "n_classes", "error", "message"),
    [
        ([0, 1], [0], 2, InvalidValueError, r"`predicted` must have the shape of `labels`, \(2,\); got \(1,\)"),
        ([0, 2], [0, 1], 2, InvalidValueError, r"`labels` must lie in 0 \.\. 1; got class numbers from 0 to 2"),
        ([0, 1], [-1, 1], 2, InvalidValueError, r"`predicted` must lie in 0 \.\. 1; got class numbers from -1 to 1"),
        ([0.0], [0], 2, InvalidTypeError, r"`labels` must hold integer class numbers; got float64"),
        ([0], [0.0], 2, InvalidTypeError, r"`predicted` must hold integer class numbers; got float64"),
        ([0], [0], 0, InvalidValueError, r"`n_classes` must be at least 1; got 0"),
    ],
)
def test_refuses(labels, predicted, n_classes, error, message):
    with pytest.raises(error, match=message):
        confusion_matrix(np.asarray(labels), np.asarray(predicted), n_classes)


def test_refuses_two_devices():
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    here, there = strict.asarray([0, 1]), strict.asarray([0, 1], device=strict.Device("device1"))
    with pytest.raises(DeviceMismatchError, match=r"`predicted` must be on the device of `labels`"):
        confusion_matrix(here, there, 2)
