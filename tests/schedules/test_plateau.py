# SPDX-License-Identifier: BSD-3-Clause
"""The plateau against PyTorch's ReduceLROnPlateau."""

import math

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.schedules import Plateau, Progress
from tests.schedules.references import torch_factors

_RNG = np.random.default_rng(8)
LOSSES = {
    "falls and stays": [*np.linspace(3, 1, 15), *np.full(40, 1.0)],
    "noise": list(1.0 + 0.1 * _RNG.standard_normal(80)),
    "small steps": list(1.0 - 5e-5 * np.arange(80)),
    "not finite": [1.0, math.nan, math.nan, math.inf, 0.5, math.nan, *np.full(30, 0.5)],
    "negative": list(-1.0 - 0.001 * np.arange(60)),
}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"patience": 0},
        {"patience": 2, "threshold": 0.05},
        {"patience": 1, "gamma": 0.5, "min_factor": 0.1},
        {"patience": 3, "threshold": 0.0},
    ],
)
@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES.keys())
def test_follows_torch(settings, losses):
    pytest.importorskip("torch")
    theirs = dict(settings)
    theirs |= {"factor": theirs.pop("gamma", 0.1), "min_lr": theirs.pop("min_factor", 0.0), "eps": 0.0}
    expected = torch_factors(lambda lr, optimizer: lr.ReduceLROnPlateau(optimizer, **theirs), len(losses), losses)
    schedule = Plateau(**settings)
    ours = [
        schedule.factor(Progress(epoch * 3, len(losses) * 3, 3, tuple(losses[:epoch]))) for epoch in range(len(losses))
    ]
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_some_of_these_reduce():
    schedule = Plateau(patience=2)
    assert schedule.factor(Progress(9, 99, 1, (1.0,) * 3)) == 1.0
    assert schedule.factor(Progress(9, 99, 1, (1.0,) * 4)) == 0.1


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"gamma": 1.5}, InvalidValueError, r"`gamma` must be between 0 and 1; got 1.5"),
        ({"patience": -1}, InvalidValueError, r"`patience` must be at least 0; got -1"),
        ({"patience": 1.0}, InvalidTypeError, r"`patience` must be an integer; got 1.0 of type float"),
        ({"threshold": -0.1}, InvalidValueError, r"`threshold` must be between 0 and 1; got -0.1"),
        ({"min_factor": 2}, InvalidValueError, r"`min_factor` must be between 0 and 1; got 2"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        Plateau(**settings)
