# SPDX-License-Identifier: BSD-3-Clause
"""A learning rate that falls in stairs."""

__all__ = ["Step"]

from dataclasses import dataclass
from typing import final

from softmax_xp.hyperparameters import AT_LEAST_ONE, SHARE, check_hyperparameters
from softmax_xp.schedules.contract import Progress


@final
@dataclass(frozen=True, slots=True)
class Step:
    """Multiply the learning rate by `gamma` once every so many epochs.

    With ``epoch = step // steps_per_epoch``::

        factor = gamma ** (epoch // every)

    as ``torch.optim.lr_scheduler.StepLR`` stepped once per epoch.

    Parameters
    ----------
    every : int, default=10
        Number of epochs on one stair, at least 1.
    gamma : float, default=0.1
        Ratio of one stair to the one before, in [0, 1].

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a setting is of the wrong kind or outside its range.

    Examples
    --------
    >>> from softmax_xp.schedules import Progress, Step
    >>> schedule = Step(every=2, gamma=0.5)
    >>> [schedule.factor(Progress(step, total_steps=6, steps_per_epoch=1)) for step in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    every: int = 10
    gamma: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings."""
        check_hyperparameters(self, every=AT_LEAST_ONE, gamma=SHARE)

    def factor(self, progress: Progress) -> float:
        """Return the height of the current stair; see :meth:`Schedule.factor`."""
        epoch = progress.step // progress.steps_per_epoch
        stair: float = self.gamma ** (epoch // self.every)
        return stair
