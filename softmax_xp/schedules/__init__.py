# SPDX-License-Identifier: BSD-3-Clause
"""Learning-rate schedules: from the progress of a run to a factor of the optimizer's learning rate.

Every schedule is a frozen dataclass with one pure method, ``factor(progress) -> float``; see :class:`Schedule`.
"""

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "LinearWarmup",
    "OneCycle",
    "Plateau",
    "Progress",
    "Schedule",
    "Step",
    "make_schedule",
]

from softmax_xp.schedules.constant import Constant
from softmax_xp.schedules.contract import Progress, Schedule
from softmax_xp.schedules.cosine import Cosine
from softmax_xp.schedules.one_cycle import OneCycle
from softmax_xp.schedules.plateau import Plateau
from softmax_xp.schedules.step import Step
from softmax_xp.schedules.table import SCHEDULES, make_schedule
from softmax_xp.schedules.warmup import LinearWarmup
