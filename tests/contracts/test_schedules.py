# SPDX-License-Identifier: BSD-3-Clause
"""What every schedule promises, shown for each entry of the table and some compositions."""

import copy
import dataclasses
import math
import pickle

import pytest

from softmax_xp import schedules
from softmax_xp.schedules import SCHEDULES, Cosine, LinearWarmup, Plateau, Progress, Schedule

VARIANTS = SCHEDULES | {
    "warmup, then cosine": LinearWarmup(0.1, after=Cosine(0.01)),
    "warmup, then plateau": LinearWarmup(3, after=Plateau(patience=1)),
}
RUNS = [(1, 1), (1, 5), (7, 3), (300, 20)]


def progress_of(step, total_steps, steps_per_epoch):
    return Progress(step, total_steps, steps_per_epoch, (1.0,) * (step // steps_per_epoch))


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def schedule(request):
    return request.param


@pytest.mark.parametrize(("total_steps", "steps_per_epoch"), RUNS)
def test_a_factor_is_a_python_float_from_0_to_1(schedule, total_steps, steps_per_epoch):
    # A little beyond the end, where a run that is continued would ask.
    for step in range(total_steps + 10):
        factor = schedule.factor(progress_of(step, total_steps, steps_per_epoch))
        assert type(factor) is float
        assert math.isfinite(factor)
        assert 0.0 <= factor <= 1.0


def test_the_same_progress_gives_the_same_factor_in_any_order(schedule):
    run = [progress_of(step, 60, 5) for step in range(60)]
    forwards = [schedule.factor(progress) for progress in run]
    backwards = [schedule.factor(progress) for progress in reversed(run)]
    assert backwards[::-1] == forwards


def test_only_the_constant_is_constant(schedule):
    factors = {schedule.factor(progress_of(step, 300, 10)) for step in range(300)}
    assert (len(factors) == 1) is (schedule == schedules.Constant())


def test_it_is_a_value(schedule):
    assert isinstance(schedule, Schedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert hash(copy.deepcopy(schedule)) == hash(schedule)
    assert eval(repr(schedule), vars(schedules).copy()) == schedule  # noqa: S307  the text is ours
    for field in dataclasses.fields(schedule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(schedule, field.name, 0)
