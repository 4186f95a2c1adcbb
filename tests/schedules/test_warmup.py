# SPDX-License-Identifier: BSD-3-Clause
"""The warmup against PyTorch's LinearLR, and SequentialLR with what follows."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.schedules import Cosine, LinearWarmup, Plateau, Progress, Step
from tests.schedules.references import assert_follows_torch


@pytest.mark.parametrize("start_factor", [1 / 3, 0.01, 1e-6])
def test_follows_torch(start_factor):
    pytest.importorskip("torch")
    assert_follows_torch(
        LinearWarmup(20, start_factor),
        lambda lr, optimizer: lr.LinearLR(optimizer, start_factor=start_factor, total_iters=20),
        60,
    )


def test_follows_torch_into_a_cosine():
    pytest.importorskip("torch")

    def make(lr, optimizer):
        rise = lr.LinearLR(optimizer, start_factor=0.1, total_iters=15)
        return lr.SequentialLR(optimizer, [rise, lr.CosineAnnealingLR(optimizer, T_max=45)], milestones=[15])

    assert_follows_torch(LinearWarmup(15, 0.1, Cosine()), make, 60)


def test_a_float_is_a_fraction_of_the_run():
    whole, fraction = LinearWarmup(25, after=Cosine()), LinearWarmup(0.25, after=Cosine())
    for step in range(100):
        progress = Progress(step, 100, 10)
        assert fraction.factor(progress) == whole.factor(progress)
    # Rounded up to one step of a short run.
    assert [LinearWarmup(0.01, 0.5).factor(Progress(step, 3, 1)) for step in range(3)] == [0.5, 1.0, 1.0]


def test_what_follows_sees_a_shorter_run():
    seen = []

    class Spy:
        def factor(self, progress):
            seen.append(progress)
            return 0.5

    losses = (3.0, 2.0)
    assert LinearWarmup(4, after=Spy()).factor(Progress(5, 10, 2, losses)) == 0.5
    assert seen == [Progress(1, 6, 2, losses)]
    stairs = LinearWarmup(4, 1.0, Step(every=1, gamma=0.5))
    assert [stairs.factor(Progress(step, 10, 2)) for step in range(10)] == [1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert LinearWarmup(1, after=Plateau(0.5, patience=0)).factor(Progress(3, 10, 1, (1.0, 1.0, 1.0))) == 0.25


def test_a_run_shorter_than_its_warmup():
    schedule = LinearWarmup(100, 0.0, Cosine())
    np.testing.assert_allclose([schedule.factor(Progress(step, 10, 5)) for step in range(10)], np.arange(10) / 100)
    assert schedule.factor(Progress(100, 100, 5)) == 1.0


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"steps": 0}, InvalidValueError, r"`steps` must be at least 1; got 0"),
        ({"steps": 1.0}, InvalidValueError, r"`steps` must be above 0 and below 1 .*; got 1.0. Pass an integer"),
        ({"steps": 0.0}, InvalidValueError, r"`steps` must be above 0 and below 1 .*; got 0.0. Pass an integer"),
        ({"steps": 50.0}, InvalidValueError, r"`steps` must be between 0 and 1; got 50.0"),
        ({"steps": True}, InvalidTypeError, r"`steps` must be an integer; got True of type bool"),
        ({"steps": "all"}, InvalidTypeError, r"`steps` must be a number; got 'all' of type str"),
        ({"start_factor": 2.0}, InvalidValueError, r"`start_factor` must be between 0 and 1; got 2.0"),
        ({"after": Cosine}, InvalidTypeError, r"`after` must be a schedule; got <class .*Cosine'>. Pass an instance"),
        ({"after": "cosine"}, InvalidTypeError, r"`after` must be a schedule; got 'cosine'. Pass an instance"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        LinearWarmup(**settings)
