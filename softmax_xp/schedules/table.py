# SPDX-License-Identifier: BSD-3-Clause
"""The schedules by name. A new one is a new file and a new line here."""

__all__ = ["SCHEDULES", "make_schedule"]

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.schedules.constant import Constant
from softmax_xp.schedules.contract import Schedule
from softmax_xp.schedules.cosine import Cosine
from softmax_xp.schedules.one_cycle import OneCycle
from softmax_xp.schedules.plateau import Plateau
from softmax_xp.schedules.step import Step
from softmax_xp.schedules.warmup import LinearWarmup

SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(),
    "cosine": Cosine(),
    "one_cycle": OneCycle(),
    "plateau": Plateau(),
    "step": Step(),
    "warmup": LinearWarmup(),
}


def make_schedule(schedule: str | Schedule) -> Schedule:
    """Return a schedule from its name, or the schedule itself.

    Parameters
    ----------
    schedule : str or Schedule
        A key of :data:`SCHEDULES`, or an instance.

    Returns
    -------
    Schedule
        The schedule.

    Raises
    ------
    InvalidValueError
        If the name is not in the table.
    InvalidTypeError
        If `schedule` is neither a name nor a schedule, for instance the class ``Cosine`` in place of the
        instance ``Cosine()``.

    Examples
    --------
    >>> from softmax_xp.schedules import Step, make_schedule
    >>> make_schedule("cosine")
    Cosine(final_factor=0.0)
    >>> make_schedule(Step(every=5))
    Step(every=5, gamma=0.1)
    """
    if isinstance(schedule, str):
        if schedule not in SCHEDULES:
            msg = f"`schedule` must be one of {', '.join(map(repr, sorted(SCHEDULES)))}; got {schedule!r}."
            raise InvalidValueError(msg)
        return SCHEDULES[schedule]
    # A class has the methods of its instances, so the protocol alone would let it pass.
    if isinstance(schedule, type):
        msg = f"`schedule` must be an instance; got the class {schedule.__name__}. Pass {schedule.__name__}()."
        raise InvalidTypeError(msg)
    if not isinstance(schedule, Schedule):
        msg = f"`schedule` must be a name or a schedule; got {schedule!r}. Pass for instance 'cosine' or Cosine()."
        raise InvalidTypeError(msg)
    return schedule
