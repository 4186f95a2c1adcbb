# SPDX-License-Identifier: BSD-3-Clause
"""Columns of a model and rows of coefficients: the probabilities never change."""

import numpy as np
import pytest

from softmax_xp.estimators.coefficients import (
    as_coefficients,
    centred,
    columns_of_classes,
    one_column,
    regrouped,
)
from softmax_xp.ops.softmax import softmax
from softmax_xp.typing import LinearParams

RNG = np.random.default_rng(0)
WEIGHT, BIAS, X = RNG.normal(size=(2, 3)), RNG.normal(size=3), RNG.normal(size=(5, 2))


def probabilities(params):
    weight, bias = (None if part is None else np.asarray(part) for part in params)
    logits = X @ weight + (0.0 if bias is None else bias)
    return softmax(logits if logits.shape[1] > 1 else np.concatenate([np.zeros_like(logits), logits], axis=1))


def on(backend, *, columns=3, bias=True):
    return LinearParams(backend.asarray(WEIGHT[:, :columns]), backend.asarray(BIAS[:columns]) if bias else None)


def back(backend, params):
    return LinearParams(*(None if part is None else backend.to_numpy(part) for part in params))


def test_coefficients_are_the_contiguous_transpose(backend):
    coef, intercept = as_coefficients(on(backend))
    np.testing.assert_array_equal(backend.to_numpy(coef), WEIGHT.T)
    np.testing.assert_array_equal(backend.to_numpy(intercept), BIAS)
    _, none = as_coefficients(on(backend, bias=False))
    np.testing.assert_array_equal(backend.to_numpy(none), np.zeros(3))
    assert as_coefficients(LinearParams(WEIGHT, BIAS))[0].flags.c_contiguous


def test_the_intercept_is_a_copy():
    bias = BIAS.copy()
    as_coefficients(LinearParams(WEIGHT, bias))[1][:] = 7.0
    np.testing.assert_array_equal(bias, BIAS)


@pytest.mark.parametrize("bias", [True, False])
def test_one_column_and_two_are_one_model(backend, bias):
    one = on(backend, columns=1, bias=bias)
    two = columns_of_classes(one)
    assert two.weight.shape == (2, 2)
    np.testing.assert_allclose(probabilities(back(backend, two)), probabilities(back(backend, one)), rtol=1e-14)
    np.testing.assert_allclose(backend.to_numpy(one_column(two).weight), WEIGHT[:, :1], rtol=1e-15)
    assert (one_column(two).bias is None) is not bias


def test_other_numbers_of_columns_stay(backend):
    three = on(backend)
    assert columns_of_classes(three) is three
    assert one_column(three) is three
    one = on(backend, columns=1)
    assert one_column(one) is one
    assert centred(one) is one


def test_centring_changes_no_probability(backend):
    params = centred(on(backend))
    weight, bias = back(backend, params)
    np.testing.assert_allclose(probabilities((weight, bias)), probabilities((WEIGHT, BIAS)), rtol=1e-13)
    assert abs(bias.sum()) < 1e-14
    assert (abs(weight.sum(axis=1)) < 1e-14).all()
    assert centred(on(backend, bias=False)).bias is None


def test_classes_may_come_go_and_move(backend):
    params = back(backend, regrouped(on(backend), ["a", "c", "e"], ["b", "c", "a"], new_bias=-5.0))
    np.testing.assert_array_equal(params.weight, np.column_stack([np.zeros(2), WEIGHT[:, 1], WEIGHT[:, 0]]))
    np.testing.assert_array_equal(params.bias, [-5.0, BIAS[1], BIAS[0]])
    by_default = back(backend, regrouped(on(backend), ["a", "c", "e"], ["a", "d"]))
    np.testing.assert_allclose(by_default.bias, [BIAS[0], BIAS.mean()])
    assert regrouped(on(backend, bias=False), ["a", "c", "e"], ["a", "d"]).bias is None
