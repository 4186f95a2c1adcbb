# SPDX-License-Identifier: BSD-3-Clause
"""The ranges of the hyperparameters; their texts are tested with each optimizer."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.hyperparameters import (
    COUNT,
    FLAG,
    FRACTION,
    LEARNING_RATE,
    NON_NEGATIVE,
    POSITIVE,
    check_hyperparameters,
)


@dataclass(frozen=True, slots=True)
class Holder:
    value: Any


def checked(value, allowed):
    holder = Holder(value)
    check_hyperparameters(holder, value=allowed)
    return holder.value


@pytest.mark.parametrize(
    ("value", "allowed", "plain"),
    [
        (0, FRACTION, 0.0),
        (np.float64(0.5), FRACTION, 0.5),
        (np.float32(0.5), NON_NEGATIVE, 0.5),
        (Fraction(1, 2), POSITIVE, 0.5),
        (3, LEARNING_RATE, 3.0),
        (np.int64(3), COUNT, 3),
        (True, FLAG, True),
    ],
)
def test_values_become_plain_python(value, allowed, plain):
    result = checked(value, allowed)
    assert result == plain
    assert type(result) is type(plain)


def test_a_learning_rate_may_be_a_function():
    assert checked(abs, LEARNING_RATE) is abs


@pytest.mark.parametrize("allowed", [FRACTION, NON_NEGATIVE, POSITIVE, LEARNING_RATE])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-300])
def test_no_range_holds_these(value, allowed):
    with pytest.raises(InvalidValueError, match=f"`value` must be .*; got {value!r}"):
        checked(value, allowed)


@pytest.mark.parametrize(("value", "allowed"), [(1.0, FRACTION), (0.0, POSITIVE), (-1, COUNT)])
def test_ends_of_the_ranges(value, allowed):
    with pytest.raises(InvalidValueError, match=f"`value` must be {allowed.requirement}; got {value!r}"):
        checked(value, allowed)


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("1", FRACTION),
        (True, NON_NEGATIVE),
        (None, POSITIVE),
        (1.0, COUNT),
        (False, COUNT),
        (1, FLAG),
        (np.ones(1), LEARNING_RATE),
    ],
)
def test_values_of_another_kind(value, allowed):
    with pytest.raises(InvalidTypeError, match=f"`value` must be {allowed.kind_name}; got .* of type "):
        checked(value, allowed)
