# SPDX-License-Identifier: BSD-3-Clause
"""Time contestants side by side, so that whatever the machine does meanwhile happens to all of them.

One round gives every contestant one block of calls; rounds run through the contestants alternately forwards and
backwards. A block starts with calls that are not timed: they wake the contestant's own threads and let those of
the one before fall asleep (OpenBLAS and OpenMP threads go on spinning for some 30 ms after their last product).
A ratio is taken within each round, so a slow second of the machine cancels; its median and range are reported.
"""

__all__ = ["Effort", "Ratio", "median_seconds", "race", "ratio"]

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import NamedTuple, final


@final
@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Parameters
    ----------
    rounds : int, default: 15
        Blocks of each contestant.
    block_seconds : float, default: 0.25
        Timed part of a block; at least one call.
    settle_seconds : float, default: 0.1
        Untimed part before it; at least one call.
    """

    rounds: int = 15
    block_seconds: float = 0.25
    settle_seconds: float = 0.1


class Ratio(NamedTuple):
    """How much longer one contestant takes than another."""

    median: float
    least: float
    largest: float


def race(
    contestants: Mapping[str, Callable[[], object]],
    effort: Effort,
    *,
    synchronise: Callable[[], object] = lambda: None,
    before: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, list[float]]:
    """Return the seconds of one call of each contestant, one number for each round.

    Parameters
    ----------
    contestants : mapping of str to callable
        What to call; a callable that needs other input at each call rotates it itself.
    effort : Effort
        How long.
    synchronise : callable, optional
        Waits for the device; called before and after each timed block, as calls to accelerators return early.
    before : mapping of str to callable, optional
        What to call at the start of a contestant's blocks, such as a change of settings.

    Returns
    -------
    dict of str to list of float
        In the order of ``contestants``.
    """
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(effort.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            if before is not None and name in before:
                before[name]()
            seconds[name].append(_block(contestants[name], effort, synchronise))
    return seconds


def _block(call: Callable[[], object], effort: Effort, synchronise: Callable[[], object]) -> float:
    """Return the mean seconds of a call."""
    settled, elapsed = 0, 0.0
    start = perf_counter()
    while settled == 0 or elapsed < effort.settle_seconds:
        call()
        settled += 1
        # Waiting at powers of two only: a queue that is emptied after each call would be timed as idle.
        if settled & (settled - 1) == 0:
            synchronise()
        elapsed = perf_counter() - start
    synchronise()
    calls = max(1, round(effort.block_seconds * settled / (perf_counter() - start)))
    collecting = gc.isenabled()
    gc.disable()  # as timeit does: a collection is not the fault of the call that it strikes
    try:
        start = perf_counter()
        for _ in range(calls):
            call()
        synchronise()
        return (perf_counter() - start) / calls
    finally:
        if collecting:
            gc.enable()


def median_seconds(seconds: list[float]) -> float:
    """Return the median of the rounds."""
    return median(seconds)


def ratio(numerator: list[float], denominator: list[float]) -> Ratio:
    """Compare two contestants of one race, round by round.

    Parameters
    ----------
    numerator, denominator : list of float
        Seconds, one for each round.

    Returns
    -------
    Ratio
        Median, smallest and largest of the rounds' ratios.
    """
    ratios = [above / below for above, below in zip(numerator, denominator, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))
