# SPDX-License-Identifier: BSD-3-Clause
"""The learning rate as it is."""

__all__ = ["Constant"]

from dataclasses import dataclass
from typing import final

from softmax_xp.schedules.contract import Progress


@final
@dataclass(frozen=True, slots=True)
class Constant:
    """Keep the optimizer's own learning rate: the factor is always 1.

    Examples
    --------
    >>> from softmax_xp.schedules import Constant, Progress
    >>> Constant().factor(Progress(step=70, total_steps=100, steps_per_epoch=10))
    1.0
    """

    def factor(self, progress: Progress) -> float:  # noqa: ARG002  the protocol's signature
        """Return 1; see :meth:`Schedule.factor`."""
        return 1.0
