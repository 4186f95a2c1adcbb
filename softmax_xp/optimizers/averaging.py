# SPDX-License-Identifier: BSD-3-Clause
"""Averages of the parameters over the course of training.

The average of the last parameters is often nearer to the minimum than the last parameters themselves, which
still carry the noise of their minibatches.
"""

__all__ = ["AverageState", "Averaging", "ExponentialAverage", "UniformAverage"]

from dataclasses import dataclass
from typing import NamedTuple, Protocol, final, runtime_checkable

from array_api_compat import device

from softmax_xp.hyperparameters import COUNT, FRACTION, check_hyperparameters
from softmax_xp.optimizers.contract import map_arrays, namespace_of
from softmax_xp.typing import Array, Params


class AverageState(NamedTuple):
    """What an average remembers between steps."""

    count: int  # type: ignore[assignment]  # number of finished updates, on the host
    average: Params  # shapes and dtypes of the parameters; shares no memory with them


@runtime_checkable
class Averaging(Protocol):
    """A running average of the parameters, a frozen dataclass like an optimizer."""

    def init(self, params: Params) -> AverageState:
        """Return the state before the first update.

        Parameters
        ----------
        params : array, or tuple of arrays and None
            The parameters before the first step; they are copied.

        Returns
        -------
        AverageState
            A state whose value is `params`.
        """

    def update(self, state: AverageState, params: Params) -> AverageState:
        """Take the parameters after one more step into the average.

        Parameters
        ----------
        state : AverageState
            What :meth:`init` or the previous :meth:`update` returned.
        params : array, or tuple of arrays and None
            The parameters after the step; they are copied.

        Returns
        -------
        AverageState
            The next state.
        """

    def value(self, state: AverageState) -> Params:
        """Return the average.

        Parameters
        ----------
        state : AverageState
            The current state.

        Returns
        -------
        array, or tuple of arrays and None
            The average; the arrays are those of `state`, not copies.
        """


@final
@dataclass(frozen=True, slots=True)
class ExponentialAverage:
    """Average the parameters of all steps with weights that fall off into the past.

    ::

        average = params                                         (the first update)
        average = decay * average + (1 - decay) * params         (every later one)

    as ``torch.optim.swa_utils.AveragedModel`` with ``get_ema_multi_avg_fn(decay)``. The parameters that
    :meth:`init` was given have no part in it. It looks back over about ``1 / (1 - decay)`` steps.

    Parameters
    ----------
    decay : float, default=0.999
        Weight of the past, in [0, 1).

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If `decay` is not a number in [0, 1).

    References
    ----------
    B. T. Polyak, A. B. Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM Journal on
    Control and Optimization 30(4), 1992, doi:10.1137/0330046.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import ExponentialAverage
    >>> averaging = ExponentialAverage(decay=0.75)
    >>> state = averaging.init(np.asarray([0.0]))
    >>> for value in (4.0, 8.0):
    ...     state = averaging.update(state, np.asarray([value]))
    >>> averaging.value(state)
    array([5.])
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        """Check the hyperparameter."""
        check_hyperparameters(self, decay=FRACTION)

    def init(self, params: Params) -> AverageState:
        """Return the state before the first update; see :meth:`Averaging.init`."""
        return AverageState(count=0, average=_copy(params))

    def update(self, state: AverageState, params: Params) -> AverageState:
        """Take the parameters after one more step in; see :meth:`Averaging.update`."""
        if state.count == 0:
            return AverageState(1, _copy(params))
        return AverageState(state.count + 1, _move_towards(state.average, params, 1.0 - self.decay))

    def value(self, state: AverageState) -> Params:
        """Return the average; see :meth:`Averaging.value`."""
        return state.average


@final
@dataclass(frozen=True, slots=True)
class UniformAverage:
    """Average the parameters of all steps from a given one on, each with the same weight.

    With ``n = count - start`` parameters already in the average::

        average = params                                        (while n <= 0)
        average = average + (params - average) / (n + 1)        (after that)

    as ``torch.optim.swa_utils.AveragedModel`` with its default (stochastic weight averaging), updated from
    step `start` on. Until then the value is that of the latest parameters.

    Parameters
    ----------
    start : int, default=0
        How many steps to leave out, the noisy way down that would spoil the average.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If `start` is not an integer of at least 0.

    References
    ----------
    P. Izmailov, D. Podoprikhin, T. Garipov, D. Vetrov, A. G. Wilson, "Averaging Weights Leads to Wider
    Optima and Better Generalization", UAI 2018, arXiv:1803.05407.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import UniformAverage
    >>> averaging = UniformAverage(start=1)
    >>> state = averaging.init(np.asarray([0.0]))
    >>> for value in (100.0, 4.0, 8.0):
    ...     state = averaging.update(state, np.asarray([value]))
    >>> averaging.value(state)
    array([6.])
    """

    start: int = 0

    def __post_init__(self) -> None:
        """Check the hyperparameter."""
        check_hyperparameters(self, start=COUNT)

    def init(self, params: Params) -> AverageState:
        """Return the state before the first update; see :meth:`Averaging.init`."""
        return AverageState(count=0, average=_copy(params))

    def update(self, state: AverageState, params: Params) -> AverageState:
        """Take the parameters after one more step in; see :meth:`Averaging.update`."""
        n_averaged = state.count - self.start
        if n_averaged <= 0:
            return AverageState(state.count + 1, _copy(params))
        return AverageState(state.count + 1, _move_towards(state.average, params, 1.0 / (n_averaged + 1)))

    def value(self, state: AverageState) -> Params:
        """Return the average; see :meth:`Averaging.value`."""
        return state.average


def _copy(params: Params) -> Params:
    """Return fresh arrays, so that a caller who writes to the parameters leaves the average alone."""
    xp = namespace_of(params)
    return map_arrays(lambda param: xp.asarray(param, copy=True, device=device(param)), params)


def _move_towards(average: Params, params: Params, share: float) -> Params:
    """Return ``average + share * (params - average)``."""

    def move(mean: Array, param: Array) -> Array:
        moved = param - mean
        moved *= share
        moved += mean
        return moved

    return map_arrays(move, average, params)
