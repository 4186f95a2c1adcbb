# SPDX-License-Identifier: BSD-3-Clause
"""SGD against PyTorch's, in all its forms."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import SGD
from tests.optimizers.trajectories import assert_follows_optax, assert_follows_torch


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "dampening": 0.5},
        {"weight_decay": 0.1},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ],
)
def test_follows_torch(settings):
    pytest.importorskip("torch")
    assert_follows_torch(SGD(0.05, **settings), lambda optim, tensors: optim.SGD(tensors, lr=0.05, **settings))


@pytest.mark.parametrize("settings", [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_follows_optax(settings):
    pytest.importorskip("optax")
    assert_follows_optax(SGD(0.05, **settings), lambda optax: optax.sgd(0.05, **settings))


def test_first_gradient_is_not_dampened():
    params, grads = np.zeros(1), np.asarray([2.0])
    optimizer = SGD(learning_rate=1.0, momentum=0.5, dampening=0.75)
    updates, state = optimizer.update(grads, optimizer.init(params), params)
    assert (updates, state.trace) == (-2.0, 2.0)
    updates, state = optimizer.update(grads, state, params)
    assert (updates, state.trace) == (-1.5, 1.5)


def test_the_trace_shares_no_memory_with_the_gradient():
    params, grads = np.zeros(3), np.ones(3)
    optimizer = SGD(momentum=0.9)
    _, state = optimizer.update(grads, optimizer.init(params), params)
    grads[...] = 7.0
    np.testing.assert_array_equal(state.trace, np.ones(3))


def test_no_memory_without_momentum():
    assert SGD().init(np.zeros(3)).trace is None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"learning_rate": -1.0},
            InvalidValueError,
            r"`learning_rate` must be a finite number of at least 0; got -1.0",
        ),
        ({"learning_rate": "fast"}, InvalidTypeError, r"`learning_rate` must be a number or a function .*; got 'fast'"),
        ({"momentum": 1.0}, InvalidValueError, r"`momentum` must be at least 0 and below 1; got 1.0"),
        ({"dampening": -0.1}, InvalidValueError, r"`dampening` must be at least 0 and below 1; got -0.1"),
        ({"weight_decay": -1}, InvalidValueError, r"`weight_decay` must be a finite number of at least 0; got -1"),
        ({"nesterov": 1}, InvalidTypeError, r"`nesterov` must be True or False; got 1 of type int"),
        (
            {"nesterov": True},
            InvalidValueError,
            r"`nesterov` must be False unless `momentum` is above 0 .*momentum=0.0",
        ),
        (
            {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
            InvalidValueError,
            r"`nesterov` must be False unless .*got momentum=0.9, dampening=0.1. Pass for instance momentum=0.9",
        ),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        SGD(**settings)
