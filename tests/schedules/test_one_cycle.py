# SPDX-License-Identifier: BSD-3-Clause
"""The cycle against PyTorch's OneCycleLR."""

import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.schedules import OneCycle, Progress
from tests.schedules.references import assert_follows_torch


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({}, {}),
        ({"peak_fraction": 0.5}, {"pct_start": 0.5}),
        ({"peak_fraction": 0.01}, {"pct_start": 0.01}),
        ({"start_factor": 0.1, "final_factor": 0.001}, {"div_factor": 10.0, "final_div_factor": 100.0}),
    ],
)
@pytest.mark.parametrize("total_steps", [10, 77, 150])
def test_follows_torch(settings, reference, total_steps):
    pytest.importorskip("torch")
    assert_follows_torch(
        OneCycle(**settings),
        lambda lr, optimizer: lr.OneCycleLR(
            optimizer, max_lr=1.0, total_steps=total_steps, cycle_momentum=False, **reference
        ),
        total_steps,
    )


def test_the_peak_is_one_and_the_end_stays():
    schedule = OneCycle(peak_fraction=0.3, final_factor=0.125)
    factors = [schedule.factor(Progress(step, 10, 1)) for step in range(13)]
    assert factors.index(max(factors)) == 2
    assert factors[2] == 1.0
    assert factors[9:] == [0.125] * 4


def test_no_rise_no_fall_and_short_runs():
    # torch divides by zero in the first, third and fourth of these.
    assert OneCycle(peak_fraction=0.1).factor(Progress(0, 10, 1)) == 1.0
    assert OneCycle(peak_fraction=1.0).factor(Progress(9, 10, 1)) == 1.0
    assert OneCycle(peak_fraction=1.0).factor(Progress(0, 1, 1)) == 1.0
    assert OneCycle(peak_fraction=0.5).factor(Progress(0, 2, 1)) == 1.0
    assert OneCycle(peak_fraction=0.0, final_factor=0.5).factor(Progress(9, 10, 1)) == 0.5


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"peak_fraction": 1.5}, InvalidValueError, r"`peak_fraction` must be between 0 and 1; got 1.5"),
        ({"start_factor": -1.0}, InvalidValueError, r"`start_factor` must be between 0 and 1; got -1.0"),
        ({"final_factor": float("nan")}, InvalidValueError, r"`final_factor` must be between 0 and 1; got nan"),
        ({"final_factor": "0"}, InvalidTypeError, r"`final_factor` must be a number; got '0' of type str"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        OneCycle(**settings)
