# SPDX-License-Identifier: BSD-3-Clause
"""What a learning-rate schedule is."""

__all__ = ["Progress", "Schedule"]

from typing import NamedTuple, Protocol, runtime_checkable


class Progress(NamedTuple):
    """How far a run has come, at the beginning of a step."""

    step: int  # number of finished steps of the whole run: 0 for the first
    total_steps: int  # number of steps that the whole run will take
    steps_per_epoch: int  # number of steps that go through the data once
    monitored: tuple[float, ...] = ()  # the monitored loss after each finished epoch


@runtime_checkable
class Schedule(Protocol):
    """A rule for the learning rate over the course of a run.

    A schedule is a frozen dataclass: it prints, compares and pickles, and remembers nothing. The same progress
    always gives the same factor, so that a run resumed from a checkpoint goes on as it would have.
    """

    def factor(self, progress: Progress) -> float:
        """Return what the optimizer's own learning rate is multiplied by.

        Parameters
        ----------
        progress : Progress
            How far the run has come.

        Returns
        -------
        float
            The factor for the step that comes next: 1 is the optimizer's own learning rate.
        """
