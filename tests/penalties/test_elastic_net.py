# SPDX-License-Identifier: BSD-3-Clause
"""Elastic net: its formula, its kink, its exact zeros and its checks."""

import math

import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError
from softmax_xp.penalties import L2, ElasticNet
from softmax_xp.typing import LinearParams

WEIGHT, BIAS = np.array([[1.0, -2.0], [3.0, 0.0]]), np.array([5.0, 7.0])


def test_is_absolute_values_and_half_the_squares():
    assert float(ElasticNet(0.5, 0.25).value(LinearParams(WEIGHT, BIAS))) == 0.5 * 6.0 + 0.125 * 14.0


def test_the_subgradient_at_the_kink_is_the_smallest():
    weight, bias = ElasticNet(0.5, 0.25).gradient(LinearParams(WEIGHT, BIAS))
    np.testing.assert_array_equal(weight, [[0.75, -1.0], [1.25, 0.0]])
    assert bias is None


def test_the_proximal_step_cuts_then_shrinks_and_leaves_the_bias(backend):
    params = LinearParams(backend.asarray(WEIGHT.astype("float32")), backend.asarray(BIAS.astype("float32")))
    weight, bias = ElasticNet(0.75, 0.5).proximal(params, 2.0)
    np.testing.assert_array_equal(backend.to_numpy(weight), [[0.0, -0.25], [0.75, 0.0]])
    np.testing.assert_array_equal(backend.to_numpy(bias), BIAS)
    assert not np.any(np.signbit(backend.to_numpy(weight)[[0, 1], [0, 1]]))
    assert ElasticNet(0.75, 0.5).proximal(LinearParams(WEIGHT), 2.0).bias is None


@pytest.mark.parametrize("step", [0.01, 0.3, 3.0])
def test_the_proximal_step_satisfies_its_optimality_condition(step):
    # 0 lies in l1 * sign(v) + l2 * v + (v - w) / step, where sign(0) is all of [-1, 1].
    penalty = ElasticNet(0.6, 0.2)
    w = np.random.default_rng(61).standard_normal((40, 5))
    v = penalty.proximal(LinearParams(w), step).weight
    slope = (w - v) / step - 0.2 * v
    assert 0 < np.count_nonzero(v) < v.size or step != 0.3
    np.testing.assert_allclose(slope[v != 0], 0.6 * np.sign(v[v != 0]), rtol=1e-9)
    assert np.all(np.abs(slope[v == 0]) <= 0.6)


def test_without_absolute_values_is_ridge():
    params = LinearParams(WEIGHT, BIAS)
    assert float(ElasticNet(l2=0.7).value(params)) == float(L2(0.7).value(params))
    np.testing.assert_array_equal(ElasticNet(l2=0.7).gradient(params).weight, L2(0.7).gradient(params).weight)
    np.testing.assert_array_equal(ElasticNet(l2=0.7).proximal(params, 3.0).weight, L2(0.7).proximal(params, 3.0).weight)


def test_hides_no_nan():
    params = LinearParams(np.array([[np.nan]]))
    penalty = ElasticNet(0.5, 0.5)
    assert np.isnan(penalty.value(params))
    assert np.isnan(penalty.gradient(params).weight[0, 0])
    assert np.isnan(penalty.proximal(params, 1.0).weight[0, 0])


@pytest.mark.parametrize("name", ["l1", "l2"])
@pytest.mark.parametrize("value", [-1e-9, -1.0, math.inf, math.nan])
def test_a_strength_that_makes_no_sense_is_an_error(name, value):
    with pytest.raises(InvalidValueError, match=rf"`{name}` must be a finite number of at least 0; got {value}"):
        ElasticNet(**{name: value})
