# SPDX-License-Identifier: BSD-3-Clause
"""The mean of a loss, its total weight, and targets taken by number. What each loss promises is in tests/contracts."""

import numpy as np
import pytest

from softmax_xp.errors import DeviceMismatchError, InvalidTypeError, InvalidValueError
from softmax_xp.losses import LOSSES, CrossEntropy, Loss, Targets, mean_value_and_gradient
from softmax_xp.losses.contract import reciprocal_total, take_targets
from softmax_xp.penalties import L2


def test_the_table_holds_losses():
    assert all(isinstance(loss, Loss) for loss in LOSSES.values())
    assert not isinstance(L2(), Loss)


def test_taking_targets_takes_each_part_but_the_class_weights(backend):
    soft = np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], 4).astype("float32")
    weight = np.array([1, 2, 3, 4], "float32")
    loss = CrossEntropy(class_weight=(1.0, 2.0, 3.0))
    targets = loss.prepare(backend.asarray(soft), 3, dtype=backend.xp.float32, sample_weight=backend.asarray(weight))
    order = np.array([3, 0, 3])
    taken = take_targets(targets, backend.asarray(order))
    np.testing.assert_array_equal(backend.to_numpy(taken.labels), np.argmax(soft, axis=1)[order])
    np.testing.assert_array_equal(backend.to_numpy(taken.distribution), soft[order])
    np.testing.assert_array_equal(backend.to_numpy(taken.weight), weight[order])
    np.testing.assert_array_equal(backend.to_numpy(taken.sample_weight), weight[order])
    assert taken.class_weight is targets.class_weight


def test_taking_targets_keeps_none(backend):
    taken = take_targets(Targets(backend.asarray(np.array([5, 6, 7]))), backend.asarray(np.array([2, 1])))
    assert taken[1:] == (None, None, None, None)
    np.testing.assert_array_equal(backend.to_numpy(taken.labels), [7, 6])


def test_one_over_the_total(backend):
    labels = backend.asarray(np.array([0, 1, 1, 0]))
    assert reciprocal_total(Targets(labels)) == 0.25
    weight = backend.asarray(np.array([0.5, 0.0, 0.25, 1.25], "float32"))
    total = reciprocal_total(Targets(labels, weight=weight))
    assert total.dtype == backend.xp.float32
    assert float(backend.to_numpy(total)) == 0.5


def test_one_over_nothing_is_zero(backend):
    labels = backend.asarray(np.array([0, 1]))
    assert float(backend.to_numpy(reciprocal_total(Targets(labels, weight=backend.asarray(np.zeros(2)))))) == 0.0
    assert reciprocal_total(Targets(labels[:0])) == 1.0


@pytest.mark.parametrize("kind", ["float16", "int64"])
def test_the_mean_is_computed_in_a_float_that_can_carry_it(backend, kind):
    if kind == "float16" and backend.name.startswith("strict"):
        pytest.skip("the standard has no float16")
    logits = np.array([[0, 3, -2], [1, 1, 5]]).astype(kind)
    loss = CrossEntropy(class_weight=(0.5, 0.25, 2.5))
    value, gradient = mean_value_and_gradient(loss, backend.asarray(logits), backend.asarray(np.array([0, 2])))
    expected = mean_value_and_gradient(loss, logits.astype("float64"), np.array([0, 2]))
    wanted = "float32" if kind == "float16" or backend.name == "cupy" or not backend.float64 else "float64"
    assert backend.to_numpy(gradient).dtype == wanted
    np.testing.assert_allclose(backend.to_numpy(value), expected[0], rtol=1e-6)
    np.testing.assert_allclose(backend.to_numpy(gradient), expected[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("logits", "targets"), [((3, 2), (2,)), ((3, 2), (1, 2)), ((3,), (3,)), ((3, 2), ()), ((3, 2, 2), (3,))]
)
def test_rows_without_their_target_are_an_error(backend, logits, targets):
    targets = np.zeros(targets, int if len(targets) < 2 else float)
    text = r"`logits` must have shape \(n_samples, n_classes\), one row for each of the targets; got \("
    with pytest.raises(InvalidValueError, match=text):
        mean_value_and_gradient(CrossEntropy(), backend.asarray(np.zeros(logits)), backend.asarray(targets))


def test_arrays_of_two_places_are_an_error_that_names_both():
    strict = pytest.importorskip("array_api_strict")
    logits, labels = np.zeros((2, 2)), strict.asarray([0, 1])
    with pytest.raises(
        DeviceMismatchError, match=r"`targets` must be on the device of `logits`, 'cpu'; got .array_api_strict"
    ):
        mean_value_and_gradient(CrossEntropy(), logits, labels)
    with pytest.raises(DeviceMismatchError, match=r"`sample_weight` must be on the device of `logits`"):
        mean_value_and_gradient(CrossEntropy(), logits, np.array([0, 1]), sample_weight=strict.ones(2))


def test_complex_logits_are_an_error():
    with pytest.raises(InvalidTypeError, match=r"must be a real number type; got complex128"):
        mean_value_and_gradient(CrossEntropy(), np.zeros((1, 2), complex), np.array([0]))
