# SPDX-License-Identifier: BSD-3-Clause
"""Labels, soft targets and weights, as the estimators read them."""

import numpy as np
import pytest
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import compute_class_weight

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.targets import (
    Targeted,
    read_class_weight,
    read_sample_weight,
    read_targets,
    sorted_classes,
)

X = np.zeros((4, 1))
SOFT = np.asarray([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])


def test_labels_are_encoded_in_sorted_order():
    targeted = read_targets(["b", "a", "b", "c"], X)
    assert targeted.targets.tolist() == [1, 0, 1, 2]
    assert targeted.classes.tolist() == ["a", "b", "c"]
    assert not targeted.is_soft


def test_labels_of_any_library(backend):
    targeted = read_targets(backend.asarray(np.asarray([5, 3, 5, 9])), X)
    assert targeted.targets.tolist() == [1, 0, 1, 2]
    assert targeted.classes.tolist() == [3, 5, 9]


def test_soft_targets_stay_where_they_are(backend):
    targets = backend.asarray(SOFT)
    targeted = read_targets(targets, X)
    assert targeted.targets is targets
    assert targeted.is_soft
    swapped = read_targets(targets, X, classes=["z", "a", "m"])
    assert swapped.classes.tolist() == ["a", "m", "z"]
    np.testing.assert_array_equal(backend.to_numpy(swapped.targets), SOFT[:, [1, 2, 0]])


def test_nested_lists_are_soft_targets():
    assert read_targets(SOFT.tolist(), X).is_soft
    with pytest.warns(DataConversionWarning):
        assert read_targets([[1], [2], [1], [2]], X).targets.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "b"], ["a", "b", "c", "d"]])
def test_soft_targets_need_a_name_for_each_column(names):
    with pytest.raises(InvalidValueError, match="`classes` must name the 3 columns of the soft targets"):
        read_targets(SOFT, X, classes=names)


def test_known_classes_grow():
    first = read_targets([1, 3, 1, 3], X, known=())
    assert first.classes.tolist() == [1, 3]
    second = read_targets([2, 2, 2, 2], X, known=first.classes)
    assert second.classes.tolist() == [1, 2, 3]
    assert second.targets.tolist() == [1, 1, 1, 1]
    third = read_targets(["x", "x", 2, 2], X, known=second.classes, classes=[9])
    assert third.classes.tolist() == [1, 2, 3, 9, "x"]
    soft = read_targets(SOFT, X, known=[7, 1], classes=[1, 2, 3])
    assert soft.classes.tolist() == [1, 2, 3, 7]
    np.testing.assert_array_equal(soft.targets, np.column_stack([SOFT, np.zeros(4)]))


def test_a_first_call_needs_two_classes():
    with pytest.raises(InvalidValueError, match=r"must hold at least two classes; got one class, 1. Pass `classes`"):
        read_targets([1, 1, 1, 1], X, known=())
    assert read_targets([1, 1, 1, 1], X, known=(), classes=[0, 1]).targets.tolist() == [1, 1, 1, 1]


def test_labels_that_are_none_are_named():
    with pytest.raises(InvalidValueError, match="must hold no missing label; got None at row 2"):
        read_targets([1, 2, None, 2], X, known=())
    with pytest.raises(InvalidTypeError, match="numbers or strings"):
        read_targets([1, {}, 1, 2], X, known=())


def test_classes_are_sorted_numbers_first():
    assert sorted_classes(["b", 2], None, np.asarray([1, 2]), {"a"}).tolist() == [1, 2, "a", "b"]


