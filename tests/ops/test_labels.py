# SPDX-License-Identifier: BSD-3-Clause
"""Labels against arrays of scores, in both layouts, and what is refused as a label."""

import array_api_compat
import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.ops.labels import as_index, check_labels, one_hot, places, subtract_at

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
RNG = np.random.default_rng(31)
VALUES = RNG.standard_normal((400, 5)).astype("float32")
LABELS = RNG.integers(0, 5, 400)
AMOUNTS = RNG.standard_normal(400).astype("float32")


def laid_out(backend, values, axis):
    return backend.asarray(values if axis == -1 else np.ascontiguousarray(values.T))


def host(backend, array, axis):
    array = backend.to_numpy(array)
    return array if axis == -1 else array.T


@pytest.mark.parametrize("kind", INTEGERS)
def test_labels_of_any_width_become_indices(backend, kind):
    index = as_index(backend.asarray(LABELS.astype(kind)))
    info = backend.xp.__array_namespace_info__()
    assert index.dtype == info.default_dtypes(device=backend.device)["indexing"]
    assert array_api_compat.device(index) == backend.device
    np.testing.assert_array_equal(backend.to_numpy(index), LABELS)


@pytest.mark.parametrize("kind", ["bool", "float32"])
def test_what_is_no_integer_is_left_for_the_check_to_refuse(backend, kind):
    labels = backend.asarray((LABELS > 2).astype(kind))
    assert as_index(labels) is labels
    with pytest.raises(
        InvalidTypeError, match=rf"`y` must hold integer class numbers; got .*{kind}\. Pass y\.astype\(int\)"
    ):
        check_labels(as_index(labels), 400, 5)


@pytest.mark.parametrize("axis", [-1, 0])
def test_one_hot(backend, axis):
    hot = one_hot(backend.asarray(LABELS), 5, dtype=backend.xp.float32, axis=axis)
    assert hot.dtype == backend.xp.float32
    np.testing.assert_array_equal(host(backend, hot, axis), np.eye(5)[LABELS])


@pytest.mark.parametrize("axis", [-1, 0])
def test_one_hot_of_no_class_is_a_row_of_zeros(backend, axis):
    hot = one_hot(backend.asarray(np.array([-1, 2, 3])), 3, dtype=backend.xp.float32, axis=axis)
    np.testing.assert_array_equal(host(backend, hot, axis), [[0, 0, 0], [0, 0, 1], [0, 0, 0]])


@pytest.mark.parametrize("axis", [-1, 0])
def test_places(backend, axis):
    picked = laid_out(backend, VALUES, axis)[places(backend.asarray(LABELS), axis=axis)]
    np.testing.assert_array_equal(backend.to_numpy(picked), VALUES[np.arange(400), LABELS])


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("kind", ["float", "number on the device", "one each"])
def test_subtract_at(backend, axis, kind):
    amount = {
        "float": 0.5,
        "number on the device": backend.asarray(np.asarray(0.5, "float32")),
        "one each": backend.asarray(AMOUNTS),
    }[kind]
    values = laid_out(backend, VALUES, axis)
    if backend.name == "numpy-readonly":
        values = values.copy()  # it is the caller's to give up
    result = host(backend, subtract_at(values, places(backend.asarray(LABELS), axis=axis), amount, axis=axis), axis)
    expected = VALUES - np.eye(5, dtype="float32")[LABELS] * (AMOUNTS[:, None] if kind == "one each" else 0.5)
    assert result.dtype == "float32"
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("labels", [[], [0], [0, 4], [4, 4, 0]])
def test_good_labels_pass(backend, labels):
    check_labels(backend.asarray(np.array(labels, dtype=int)), len(labels), 5)


def test_an_ignored_label_passes_and_no_other(backend):
    check_labels(backend.asarray(np.array([0, -100, 4])), 3, 5, ignore_index=-100)
    check_labels(backend.asarray(np.array([-100, -100])), 2, 5, ignore_index=-100)
    with pytest.raises(InvalidValueError, match=r"`y` must lie in 0 \.\. 4; got labels from -1 to 4\."):
        check_labels(backend.asarray(np.array([-1, -100, 4])), 3, 5, ignore_index=-100)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ([0, 5], r"`y` must lie in 0 \.\. 4; got labels from 0 to 5\. Pass class numbers, or a `W` with 6 columns\."),
        ([-1, 2], r"got labels from -1 to 2\."),
        ([-3, 9], r"got labels from -3 to 9\."),
    ],
)
def test_a_label_out_of_range_is_an_error(backend, labels, text):
    with pytest.raises(InvalidValueError, match=text):
        check_labels(backend.asarray(np.array(labels)), 2, 5)


@pytest.mark.parametrize("shape", [(), (2, 1), (1, 2), (3,), (0,)])
def test_labels_of_another_shape_are_an_error(backend, shape):
    with pytest.raises(InvalidValueError, match=r"`y` must have shape \(2,\), one label for each row of `X`; got \("):
        check_labels(backend.asarray(np.zeros(shape, dtype=int)), 2, 5)
