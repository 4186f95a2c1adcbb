# SPDX-License-Identifier: BSD-3-Clause
"""AdamW against PyTorch's and Optax's."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import Adam, AdamW
from tests.optimizers.trajectories import assert_follows_optax, assert_follows_torch, our_trajectory


@pytest.mark.parametrize(
    "settings", [{}, {"weight_decay": 0.5}, {"weight_decay": 0.5, "amsgrad": True}, {"b1": 0.8, "b2": 0.9}]
)
def test_follows_torch(settings):
    pytest.importorskip("torch")
    theirs = dict(settings)
    betas = (theirs.pop("b1", 0.9), theirs.pop("b2", 0.999))
    assert_follows_torch(
        AdamW(0.02, **settings), lambda optim, tensors: optim.AdamW(tensors, lr=0.02, betas=betas, **theirs)
    )


def test_follows_optax():
    pytest.importorskip("optax")
    assert_follows_optax(AdamW(0.02, weight_decay=0.5), lambda optax: optax.adamw(0.02, weight_decay=0.5))


def test_without_decay_it_is_adam():
    for with_w, without in zip(our_trajectory(AdamW(weight_decay=0)), our_trajectory(Adam()), strict=True):
        np.testing.assert_array_equal(with_w.weight, without.weight)


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
        ({"amsgrad": 0}, InvalidTypeError, r"`amsgrad` must be True or False; got 0 of type int"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        AdamW(**settings)
