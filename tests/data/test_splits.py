# SPDX-License-Identifier: BSD-3-Clause
import re
import warnings

import numpy as np
import pytest

from softmax_xp.data.splits import stratified_split
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SoftmaxXPWarning


def test_parts_are_disjoint_sorted_and_keep_the_proportions():
    y = np.asarray(["a"] * 100 + ["b"] * 300 + ["c"] * 600)
    split = stratified_split(y, validation=0.1, test=0.2, seed=3)
    parts = (split.train, split.validation, split.test)
    assert [part.shape[0] for part in parts] == [700, 100, 200]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1000))
    for part in parts:
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
        assert [int((y[part] == label).sum()) * 10 // part.shape[0] for label in "abc"] == [1, 3, 6]


def test_the_seed_alone_decides():
    y = np.arange(200) % 4
    first, again, other = (stratified_split(y, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.train, again.train)
    np.testing.assert_array_equal(first.test, again.test)
    assert not np.array_equal(first.train, other.train)


def test_a_fraction_of_zero_gives_an_empty_part():
    y = [0, 1] * 20
    both = stratified_split(y, validation=0, test=0)
    assert (both.train.tolist(), both.validation.size, both.test.size) == (list(range(40)), 0, 0)
    assert both.test.dtype == np.int64
    one = stratified_split(y, validation=0.5, test=0)
    assert (one.train.size, one.validation.size, one.test.size) == (20, 20, 0)


@pytest.mark.parametrize(
    ("y", "warned"),
    [
        ([0, 1] * 20 + [2], ["test", "validation"]),  # one sample cannot stand in two parts
        (list(range(20)) * 2, ["test", "validation"]),  # 8 samples cannot hold 20 classes
        ([0] * 10 + [1] * 10 + [2] * 10, ["validation"]),  # 2 samples cannot hold 3 classes
    ],
)
def test_classes_too_small_to_stratify_are_split_at_random_with_a_warning(y, warned):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        split = stratified_split(y, validation=0.06, test=0.2, seed=1)
    assert sorted([*split.train, *split.validation, *split.test]) == list(range(len(y)))
    assert [warning.category for warning in caught] == [SoftmaxXPWarning] * len(warned)
    for name, warning in zip(warned, caught, strict=True):
        assert re.search(f"The {name} part of .* without stratification", str(warning.message))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": 1.0}, r"`test` must be a fraction in \[0, 1\); got 1.0"),
        ({"validation": -0.1}, "`validation` must be a fraction"),
        ({"test": float("nan")}, "`test` must be a fraction"),
        ({"validation": 0.5, "test": 0.5}, "leave samples to train on; got 0.5 and 0.5 of 4"),
        ({"validation": 0.4, "test": 0.59}, "leave samples to train on"),
    ],
)
def test_fractions_out_of_range_are_refused(options, message):
    with pytest.raises(InvalidValueError, match=message):
        stratified_split([0, 1, 0, 1], **options)


def test_fractions_must_be_numbers():
    with pytest.raises(InvalidTypeError, match="`test` must be a number; got '0.2'"):
        stratified_split([0, 1], test="0.2")
