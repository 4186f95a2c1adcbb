# SPDX-License-Identifier: BSD-3-Clause
"""The checks of the schedules' settings."""

import re

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.schedules.hyperparameters import check_integer, check_number


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.25), 1.0])
def test_numbers_of_the_interval_pass(value):
    check_number("gamma", value, 0.0, 1.0)


@pytest.mark.parametrize("value", [-1e-9, 1.5, float("nan"), float("inf")])
def test_numbers_outside(value):
    with pytest.raises(InvalidValueError, match=re.escape(f"`gamma` must be between 0 and 1; got {value!r}.")):
        check_number("gamma", value, 0.0, 1.0)


@pytest.mark.parametrize("value", ["1", None, True, 1j])
def test_what_is_no_number(value):
    with pytest.raises(InvalidTypeError, match=re.escape(f"`gamma` must be a number; got {value!r} of type")):
        check_number("gamma", value, 0.0, 1.0)


def test_integers():
    check_integer("every", 1, 1)
    check_integer("every", np.int64(4), 1)
    with pytest.raises(InvalidValueError, match=r"`every` must be at least 1; got 0\."):
        check_integer("every", 0, 1)
    for value in (1.0, True, "1"):
        with pytest.raises(InvalidTypeError, match=rf"`every` must be an integer; got {value!r} of type"):
            check_integer("every", value, 1)
