# SPDX-License-Identifier: BSD-3-Clause
"""The cosine against PyTorch's CosineAnnealingLR."""

import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.schedules import Cosine, Progress
from tests.schedules.references import assert_follows_torch


@pytest.mark.parametrize("final_factor", [0.0, 0.1])
@pytest.mark.parametrize("total_steps", [5, 100])
def test_follows_torch(final_factor, total_steps):
    pytest.importorskip("torch")
    assert_follows_torch(
        Cosine(final_factor),
        lambda lr, optimizer: lr.CosineAnnealingLR(optimizer, T_max=total_steps, eta_min=final_factor),
        total_steps,
    )


def test_ends_are_exact_and_the_end_stays():
    schedule = Cosine(final_factor=0.25)
    assert [schedule.factor(Progress(step, 10, 1)) for step in (0, 10, 11, 1000)] == [1.0, 0.25, 0.25, 0.25]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-0.1, InvalidValueError, r"`final_factor` must be between 0 and 1; got -0.1"),
        (None, InvalidTypeError, r"`final_factor` must be a number; got None of type NoneType"),
    ],
)
def test_refuses_settings_that_make_no_sense(value, error, message):
    with pytest.raises(error, match=message):
        Cosine(value)
