# SPDX-License-Identifier: BSD-3-Clause
"""A learning rate that falls when the loss has stopped falling."""

__all__ = ["Plateau"]

import math
from dataclasses import dataclass
from typing import final

from softmax_xp.hyperparameters import COUNT, SHARE, check_hyperparameters
from softmax_xp.schedules.contract import Progress


@final
@dataclass(frozen=True, slots=True)
class Plateau:
    """Multiply the learning rate by `gamma` after more than `patience` epochs without a better loss.

    A loss is better when it is below ``(1 - threshold)`` times the best so far; NaN never is. After a
    reduction the count of epochs begins anew, and the best loss stays. The schedule remembers nothing: it
    replays ``progress.monitored``, which takes time in proportion to the number of finished epochs.

    As ``torch.optim.lr_scheduler.ReduceLROnPlateau`` with ``mode="min"``, ``threshold_mode="rel"`` and
    ``eps=0``, stepped once per epoch. Its ``factor`` is `gamma` here; its ``eps`` leaves out reductions of less
    than 1e-8.

    Parameters
    ----------
    gamma : float, default=0.1
        Ratio of the learning rate after a reduction to the one before, in [0, 1].
    patience : int, default=10
        Number of epochs without a better loss that are let pass, at least 0.
    threshold : float, default=1e-4
        By which share a loss must be below the best one to be better, in [0, 1].
    min_factor : float, default=0.0
        What the factor never falls below, in [0, 1].

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a setting is of the wrong kind or outside its range.

    Examples
    --------
    >>> from softmax_xp.schedules import Plateau, Progress
    >>> schedule = Plateau(gamma=0.5, patience=1)
    >>> losses = (3.0, 2.0, 2.0, 2.0, 2.0, 2.0)
    >>> [schedule.factor(Progress(epoch, 6, 1, losses[:epoch])) for epoch in range(7)]
    [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25]
    """

    gamma: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    min_factor: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        check_hyperparameters(self, gamma=SHARE, patience=COUNT, threshold=SHARE, min_factor=SHARE)

    def factor(self, progress: Progress) -> float:
        """Return the factor after the reductions so far; see :meth:`Schedule.factor`."""
        factor, best, n_bad_epochs = 1.0, math.inf, 0
        for loss in progress.monitored:
            if loss < best * (1.0 - self.threshold):
                best, n_bad_epochs = loss, 0
            else:
                n_bad_epochs += 1
            if n_bad_epochs > self.patience:
                factor, n_bad_epochs = max(factor * self.gamma, self.min_factor), 0
        return factor
