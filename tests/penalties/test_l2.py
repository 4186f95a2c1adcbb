# SPDX-License-Identifier: BSD-3-Clause
"""The squared penalty: its formula, its free bias and its checks."""

import math

import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError, SoftmaxXPError
from softmax_xp.penalties import L2
from softmax_xp.typing import LinearParams

WEIGHT, BIAS = np.array([[1.0, -2.0], [3.0, 0.0]]), np.array([5.0, 7.0])


def test_is_half_the_strength_times_the_squares():
    assert float(L2(0.5).value(LinearParams(WEIGHT, BIAS))) == 0.25 * 14.0


def test_the_gradient_leaves_the_bias_out():
    weight, bias = L2(0.5).gradient(LinearParams(WEIGHT, BIAS))
    np.testing.assert_array_equal(weight, 0.5 * WEIGHT)
    assert bias is None


def test_the_proximal_step_shrinks_the_weight_and_leaves_the_bias():
    weight, bias = L2(0.5).proximal(LinearParams(WEIGHT, BIAS), 2.0)
    np.testing.assert_array_equal(weight, WEIGHT / 2)
    np.testing.assert_array_equal(bias, BIAS)
    assert L2(0.5).proximal(LinearParams(WEIGHT), 2.0).bias is None


def test_no_strength_is_no_penalty():
    params = LinearParams(WEIGHT, BIAS)
    assert float(L2().value(params)) == 0.0
    np.testing.assert_array_equal(L2().gradient(params).weight, 0.0)
    np.testing.assert_array_equal(L2().proximal(params, 3.0).weight, WEIGHT)


@pytest.mark.parametrize("reg", [-1e-9, -1.0, math.inf, -math.inf, math.nan])
def test_a_strength_that_makes_no_sense_is_an_error(reg):
    with pytest.raises(InvalidValueError, match=rf"`reg` must be a finite number of at least 0; got {reg}") as caught:
        L2(reg)
    assert isinstance(caught.value, SoftmaxXPError)
