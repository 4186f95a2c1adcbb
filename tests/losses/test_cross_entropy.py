# SPDX-License-Identifier: BSD-3-Clause
"""Cross-entropy: its hyperparameters and what `prepare` makes of targets. Its numbers are in tests/contracts."""

import math

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.losses import CrossEntropy

FLOAT = np.dtype("float64")


@pytest.mark.parametrize("value", [-0.1, 1.0000001, math.nan, math.inf])
def test_label_smoothing_is_a_share(value):
    with pytest.raises(InvalidValueError, match=rf"`label_smoothing` must be between 0 and 1; got {value}"):
        CrossEntropy(label_smoothing=value)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_temperature_is_positive_and_finite(value):
    with pytest.raises(InvalidValueError, match=rf"`temperature` must be a finite number above 0; got {value}"):
        CrossEntropy(temperature=value)


@pytest.mark.parametrize("value", [(1.0, -1.0), (math.nan, 1.0), (math.inf, 1.0), (0.0, 0.0), ()])
def test_class_weights_are_finite_and_not_all_zero(value):
    with pytest.raises(
        InvalidValueError, match=r"`class_weight` must hold finite weights >= 0, not all of them 0; got \("
    ):
        CrossEntropy(class_weight=value)


def test_class_weights_become_a_tuple_that_compares_and_hashes():
    loss = CrossEntropy(class_weight=np.array([1, 2]))
    assert loss.class_weight == (1.0, 2.0)
    assert loss == CrossEntropy(class_weight=[1.0, 2.0])
    assert hash(loss) == hash(CrossEntropy(class_weight=[1.0, 2.0]))


def test_the_common_case_costs_no_arrays():
    labels = np.array([0, 2, 1])
    targets = CrossEntropy().prepare(labels, 3, dtype=FLOAT)
    np.testing.assert_array_equal(targets.labels, labels)
    assert targets[1:] == (None, None, None, None)


def test_weights_multiply_and_ignored_samples_count_nothing():
    loss = CrossEntropy(class_weight=(1.0, 2.0, 4.0), ignore_index=-1)
    targets = loss.prepare(np.array([2, -1, 1]), 3, dtype=FLOAT, sample_weight=np.array([0.5, 3.0, 10.0]))
    np.testing.assert_array_equal(targets.labels, [2, 0, 1])
    np.testing.assert_array_equal(targets.sample_weight, [0.5, 0.0, 10.0])
    np.testing.assert_array_equal(targets.weight, [2.0, 0.0, 20.0])


def test_soft_targets_divide_by_the_sample_weights_alone():
    soft = np.array([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2]])
    loss = CrossEntropy(class_weight=(1.0, 2.0, 4.0))
    targets = loss.prepare(soft, 3, dtype=FLOAT, sample_weight=np.array([0.5, 3.0]))
    np.testing.assert_array_equal(targets.labels, [1, 0])
    np.testing.assert_array_equal(targets.weight, [0.5, 3.0])
    np.testing.assert_array_equal(targets.class_weight, [1.0, 2.0, 4.0])


def test_lists_are_read_by_numpy():
    np.testing.assert_array_equal(CrossEntropy().prepare([0, 1], 2, dtype=FLOAT).labels, [0, 1])


def test_soft_targets_with_an_ignored_label_are_an_error(backend):
    text = r"`ignore_index` must be None with soft targets, which have no labels; got -100\."
    with pytest.raises(InvalidTypeError, match=text):
        CrossEntropy(ignore_index=-100).prepare(backend.asarray(np.eye(2)), 2, dtype=backend.xp.float64)


def test_soft_targets_of_another_width_are_an_error(backend):
    with pytest.raises(
        InvalidValueError, match=r"`targets` must have 3 columns, one for each class; got shape \(2, 2\)\."
    ):
        CrossEntropy().prepare(backend.asarray(np.eye(2)), 3, dtype=backend.xp.float64)


@pytest.mark.parametrize("shape", [(), (2, 2, 2)])
def test_targets_of_another_rank_are_an_error(backend, shape):
    text = r"`targets` must have shape \(n_samples,\) or \(n_samples, n_classes\); got \("
    with pytest.raises(InvalidValueError, match=text):
        CrossEntropy().prepare(backend.asarray(np.zeros(shape, int)), 2, dtype=backend.xp.float32)


def test_class_weights_of_another_length_are_an_error(backend):
    loss = CrossEntropy(class_weight=(1.0, 2.0))
    with pytest.raises(InvalidValueError, match=r"`class_weight` must hold 3 weights, one for each class; got 2\."):
        loss.prepare(backend.asarray(np.array([0, 1])), 3, dtype=backend.xp.float32)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1)])
def test_sample_weights_of_another_shape_are_an_error(backend, shape):
    with pytest.raises(InvalidValueError, match=r"`sample_weight` must have shape \(2,\); got \("):
        CrossEntropy().prepare(
            backend.asarray(np.array([0, 1])),
            3,
            dtype=backend.xp.float32,
            sample_weight=backend.asarray(np.ones(shape, "float32")),
        )


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [-100, 0]])
def test_labels_out_of_range_are_an_error(backend, labels):
    with pytest.raises(InvalidValueError, match=r"`y` must lie in 0 \.\. 2; got labels from"):
        CrossEntropy().prepare(backend.asarray(np.array(labels)), 3, dtype=backend.xp.float32)


@pytest.mark.parametrize("kind", ["float32", "bool"])
def test_labels_that_are_no_integers_are_an_error(backend, kind):
    with pytest.raises(InvalidTypeError, match=r"`y` must hold integer class numbers; got"):
        CrossEntropy().prepare(backend.asarray(np.array([0, 1]).astype(kind)), 3, dtype=backend.xp.float32)
