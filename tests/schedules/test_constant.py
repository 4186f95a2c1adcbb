# SPDX-License-Identifier: BSD-3-Clause
"""The schedule that changes nothing."""

from softmax_xp.schedules import Constant, Progress


def test_is_one_at_every_step():
    assert {Constant().factor(Progress(step, 10, 2, (1.0,) * (step // 2))) for step in range(12)} == {1.0}
