# SPDX-License-Identifier: BSD-3-Clause
import time

import numpy as np
import pytest

from softmax_xp.data.labels import encode_labels
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SoftmaxXPWarning

RNG_SEED = 7


@pytest.mark.parametrize(
    ("labels", "classes", "codes"),
    [
        (["b", "a", "b"], ["a", "b"], [1, 0, 1]),
        ([1, "a", 1], [1, "a"], [0, 1, 0]),
        (["a", 10, 2], [2, 10, "a"], [2, 1, 0]),
        ([-3, -5, -4, -5], [-5, -4, -3], [2, 0, 1, 0]),
        ([2.0, 1.0, 2.0], [1.0, 2.0], [1, 0, 1]),
        ([True, False, True], [False, True], [1, 0, 1]),
        ([10**15, -(10**15), 5], [-(10**15), 5, 10**15], [2, 0, 1]),
        ([b"y", b"x"], [b"x", b"y"], [1, 0]),
        ([1e300, -1e300], [-1e300, 1e300], [1, 0]),
    ],
)
def test_labels_become_positions_in_their_sorted_distinct_values(labels, classes, codes):
    found_codes, found_classes = encode_labels(labels)
    assert found_codes.dtype == np.int64
    assert found_codes.tolist() == codes
    assert found_classes.tolist() == classes


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", ">i4", "i8", "u8", "f2", "f4", ">f8"])
def test_classes_keep_the_dtype_in_native_order(dtype):
    labels = np.asarray([100, 3, 100, 7], dtype=dtype)
    codes, classes = encode_labels(labels)
    assert classes.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(classes[codes], labels)
    assert codes.tolist() == [2, 0, 2, 1]


@pytest.mark.parametrize(
    "labels",
    [
        np.asarray([-128, 127, 0, -128], dtype=np.int8),
        np.asarray([2**64 - 1, 2**64 - 3, 2**64 - 1], dtype=np.uint64),
        np.asarray([np.iinfo(np.int64).min, np.iinfo(np.int64).min + 2], dtype=np.int64),
        np.asarray([np.iinfo(np.int64).min, np.iinfo(np.int64).max, 0], dtype=np.int64),
    ],
)
def test_extreme_integers_do_not_wrap(labels):
    codes, classes = encode_labels(labels)
    expected, inverse = np.unique(labels, return_inverse=True)
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(codes, inverse)


@pytest.mark.parametrize("scale", [1, 3, 10**9])
def test_integers_agree_with_numpy_unique(scale):
    labels = np.random.default_rng(RNG_SEED).integers(-50, 50, 5000) * scale
    codes, classes = encode_labels(labels)
    expected, inverse = np.unique(labels, return_inverse=True)
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(codes, inverse)


def test_integer_labels_are_encoded_without_a_sort():
    labels = np.random.default_rng(RNG_SEED).integers(0, 10, 60000)

    def fastest(function):
        times = []
        for _ in range(7):
            start = time.perf_counter()
            function(labels)
            times.append(time.perf_counter() - start)
        return min(times)

    # Against a sort of the same labels, so that the speed of the machine does not matter.
    assert fastest(encode_labels) < fastest(lambda values: np.argsort(values, kind="quicksort"))


def test_given_classes_keep_their_order_and_those_absent_do_not_shift_the_codes():
    codes, classes = encode_labels(["c", "a"], classes=["c", "b", "a"])
    assert codes.tolist() == [0, 2]
    assert classes.tolist() == ["c", "b", "a"]
    assert encode_labels([5, 5], classes=np.asarray([3, 4, 5]))[0].tolist() == [2, 2]
    assert encode_labels([1.0, 2.0], classes=[2, 1])[0].tolist() == [1, 0]
    assert encode_labels(np.asarray(["x"], dtype=object), classes=["w", "x"])[0].tolist() == [1]


def test_an_unknown_label_is_named_with_its_first_row():
    with pytest.raises(InvalidValueError, match=r"unknown label 'z' at row 2\. Known are 'a', 'b'"):
        encode_labels(["a", "b", "z", "a", "z"], classes=["a", "b"])
    with pytest.raises(InvalidValueError, match="unknown label 9 at row 3"):
        encode_labels([-1, 0, 1, 9], classes=[0, 1], ignore_index=-1)
    with pytest.raises(InvalidValueError, match="of type int, the classes are str"):
        encode_labels([1, 2], classes=["1", "2"])
    with pytest.raises(InvalidValueError, match=r"\(12 classes\)"):
        encode_labels([99], classes=range(12))


