# SPDX-License-Identifier: BSD-3-Clause
"""RMSprop against PyTorch's, in all its forms."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import RMSprop
from tests.optimizers.trajectories import assert_follows_torch


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"eps": 1e-2},
        {"momentum": 0.9},
        {"centered": True},
        {"centered": True, "momentum": 0.9},
        {"weight_decay": 0.1},
        {"centered": True, "momentum": 0.9, "weight_decay": 0.1},
    ],
)
def test_follows_torch(settings):
    pytest.importorskip("torch")
    assert_follows_torch(
        RMSprop(0.001, decay=0.95, **settings),
        lambda optim, tensors: optim.RMSprop(tensors, lr=0.001, alpha=0.95, **settings),
    )


def test_a_constant_gradient_has_no_negative_variance():
    # At some of these steps nu - mu**2 rounds to below 0; the next line of the test shows that it does.
    params, grads = np.zeros(200), np.linspace(0.1, 3.0, 200)
    optimizer = RMSprop(centered=True, decay=0.5)
    state = optimizer.init(params)
    is_negative = False
    for _ in range(200):
        updates, state = optimizer.update(grads, state, params)
        is_negative |= bool(np.any(state.nu - state.mu**2 < 0.0))
        assert np.all(np.isfinite(updates))
    assert is_negative


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"learning_rate": -1.0},
            InvalidValueError,
            r"`learning_rate` must be a finite number of at least 0; got -1.0",
        ),
        ({"decay": 1.0}, InvalidValueError, r"`decay` must be at least 0 and below 1; got 1.0"),
        ({"eps": -1.0}, InvalidValueError, r"`eps` must be a finite number of at least 0; got -1.0"),
        ({"momentum": -0.1}, InvalidValueError, r"`momentum` must be at least 0 and below 1; got -0.1"),
        ({"weight_decay": -1.0}, InvalidValueError, r"`weight_decay` must be a finite number of at least 0; got -1.0"),
        ({"centered": "no"}, InvalidTypeError, r"`centered` must be True or False; got 'no' of type str"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        RMSprop(**settings)
