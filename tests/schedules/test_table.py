# SPDX-License-Identifier: BSD-3-Clause
"""The schedules by name."""

import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.schedules import SCHEDULES, Constant, Cosine, LinearWarmup, OneCycle, Plateau, Step, make_schedule


def test_names():
    assert list(SCHEDULES.items()) == [
        ("constant", Constant()),
        ("cosine", Cosine()),
        ("one_cycle", OneCycle()),
        ("plateau", Plateau()),
        ("step", Step()),
        ("warmup", LinearWarmup()),
    ]


def test_makes_from_a_name_or_an_instance():
    assert make_schedule("step") == Step()
    schedule = Step(3)
    assert make_schedule(schedule) is schedule


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        InvalidValueError,
        match=r"`schedule` must be one of 'constant', 'cosine', 'one_cycle', 'plateau', 'step', 'warmup'; got 'x'\.",
    ):
        make_schedule("x")


def test_other_objects():
    with pytest.raises(
        InvalidTypeError, match=r"`schedule` must be an instance; got the class Cosine. Pass Cosine\(\)"
    ):
        make_schedule(Cosine)
    with pytest.raises(InvalidTypeError, match=r"`schedule` must be a name or a schedule; got None. Pass for instance"):
        make_schedule(None)
