# SPDX-License-Identifier: BSD-3-Clause
"""Whole fits as contestants: their time, their budget, and the objective that they reach, computed by a third party.

A solver that stops early is fast. So ours is compared with each peer at the loosest tolerance of a fixed ladder at
which its objective is no worse than that peer's, and both objectives are computed here, in float64, from the
coefficients alone.
"""

__all__ = [
    "LADDER",
    "OutOfTimeError",
    "Pace",
    "climb",
    "deadline",
    "fit_ratio",
    "mean_objective",
    "no_worse",
    "quietly",
    "race_fits",
]

import gc
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, TypeVar, final

import numpy as np
from scipy.special import logsumexp

from benchmarks.timing import Effort, Ratio, race, ratio

# Tolerances of ours, in nats of the mean objective.
LADDER = tuple(float(f"{factor}e-{exponent}") for exponent in range(1, 13) for factor in (1, 0.3))
# What "no worse" allows: the rounding of a float64 sum over many samples, and nothing else.
_SLACK = 1e-9
_CHUNK_ROWS = 8192
# OpenBLAS and OpenMP threads go on spinning for some 30 ms after their last product.
_PAUSE_SECONDS = 0.05
Outcome = TypeVar("Outcome")


class OutOfTimeError(Exception):
    """A fit took longer than its budget."""


@final
@dataclass(frozen=True, slots=True)
class Pace:
    """How often to repeat a fit, by how long it takes.

    Parameters
    ----------
    rounds : int, default: 5
        Of fits that take less than `short_seconds`.
    short_seconds : float, default: 3.0
        Longer fits are repeated once; of those, the first fit and the repetition count.
    long_seconds : float, default: 20.0
        Still longer ones are not repeated.
    """

    rounds: int = 5
    short_seconds: float = 3.0
    long_seconds: float = 20.0


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raise OutOfTimeError in the block when its time is up; None, Windows and other threads set no limit.

    Python delivers signals between two of its own instructions, so a call that stays in compiled code is ended late.
    """
    is_possible = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or not is_possible:
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        msg = f"more than {seconds:g} s"
        raise OutOfTimeError(msg)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def quietly() -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings instead of printing them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def mean_objective(X: Any, y: Any, coef: Any, intercept: Any, C: float) -> float:
    """Return scikit-learn's objective over its number of samples, in float64.

    Parameters
    ----------
    X : array or scipy.sparse array of shape (n_samples, n_features)
        The samples that were fitted.
    y : array of shape (n_samples,)
        Class numbers.
    coef : array of shape (n_classes, n_features) or (1, n_features)
        As in ``coef_``; one row is the logit of class 1.
    intercept : array of shape (n_classes,) or (1,)
        As in ``intercept_``.
    C : float
        Inverse regularization strength.

    Returns
    -------
    float
        ``mean_i(logsumexp(z_i) - z_i[y_i]) + sum(coef**2) / (2 * C * n_samples)``.
    """
    coef, intercept = np.asarray(coef, np.float64), np.asarray(intercept, np.float64)
    n_samples, total = X.shape[0], 0.0
    for start in range(0, n_samples, _CHUNK_ROWS):
        labels = y[start : start + _CHUNK_ROWS]
        logits = np.asarray(X[start : start + _CHUNK_ROWS].astype(np.float64) @ coef.T) + intercept
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        total += float((logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]).sum())
    return (total + float((coef * coef).sum()) / (2 * C)) / n_samples


def no_worse(objective: float, goal: float) -> bool:
    """Tell whether an objective is at most a peer's, but for rounding."""
    return objective <= goal + _SLACK * abs(goal)


def climb(
    fit: Callable[[float], Outcome], reaches: Callable[[Outcome, str], bool], peers: Iterable[str]
) -> tuple[dict[float, Outcome], dict[str, float | None]]:
    """Fit at tighter and tighter tolerances until every peer is reached.

    Parameters
    ----------
    fit : callable
        Takes a tolerance of the ladder; may raise OutOfTimeError, which ends the climb.
    reaches : callable
        Takes what `fit` returned, and a peer; tells whether the one is as good as the other.
    peers : iterable of str
        Their names.

    Returns
    -------
    outcomes : dict of float to object
        What `fit` returned, by tolerance.
    tolerances : dict of str to float or None
        Peer -> the first tolerance at which it was reached.
    """
    outcomes: dict[float, Outcome] = {}
    tolerances: dict[str, float | None] = dict.fromkeys(peers)
    for tol in LADDER:
        try:
            outcomes[tol] = fit(tol)
        except OutOfTimeError:
            break
        for peer, reached_at in tolerances.items():
            if reached_at is None and reaches(outcomes[tol], peer):
                tolerances[peer] = tol
        if None not in tolerances.values():
            break
    return outcomes, tolerances


def race_fits(
    contestants: Mapping[str, Callable[[], object]], first_seconds: Mapping[str, float], pace: Pace
) -> dict[str, list[float]]:
    """Repeat the fits in turn.

    Parameters
    ----------
    contestants : mapping of str to callable
        What to call.
    first_seconds : mapping of str to float
        How long each took when it was called for the first time, untimed calls and all.
    pace : Pace
        How often.

    Returns
    -------
    dict of str to list of float
        Seconds, one for each round that the contestant took part in; of long fits the first call counts.
    """
    is_short = {name: first_seconds[name] < pace.short_seconds for name in contestants}
    rounds = {
        name: pace.rounds if is_short[name] else int(first_seconds[name] < pace.long_seconds) for name in contestants
    }
    seconds: dict[str, list[float]] = {name: [] if is_short[name] else [first_seconds[name]] for name in contestants}
    for number in range(max(rounds.values(), default=0)):
        for name in list(contestants) if number % 2 == 0 else reversed(list(contestants)):
            if number < rounds[name]:
                seconds[name].append(_timed(contestants[name], is_short=is_short[name]))
    return seconds


def _timed(call: Callable[[], object], *, is_short: bool) -> float:
    """Return the seconds of one fit: of short ones the mean over a block that others have warmed up."""
    if is_short:
        return race({"fit": call}, Effort(1, block_seconds=0.2, settle_seconds=0.05))["fit"][0]
    gc.collect()
    time.sleep(_PAUSE_SECONDS)
    start = perf_counter()
    call()
    return perf_counter() - start


def fit_ratio(peer: Sequence[float], ours: Sequence[float]) -> Ratio:
    """Tell how many times as long the peer takes.

    Parameters
    ----------
    peer, ours : sequence of float
        Seconds from :func:`race_fits`.

    Returns
    -------
    Ratio
        Round by round where both took part in the same rounds; else of the medians, with the widest possible range.
    """
    if len(peer) == len(ours):
        return ratio(list(peer), list(ours))
    return Ratio(median(peer) / median(ours), min(peer) / max(ours), max(peer) / min(ours))
