# SPDX-License-Identifier: BSD-3-Clause
"""The checks that the settings of the schedules go through, once, at construction."""

__all__ = ["check_integer", "check_number"]

from numbers import Integral, Real

from softmax_xp.errors import InvalidTypeError, InvalidValueError


def check_number(name: str, value: float, low: float, high: float) -> None:
    """Check that a setting is a number of a closed interval.

    Parameters
    ----------
    name : str
        The name of the setting.
    value : float
        Its value.
    low : float
        The smallest allowed value.
    high : float
        The largest allowed value.

    Raises
    ------
    InvalidTypeError
        If `value` is no number.
    InvalidValueError
        If `value` is NaN or outside the interval.

    Examples
    --------
    >>> from softmax_xp.schedules.hyperparameters import check_number
    >>> check_number("gamma", 0.5, 0.0, 1.0)
    >>> check_number("gamma", 2.0, 0.0, 1.0)
    Traceback (most recent call last):
        ...
    softmax_xp.errors.InvalidValueError: `gamma` must be between 0 and 1; got 2.0.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        msg = f"`{name}` must be a number; got {value!r} of type {type(value).__name__}."
        raise InvalidTypeError(msg)
    if not low <= value <= high:
        msg = f"`{name}` must be between {low:g} and {high:g}; got {value!r}."
        raise InvalidValueError(msg)


def check_integer(name: str, value: int, low: int) -> None:
    """Check that a setting is an integer of at least some value.

    Parameters
    ----------
    name : str
        The name of the setting.
    value : int
        Its value.
    low : int
        The smallest allowed value.

    Raises
    ------
    InvalidTypeError
        If `value` is no integer.
    InvalidValueError
        If `value` is below `low`.

    Examples
    --------
    >>> from softmax_xp.schedules.hyperparameters import check_integer
    >>> check_integer("every", 3, 1)
    >>> check_integer("every", 0, 1)
    Traceback (most recent call last):
        ...
    softmax_xp.errors.InvalidValueError: `every` must be at least 1; got 0.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        msg = f"`{name}` must be an integer; got {value!r} of type {type(value).__name__}."
        raise InvalidTypeError(msg)
    if value < low:
        msg = f"`{name}` must be at least {low}; got {value!r}."
        raise InvalidValueError(msg)
