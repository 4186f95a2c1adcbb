# SPDX-License-Identifier: BSD-3-Clause
"""NAdam against PyTorch's."""

import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import NAdam
from tests.optimizers.trajectories import assert_follows_torch


@pytest.mark.parametrize(
    "settings", [{}, {"eps": 1e-2}, {"weight_decay": 0.1}, {"momentum_decay": 0.05}, {"momentum_decay": 0.0}]
)
def test_follows_torch(settings):
    pytest.importorskip("torch")
    assert_follows_torch(
        NAdam(0.02, b1=0.8, b2=0.95, **settings),
        lambda optim, tensors: optim.NAdam(tensors, lr=0.02, betas=(0.8, 0.95), **settings),
    )


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
        ({"momentum_decay": -1.0}, InvalidValueError, r"`momentum_decay` must be a finite number of at least 0"),
        ({"momentum_decay": "x"}, InvalidTypeError, r"`momentum_decay` must be a number; got 'x' of type str"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        NAdam(**settings)
