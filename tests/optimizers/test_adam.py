# SPDX-License-Identifier: BSD-3-Clause
"""Adam against PyTorch's and Optax's."""

import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import Adam
from tests.optimizers.trajectories import assert_follows_optax, assert_follows_torch


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"eps": 1e-2},
        {"amsgrad": True},
        {"weight_decay": 0.1},
        {"weight_decay": 0.1, "amsgrad": True},
    ],
)
def test_follows_torch(settings):
    pytest.importorskip("torch")
    assert_follows_torch(
        Adam(0.02, b1=0.8, b2=0.95, **settings),
        lambda optim, tensors: optim.Adam(tensors, lr=0.02, betas=(0.8, 0.95), **settings),
    )


def test_follows_torch_with_a_learning_rate_for_each_step():
    pytest.importorskip("torch")

    def learning_rate(step):
        return 0.02 * 0.99**step

    assert_follows_torch(
        Adam(learning_rate), lambda optim, tensors: optim.Adam(tensors, lr=1.0), learning_rate=learning_rate
    )


def test_follows_optax():
    pytest.importorskip("optax")
    assert_follows_optax(Adam(0.02, eps=1e-3), lambda optax: optax.adam(0.02, eps=1e-3))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"learning_rate": -1.0},
            InvalidValueError,
            r"`learning_rate` must be a finite number of at least 0; got -1.0",
        ),
        ({"b1": 1.0}, InvalidValueError, r"`b1` must be at least 0 and below 1; got 1.0"),
        ({"b2": -0.1}, InvalidValueError, r"`b2` must be at least 0 and below 1; got -0.1"),
        ({"eps": -1.0}, InvalidValueError, r"`eps` must be a finite number of at least 0; got -1.0"),
        ({"weight_decay": -1.0}, InvalidValueError, r"`weight_decay` must be a finite number of at least 0; got -1.0"),
        ({"amsgrad": None}, InvalidTypeError, r"`amsgrad` must be True or False; got None of type NoneType"),
        ({"b1": True}, InvalidTypeError, r"`b1` must be a number; got True of type bool"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        Adam(**settings)
