# SPDX-License-Identifier: BSD-3-Clause
"""Stairs against PyTorch's StepLR."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.schedules import Progress, Step
from tests.schedules.references import torch_factors


@pytest.mark.parametrize(("every", "gamma"), [(10, 0.1), (1, 0.9), (7, 0.5)])
def test_follows_torch(every, gamma):
    pytest.importorskip("torch")
    theirs = torch_factors(lambda lr, optimizer: lr.StepLR(optimizer, step_size=every, gamma=gamma), 40)
    schedule = Step(every, gamma)
    for step in range(160):
        # The factor is that of the epoch, whichever of its 4 steps it is.
        np.testing.assert_allclose(schedule.factor(Progress(step, 160, 4)), theirs[step // 4], rtol=1e-12)
    assert len(set(theirs)) > 2


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"every": 0}, InvalidValueError, r"`every` must be at least 1; got 0"),
        ({"every": 1.5}, InvalidTypeError, r"`every` must be an integer; got 1.5 of type float"),
        ({"gamma": 1.1}, InvalidValueError, r"`gamma` must be between 0 and 1; got 1.1"),
        ({"gamma": "x"}, InvalidTypeError, r"`gamma` must be a number; got 'x' of type str"),
    ],
)
def test_refuses_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        Step(**settings)
