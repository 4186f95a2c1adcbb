# SPDX-License-Identifier: BSD-3-Clause
"""Lion against Optax's."""

import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import Lion
from tests.optimizers.trajectories import assert_follows_optax


@pytest.mark.parametrize("settings", [{}, {"b1": 0.5, "b2": 0.8}, {"weight_decay": 0.5}])
def test_follows_optax(settings):
    pytest.importorskip("optax")
    theirs = {"weight_decay": 0.0, **settings}
    assert_follows_optax(Lion(0.003, **settings), lambda optax: optax.lion(0.003, **theirs))


def test_follows_optax_with_a_schedule():
    pytest.importorskip("optax")

    def learning_rate(count):
        return 0.01 / (1.0 + 0.02 * count)  # for each power of a number JAX would compile a program of its own

    assert_follows_optax(Lion(learning_rate), lambda optax: optax.lion(learning_rate, weight_decay=0.0))


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
        ({"weight_decay": -1.0}, InvalidValueError, r"`weight_decay` must be a finite number of at least 0; got -1.0"),
        ({"b2": [0.9]}, InvalidTypeError, r"`b2` must be a number; got \[0.9\] of type list"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        Lion(**settings)
