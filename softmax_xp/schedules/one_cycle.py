# SPDX-License-Identifier: BSD-3-Clause
"""A learning rate that rises to its peak and falls far below its start."""

__all__ = ["OneCycle"]

import math
from dataclasses import dataclass
from typing import final

from softmax_xp.hyperparameters import SHARE, check_hyperparameters
from softmax_xp.schedules.contract import Progress


@final
@dataclass(frozen=True, slots=True)
class OneCycle:
    """Raise the learning rate from `start_factor` to 1, then lower it to `final_factor`, both along a cosine.

    With ``peak = peak_fraction * total_steps - 1``, ``last = total_steps - 1`` and
    ``cosine(a, b, t) = b + (a - b) * (1 + cos(pi * t)) / 2``::

        factor = cosine(start_factor, 1, step / peak)                             (step <= peak)
        factor = cosine(1, final_factor, (step - peak) / (last - peak))           (after that)

    as ``torch.optim.lr_scheduler.OneCycleLR`` with ``anneal_strategy="cos"``, ``three_phase=False``,
    ``max_lr`` the optimizer's own learning rate, ``start_factor = 1 / div_factor`` and
    ``final_factor = 1 / (div_factor * final_div_factor)``. The learning rate alone is cycled: momentum is
    not, as with torch's ``cycle_momentum=False``. Steps beyond the run stay at `final_factor`.

    Parameters
    ----------
    peak_fraction : float, default=0.3
        Share of the run that is spent rising, in [0, 1].
    start_factor : float, default=0.04
        The factor of the first step, in [0, 1].
    final_factor : float, default=4e-06
        The factor of the last step, in [0, 1].

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a setting is no number of [0, 1].

    References
    ----------
    L. N. Smith, N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates", 2017, arXiv:1708.07120.

    Examples
    --------
    >>> from softmax_xp.schedules import OneCycle, Progress
    >>> schedule = OneCycle(peak_fraction=0.5, start_factor=0.5, final_factor=0.0)
    >>> [round(schedule.factor(Progress(step, total_steps=6, steps_per_epoch=1)), 3) for step in range(6)]
    [0.5, 0.75, 1.0, 0.75, 0.25, 0.0]
    """

    peak_fraction: float = 0.3
    start_factor: float = 1 / 25
    final_factor: float = 1 / (25 * 1e4)

    def __post_init__(self) -> None:
        """Check the settings."""
        check_hyperparameters(self, peak_fraction=SHARE, start_factor=SHARE, final_factor=SHARE)

    def factor(self, progress: Progress) -> float:
        """Return the height of the rise or the fall; see :meth:`Schedule.factor`."""
        peak = self.peak_fraction * progress.total_steps - 1.0
        last = progress.total_steps - 1.0
        step = min(progress.step, last)
        # A rise that takes no time (peak <= 0, torch divides by zero at exactly 0) begins at the peak.
        if step <= peak and peak > 0.0:
            return _cosine(self.start_factor, 1.0, step / peak)
        if last <= peak:  # a run of one step that is all rise
            return 1.0
        return _cosine(1.0, self.final_factor, (step - peak) / (last - peak))


def _cosine(start: float, end: float, fraction: float) -> float:
    """Return the point at `fraction` of half a cosine from `start` to `end`."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * fraction))
