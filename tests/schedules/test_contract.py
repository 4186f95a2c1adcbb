# SPDX-License-Identifier: BSD-3-Clause
"""The record that schedules read."""

from softmax_xp.schedules import Constant, Progress, Schedule


def test_progress_begins_without_losses():
    assert Progress(step=3, total_steps=10, steps_per_epoch=5) == (3, 10, 5, ())


def test_the_protocol_knows_a_schedule():
    assert isinstance(Constant(), Schedule)
    assert not isinstance("constant", Schedule)
