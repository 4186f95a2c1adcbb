# SPDX-License-Identifier: BSD-3-Clause
"""A learning rate that falls along half a cosine."""

__all__ = ["Cosine"]

import math
from dataclasses import dataclass
from typing import final

from softmax_xp.hyperparameters import SHARE, check_hyperparameters
from softmax_xp.schedules.contract import Progress


@final
@dataclass(frozen=True, slots=True)
class Cosine:
    """Lower the learning rate along half a cosine, from 1 to `final_factor`, over the whole run.

    ::

        factor = final_factor + (1 - final_factor) * (1 + cos(pi * step / total_steps)) / 2

    as ``torch.optim.lr_scheduler.CosineAnnealingLR`` with ``T_max = total_steps``, stepped once per step. The
    last step is at ``total_steps - 1``, a little above `final_factor`. Steps beyond the run stay at
    `final_factor`, where torch's rises again.

    Parameters
    ----------
    final_factor : float, default=0.0
        What the factor falls to, in [0, 1].

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If `final_factor` is no number of [0, 1].

    References
    ----------
    I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    arXiv:1608.03983 (without the restarts).

    Examples
    --------
    >>> from softmax_xp.schedules import Cosine, Progress
    >>> [round(Cosine().factor(Progress(step, total_steps=4, steps_per_epoch=1)), 3) for step in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    final_factor: float = 0.0

    def __post_init__(self) -> None:
        """Check the setting."""
        check_hyperparameters(self, final_factor=SHARE)

    def factor(self, progress: Progress) -> float:
        """Return the height of the cosine; see :meth:`Schedule.factor`."""
        fraction = min(progress.step / progress.total_steps, 1.0)
        return self.final_factor + (1.0 - self.final_factor) * 0.5 * (1.0 + math.cos(math.pi * fraction))
