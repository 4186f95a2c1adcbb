# SPDX-License-Identifier: BSD-3-Clause
"""What hyperparameters may be, checked once, at construction.

A checked number is stored as the plain Python number that it stands for. That is more than tidiness: a NumPy
float64 scalar (what ``np.logspace`` yields) would lift float32 arrays to float64; a Python float does not.
"""

__all__ = [
    "AT_LEAST_ONE",
    "COUNT",
    "FLAG",
    "FRACTION",
    "LEARNING_RATE",
    "NON_NEGATIVE",
    "POSITIVE",
    "SHARE",
    "Range",
    "check_hyperparameters",
]

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

from softmax_xp.errors import InvalidTypeError, InvalidValueError


class Range(NamedTuple):
    """What a hyperparameter may be."""

    kind: type  # of which the value must be an instance; a bool is no number
    kind_name: str  # completes "`name` must be ..." for a value of another kind
    plain: Callable[[Any], Any]  # makes the plain Python value of it
    holds: Callable[[Any], bool]  # tells whether the plain value is allowed
    requirement: str  # completes "`name` must be ..." for a value that is not
    may_be_callable: bool = False


FRACTION = Range(Real, "a number", float, lambda value: 0.0 <= value < 1.0, "at least 0 and below 1")
NON_NEGATIVE = Range(Real, "a number", float, lambda value: 0.0 <= value < math.inf, "a finite number of at least 0")
POSITIVE = Range(Real, "a number", float, lambda value: 0.0 < value < math.inf, "a finite number above 0")
SHARE = Range(Real, "a number", float, lambda value: 0.0 <= value <= 1.0, "between 0 and 1")
COUNT = Range(Integral, "an integer", int, lambda value: value >= 0, "at least 0")
AT_LEAST_ONE = Range(Integral, "an integer", int, lambda value: value >= 1, "at least 1")
FLAG = Range(bool, "True or False", bool, lambda value: isinstance(value, bool), "True or False")
LEARNING_RATE = NON_NEGATIVE._replace(kind_name="a number or a function of the step count", may_be_callable=True)


def check_hyperparameters(instance: object, **ranges: Range) -> None:
    """Check fields of a frozen dataclass and make them plain; for use in its ``__post_init__`` only.

    Parameters
    ----------
    instance : object
        The dataclass under construction.
    **ranges : Range
        What each field, by its name, may be.

    Raises
    ------
    InvalidTypeError
        If a field is of the wrong kind.
    InvalidValueError
        If a field is outside its range; NaN always is.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from softmax_xp.hyperparameters import FRACTION, check_hyperparameters
    >>> @dataclass(frozen=True)
    ... class Decay:
    ...     decay: float
    ...
    ...     def __post_init__(self):
    ...         check_hyperparameters(self, decay=FRACTION)
    >>> Decay(0)
    Decay(decay=0.0)
    >>> Decay(1.0)
    Traceback (most recent call last):
        ...
    softmax_xp.errors.InvalidValueError: `decay` must be at least 0 and below 1; got 1.0.
    """
    for name, allowed in ranges.items():
        value = getattr(instance, name)
        if allowed.may_be_callable and callable(value):
            continue
        if not isinstance(value, allowed.kind) or (isinstance(value, bool) and allowed.kind is not bool):
            msg = f"`{name}` must be {allowed.kind_name}; got {value!r} of type {type(value).__name__}."
            raise InvalidTypeError(msg)
        plain = allowed.plain(value)
        if not allowed.holds(plain):
            msg = f"`{name}` must be {allowed.requirement}; got {value!r}."
            raise InvalidValueError(msg)
        # The only way to set a field of a frozen dataclass; no one has seen the instance yet.
        object.__setattr__(instance, name, plain)
