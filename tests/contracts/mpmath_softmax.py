# SPDX-License-Identifier: BSD-3-Clause
"""The softmax family in sixty digits, and the distance from it."""

__all__ = ["Exact", "exact", "relative_error"]

from dataclasses import dataclass
from typing import final

import mpmath
import numpy as np

_DIGITS = 60
# Below this the logarithm comes from its series: mpmath's own log1p loses its digits near the working precision.
_SERIES_LIMIT = mpmath.mpf("1e-20")


@final
@dataclass(frozen=True)
class Exact:
    """The three functions of one row of scores, and what their errors are measured by."""

    softmax: list
    log_softmax: list
    logsumexp: mpmath.mpf
    maximum: mpmath.mpf
    log_total: mpmath.mpf


def exact(scores) -> Exact:
    """Evaluate the definitions on one row of finite scores."""
    with mpmath.workdps(_DIGITS):
        numbers = [mpmath.mpf(float(score)) for score in scores]
        maximum = max(numbers)
        exponentials = [mpmath.exp(number - maximum) for number in numbers]
        total = mpmath.fsum(exponentials)
        rest = mpmath.fsum(e for e, number in zip(exponentials, numbers, strict=True) if number != maximum)
        above_one = rest + (numbers.count(maximum) - 1)
        small = above_one < _SERIES_LIMIT
        log_total = above_one - above_one**2 / 2 + above_one**3 / 3 if small else mpmath.log(1 + above_one)
        return Exact(
            [e / total for e in exponentials],
            [(number - maximum) - log_total for number in numbers],
            maximum + log_total,
            maximum,
            log_total,
        )


def relative_error(actual, expected, dtype) -> float:
    """Return the largest relative error of an array, over the true values that are normal numbers of ``dtype``."""
    smallest, largest = float(np.finfo(dtype).smallest_normal), float(np.finfo(dtype).max)
    errors = [0.0]
    with mpmath.workdps(_DIGITS):
        for number, truth in zip(np.ravel(actual).tolist(), expected, strict=True):
            if smallest <= abs(truth) <= largest:
                errors.append(float(abs((mpmath.mpf(number) - truth) / truth)) if np.isfinite(number) else np.inf)
    return max(errors)
