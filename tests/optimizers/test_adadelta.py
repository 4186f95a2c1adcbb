# SPDX-License-Identifier: BSD-3-Clause
"""Adadelta against PyTorch's and Optax's."""

import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import Adadelta
from tests.optimizers.trajectories import assert_follows_optax, assert_follows_torch


@pytest.mark.parametrize(
    "settings", [{}, {"lr": 0.5}, {"rho": 0.5}, {"eps": 1e-3}, {"weight_decay": 0.1}, {"eps": 1e-2, "rho": 0.0}]
)
def test_follows_torch(settings):
    pytest.importorskip("torch")
    ours = {"learning_rate" if name == "lr" else name: value for name, value in settings.items()}
    assert_follows_torch(Adadelta(**ours), lambda optim, tensors: optim.Adadelta(tensors, **settings))


def test_follows_optax():
    pytest.importorskip("optax")
    assert_follows_optax(Adadelta(0.5, eps=1e-3), lambda optax: optax.adadelta(0.5, rho=0.9, eps=1e-3))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"learning_rate": -1.0},
            InvalidValueError,
            r"`learning_rate` must be a finite number of at least 0; got -1.0",
        ),
        ({"rho": 1.0}, InvalidValueError, r"`rho` must be at least 0 and below 1; got 1.0"),
        ({"eps": -1.0}, InvalidValueError, r"`eps` must be a finite number of at least 0; got -1.0"),
        ({"weight_decay": -1.0}, InvalidValueError, r"`weight_decay` must be a finite number of at least 0; got -1.0"),
        ({"rho": 1j}, InvalidTypeError, r"`rho` must be a number; got 1j of type complex"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        Adadelta(**settings)
