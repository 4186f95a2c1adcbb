# SPDX-License-Identifier: BSD-3-Clause
"""What the metrics refuse."""

import numpy as np
import pytest

from softmax_xp.errors import DeviceMismatchError, InvalidTypeError, InvalidValueError
from softmax_xp.metrics import METRICS, confusion_matrix
from softmax_xp.metrics.checks import check_class_numbers

LOGITS = np.zeros((3, 2))


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize(
    ("labels", "logits", "error", "message"),
    [
        (np.array([0, 1, 2]), LOGITS, InvalidValueError, r"`labels` must lie in 0 \.\. 1; got .* from 0 to 2"),
        (np.array([0, -1, 0]), LOGITS, InvalidValueError, r"`labels` must lie in 0 \.\. 1; got .* from -1 to 0"),
        (np.array([0.0, 1.0, 0.0]), LOGITS, InvalidTypeError, r"`labels` must hold integer class numbers; got float64"),
        (np.array([0, 1]), LOGITS, InvalidValueError, r"a row for each of the 2 labels; got shape \(3, 2\)"),
        (np.array([[0], [1], [0]]), LOGITS, InvalidValueError, r"`labels` must have shape \(n_samples,\).* \(3, 1\)"),
        (np.array(0), LOGITS, InvalidValueError, r"`labels` must have shape \(n_samples,\) and not be empty; got \(\)"),
        (np.zeros(0, int), LOGITS[:0], InvalidValueError, r"`labels` must have .* not be empty; got \(0,\)"),
        (np.array([0, 1, 0]), LOGITS[:, 0], InvalidValueError, r"`logits` must have shape .* got \(3,\)"),
        (np.array([0, 1, 0]), LOGITS[:, :0], InvalidValueError, r"`logits` must have shape .* got \(3, 0\)"),
    ],
)
def test_labels_and_logits(metric, labels, logits, error, message):
    with pytest.raises(error, match=message):
        metric(labels, logits)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, 1.0], r"`sample_weight` must have shape \(3,\), one weight for each sample; got \(2,\)"),
        ([0.0, 0.0, 0.0], r"`sample_weight` must not be negative, with a finite positive sum; got minimum 0, sum 0"),
        ([1.0, -1.0, 1.0], r"`sample_weight` must not be negative, .* got minimum -1, sum 1"),
        ([1.0, np.nan, 1.0], r"`sample_weight` must not be negative, .* sum nan"),
        ([1.0, np.inf, 1.0], r"`sample_weight` must not be negative, .* sum inf"),
    ],
)
def test_weights(metric, weight, message):
    with pytest.raises(InvalidValueError, match=message):
        metric(np.array([0, 1, 0]), LOGITS, sample_weight=np.asarray(weight))
    with pytest.raises(InvalidValueError, match=message):
        confusion_matrix(np.array([0, 1, 0]), np.array([0, 1, 0]), 2, sample_weight=np.asarray(weight))


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_devices(metric):
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    other = strict.Device("device1")
    labels, logits = strict.asarray([0, 1, 0]), strict.zeros((3, 2))
    with pytest.raises(DeviceMismatchError, match=r"`labels` must be on the device of `logits`"):
        metric(labels, strict.zeros((3, 2), device=other))
    with pytest.raises(DeviceMismatchError, match=r"`sample_weight` must be on the device of `labels`"):
        metric(labels, logits, sample_weight=strict.ones(3, device=other))


def test_labels_become_indices(backend):
    labels = check_class_numbers(backend.asarray(np.array([0, 1], dtype="uint8")), 2)
    assert backend.to_numpy(labels).tolist() == [0, 1]
    assert labels.dtype == backend.xp.int64
