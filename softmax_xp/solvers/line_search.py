# SPDX-License-Identifier: BSD-3-Clause
"""The step length along a descent direction of a smooth convex function; and the rules that other searches share."""

__all__ = ["SUFFICIENT", "TRIALS", "search_line", "shortening"]

from math import isfinite

from softmax_xp.backend import array_namespace
from softmax_xp.solvers.contract import Evaluation, Objective, evaluate
from softmax_xp.typing import Array

SUFFICIENT = 1e-4  # Armijo's share of the decrease that the slope promises
TRIALS = 30
_SHALLOWEST, _STEEPEST = 0.1, 0.5  # by how much one trial may shorten the step


def search_line(
    objective: Objective, now: Evaluation, direction: Array, slope: float, *, with_change: bool = False
) -> tuple[Evaluation, float] | None:
    """Return the first point along ``direction`` that is enough of an improvement, and its step length.

    The step 1 comes first, as Newton and quasi-Newton directions deserve; each failure shortens it to the minimum of a
    parabola. Near the optimum the value no longer resolves the decrease, its rounding error being larger. There the
    slopes decide: a step is good where the value has not risen by more than rounding and the slope has
    shrunk.

    Parameters
    ----------
    objective : Objective
        Smooth: its ``l1`` is None.
    now : Evaluation
        Where the line begins.
    direction : array of the shape of a point
        Where it leads.
    slope : float
        The derivative along it at ``now``, negative.
    with_change : bool, default: False
        Whether the new evaluation is to have its change since ``now``.

    Returns
    -------
    evaluation : Evaluation
        At the new point.
    step : float
        Its distance from ``now`` in units of ``direction``.
        None stands for both where no step is an improvement: rounding has the last word.

    References
    ----------
    .. [1] L. Armijo, "Minimization of functions having Lipschitz continuous first partial derivatives", 1966.
    .. [2] W. W. Hager, H. Zhang, "A new conjugate gradient method with guaranteed descent and an efficient line
       search", 2005 (the approximate conditions near the optimum).
    """
    if not slope < 0.0:
        return None
    step, since = 1.0, now if with_change else None
    for _ in range(TRIALS):
        trial = evaluate(objective, now.point + step * direction, direction, since)
        decrease = now.total - trial.total
        if isfinite(trial.total):
            if decrease >= -SUFFICIENT * step * slope:
                return trial, step
            noise = 8.0 * array_namespace(direction).finfo(direction.dtype).eps * abs(now.total)
            if decrease >= -noise and abs(trial.slope) <= 0.9 * -slope:
                return trial, step
        step *= shortening(-slope * step, decrease)
    return None


def shortening(promised: float, decrease: float) -> float:
    """Return what to multiply a step by that was not good enough.

    Parameters
    ----------
    promised : float
        By how much the slope at the beginning lets the objective fall.
    decrease : float
        By how much it fell; of any sign, infinite or NaN where the trial overflowed.

    Returns
    -------
    float
        Between 0.1 and 0.5; within this the minimum of the parabola through both values and the first slope.
    """
    if not isfinite(decrease):
        return _SHALLOWEST
    share = 0.5 * promised / (promised - decrease) if promised > decrease else _STEEPEST
    return min(max(share, _SHALLOWEST), _STEEPEST)
