# SPDX-License-Identifier: BSD-3-Clause
"""A learning rate that rises in a straight line before another schedule takes over."""

__all__ = ["LinearWarmup"]

from dataclasses import dataclass, field
from numbers import Integral
from typing import final

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.hyperparameters import AT_LEAST_ONE, SHARE, check_hyperparameters
from softmax_xp.schedules.constant import Constant
from softmax_xp.schedules.contract import Progress, Schedule


@final
@dataclass(frozen=True, slots=True)
class LinearWarmup:
    """Raise the learning rate in a straight line from `start_factor` to 1, then follow another schedule.

    ::

        factor = start_factor + (1 - start_factor) * step / steps         (while step < steps)
        factor = after.factor(progress of the run that begins at `steps`) (from then on)

    The rise is that of ``torch.optim.lr_scheduler.LinearLR(start_factor, end_factor=1, total_iters=steps)``,
    stepped once per step; with `after`, the whole is torch's ``SequentialLR`` of the two with
    ``milestones=[steps]``. Hence `after` sees a run that is shorter by the warmup: :class:`Cosine` falls over
    what is left, :class:`Step` counts its epochs from the end of the warmup. The monitored losses it sees are
    all of them.

    Parameters
    ----------
    steps : int or float, default=100
        Length of the rise: an integer is a number of steps, at least 1; a float is a fraction of the whole
        run, above 0 and below 1, rounded to at least one step.
    start_factor : float, default=0.3333333333333333
        The factor of the first step, in [0, 1].
    after : Schedule, optional
        What follows the rise. The default, ``Constant()``, stays at 1.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a setting is of the wrong kind or outside its range.

    References
    ----------
    P. Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017, arXiv:1706.02677.

    Examples
    --------
    >>> from softmax_xp.schedules import Cosine, LinearWarmup, Progress
    >>> schedule = LinearWarmup(steps=4, start_factor=0.0, after=Cosine())
    >>> [round(schedule.factor(Progress(step, total_steps=8, steps_per_epoch=1)), 3) for step in range(8)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 0.854, 0.5, 0.146]
    """

    steps: int | float = 100
    start_factor: float = 1 / 3
    after: Schedule = field(default_factory=Constant)

    def __post_init__(self) -> None:
        """Check the settings."""
        if isinstance(self.steps, Integral):
            check_hyperparameters(self, steps=AT_LEAST_ONE)
        else:
            check_hyperparameters(self, steps=SHARE)
            if self.steps in {0.0, 1.0}:
                msg = (
                    f"`steps` must be above 0 and below 1 when it is a fraction of the run; got {self.steps!r}. "
                    "Pass an integer for a number of steps."
                )
                raise InvalidValueError(msg)
        check_hyperparameters(self, start_factor=SHARE)
        # A class has the methods of its instances, so the protocol alone would let it pass.
        if isinstance(self.after, type) or not isinstance(self.after, Schedule):
            msg = f"`after` must be a schedule; got {self.after!r}. Pass an instance, for instance Cosine()."
            raise InvalidTypeError(msg)

    def factor(self, progress: Progress) -> float:
        """Return the height of the line, or what follows it; see :meth:`Schedule.factor`."""
        total = progress.total_steps
        steps = self.steps if isinstance(self.steps, Integral) else max(1, round(self.steps * total))
        if progress.step < steps:
            return self.start_factor + (1.0 - self.start_factor) * progress.step / steps
        # A run no longer than its warmup has no steps left to spread; 1 keeps the divisions by it defined.
        remaining = max(1, total - steps)
        return self.after.factor(progress._replace(step=progress.step - steps, total_steps=remaining))