def test_sample_weights_of_any_kind(backend):
    weight = backend.asarray(np.asarray([1.0, 0.0, 2.0, 1.0]))
    assert read_sample_weight(weight, 4) is weight
    assert read_sample_weight(None, 4) is None
    assert read_sample_weight([1, 0, 2, 1], 4).tolist() == [1, 0, 2, 1]
    assert read_sample_weight(np.asarray([True, False, True, True]), 4).tolist() == [1.0, 0.0, 1.0, 1.0]
    assert read_sample_weight(np.asarray([1, 2, 3, 4], dtype=object), 4).dtype == np.float64
    with pytest.raises(InvalidTypeError, match="`sample_weight` must hold real numbers; got 'x' of type str"):
        read_sample_weight(np.asarray([1, "x", 3, 4], dtype=object), 4)


@pytest.mark.parametrize("weight", [None, np.asarray([1.0, 2.0, 0.5, 3.0])])
def test_balanced_is_scikit_learns(weight):
    y = np.asarray([0, 1, 1, 2])
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=y, sample_weight=weight)
    targeted = Targeted(y, np.arange(3))
    np.testing.assert_allclose(read_class_weight("balanced", targeted, weight), theirs)
    soft = Targeted(np.eye(3)[y], np.arange(3))
    np.testing.assert_allclose(read_class_weight("balanced", soft, weight), theirs)


def test_a_class_without_samples_has_no_balanced_weight():
    assert read_class_weight("balanced", Targeted(np.asarray([0, 0, 2]), np.arange(3)), None) == (0.5, 0.0, 1.0)


def test_a_dict_may_know_more_or_fewer_classes():
    targeted = Targeted(np.asarray([0, 1]), np.asarray(["a", "b"]))
    assert read_class_weight({"b": 3.0}, targeted, None) == (1.0, 3.0)
    assert read_class_weight({"a": 2.0, "b": 3.0, "c": 4.0}, targeted, None) == (2.0, 3.0)
    assert read_class_weight(None, targeted, None) is None
    with pytest.raises(InvalidValueError, match=r"got \['B'\], while \['a', 'b'\] have no weight"):
        read_class_weight({"B": 3.0}, targeted, None)


def test_masked_labels_and_weights_are_refused():
    y, mask = np.asarray([0, 1, 1, 0]), [False, True, False, False]
    with pytest.raises(InvalidValueError, match="`y` must have no masked value; got 1 of them"):
        read_targets(np.ma.masked_array(y, mask=mask), X)
    with pytest.raises(InvalidValueError, match="`sample_weight` must have no masked value"):
        read_sample_weight(np.ma.masked_array(np.ones(4), mask=mask), 4)
    assert read_targets(np.ma.masked_array(y, mask=False), X).targets.tolist() == [0, 1, 1, 0]


def test_weights_of_truth_values_in_every_library(backend):
    weight = read_sample_weight(backend.asarray(np.asarray([True, False, True, True])), 4)
    assert backend.to_numpy(weight).tolist() == [1.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("classes", [5, "abc"])
def test_classes_must_be_a_sequence(classes):
    with pytest.raises(InvalidTypeError, match="`classes` must be a sequence of labels; got"):
        read_targets([0, 1, 1, 0], X, classes=classes)


def test_soft_targets_without_names_in_a_stream():
    targets = np.asarray([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.0, 1.0]])
    named = read_targets(targets, X, known=["a", "b"])
    assert named.classes.tolist() == ["a", "b"]
    np.testing.assert_array_equal(named.targets, targets)
    wider = read_targets(np.eye(3)[[0, 1, 2, 0]], X, known=[0, 1])
    assert wider.classes.tolist() == [0, 1, 2]
    with pytest.raises(InvalidValueError, match="`classes` must name the 2 columns .* where other classes came before"):
        read_targets(targets, X, known=["a", "b", "c"])


def test_a_stream_may_weigh_classes_that_are_to_come():
    targeted = read_targets([0, 1, 1, 0], X, known=())
    assert read_class_weight({0: 2.0, 2: 5.0}, targeted, None, more_to_come=True) == (2.0, 1.0)
    with pytest.raises(InvalidValueError, match="`class_weight` must name classes"):
        read_class_weight({0: 2.0, 2: 5.0}, targeted, None)