def test_ignored_rows_keep_their_label_and_are_no_class():
    codes, classes = encode_labels([7, -1, 5, -1], ignore_index=-1)
    assert codes.tolist() == [1, -1, 0, -1]
    assert classes.tolist() == [5, 7]
    assert encode_labels([0, 255, 1], ignore_index=255)[0].tolist() == [0, 255, 1]
    assert encode_labels(["a", -100, "b"], ignore_index=-100)[0].tolist() == [0, -100, 1]
    assert encode_labels([0, 1], ignore_index=-1)[0].tolist() == [0, 1]
    assert encode_labels([-1, -1], classes=[0, 1], ignore_index=-1)[0].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([], {}, "at least one label; got an empty array"),
        (5, {}, r"shape \(n_samples,\); got shape \(\)"),
        (np.eye(3), {}, r"got shape \(3, 3\).*argmax.*soft targets"),
        (np.zeros((2, 2, 2)), {}, r"got shape \(2, 2, 2\)"),
        ([0.0, np.nan, np.nan], {}, r"no missing label; got NaN at row 1 \(2 such rows\)"),
        (np.asarray(["a", None], dtype=object), {}, "no missing label; got None at row 1"),
        (np.asarray(["a", np.nan], dtype=object), {}, "no missing label; got nan at row 1"),
        ([1.0, 0.5], {}, "Unknown label type: continuous.*got 0.5 at row 1"),
        ([1.0, np.inf], {}, "Unknown label type: continuous.*got inf at row 1"),
        (["a", 0.5], {}, "discrete classes; got 0.5 at row 1"),
        (["a", "a"], {}, "at least two classes; got only the class 'a'"),
        ([3, 3], {}, "at least two classes; got only the class 3"),
        ([-1, -1], {"ignore_index": -1}, "only rows that equal ignore_index=-1"),
        ([0, 1], {"classes": [0]}, r"at least two classes; got shape \(1,\)"),
        ([0, 1], {"classes": [0, 1, 0]}, "all be different; got 0 more than once"),
        ([0, 1], {"classes": [0.0, np.nan]}, "`classes` must hold no missing label"),
        ([0, 1, -1], {"classes": [0, 1, -1], "ignore_index": -1}, "not be one of `classes`; got -1"),
        ([0, 1, 2], {"ignore_index": 0}, r"outside the codes 0..1 of the 2 classes; got 0"),
    ],
)
def test_labels_that_make_no_sense_are_refused(labels, options, message):
    with pytest.raises(InvalidValueError, match=message):
        encode_labels(labels, **options)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.asarray([1j, 2j]), "numbers or strings; got dtype complex128"),
        (np.asarray(["2020-01-01"], dtype="datetime64[D]"), "numbers or strings; got dtype datetime64"),
        (np.asarray([(1,), "a"], dtype=object), "numbers or strings; got tuple at row 0"),
        (np.asarray([1j, "a"], dtype=object), "numbers or strings; got complex at row 0"),
        ([[1], [2, 3]], "must be labels on the host"),
    ],
)
def test_labels_of_other_kinds_are_refused(labels, message):
    with pytest.raises(InvalidTypeError, match=message):
        encode_labels(labels)


def test_a_column_is_ravelled_with_a_warning():
    with pytest.warns(SoftmaxXPWarning, match=r"got a column of shape \(n_samples, 1\)"):
        codes, _ = encode_labels(np.asarray([[4], [2]]))
    assert codes.tolist() == [1, 0]


def test_pandas_columns_are_labels():
    pandas = pytest.importorskip("pandas")
    assert encode_labels(pandas.Series(["b", "a"]))[0].tolist() == [1, 0]
    assert encode_labels(pandas.Series(["b", "a"], dtype="category"))[1].tolist() == ["a", "b"]
    with pytest.raises(InvalidValueError, match="no missing label"):
        encode_labels(pandas.Series(["b", None, "a"]))
    with pytest.raises(InvalidValueError, match="no missing label; got <NA> at row 1"):
        encode_labels(pandas.Series([1, None, 2], dtype="Int64").to_numpy(dtype=object))


def test_the_labels_are_not_written_to():
    labels = np.asarray([3, -1, 4])
    labels.flags.writeable = False
    codes, _ = encode_labels(labels, ignore_index=-1)
    codes[0] = 9
    assert labels.tolist() == [3, -1, 4]
