# SPDX-License-Identifier: BSD-3-Clause
"""The optional fast form of an optimizer: one step as a named formula and a few host numbers.

It is for parameters that are one array, such as the packed weights of a training loop. The state stays the one of
``update``: a run may change from one form to the other after any step.
"""

__all__ = ["FusedOptimizer", "accumulators_of", "advance_state", "scalars_ahead"]

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from softmax_xp.errors import InvalidValueError
from softmax_xp.kernels.rules import FusedRule
from softmax_xp.optimizers.contract import Optimizer
from softmax_xp.typing import Array

_State = TypeVar("_State", bound=tuple[Any, ...])

# The count, other numbers of the host, and the array that an option would need.
_NO_ARRAY = (int, float, type(None))


@runtime_checkable
class FusedOptimizer(Optimizer, Protocol):
    """An optimizer whose step is one of the formulas in :data:`softmax_xp.kernels.rules.RULES`.

    One step from `params`, with any kernel ``update`` that knows the formulas::

        rule = optimizer.fused_rule(state)
        update(rule, params, grads, accumulators_of(state), next_params, next_accumulators, scratch)
        state = optimizer.next_state(state, next_accumulators)

    The host numbers of many steps ahead come without a step: see :func:`scalars_ahead`.
    """

    def fused_rule(self, state: Any) -> FusedRule:
        """Return the formula and the host numbers of the step that follows this state.

        Parameters
        ----------
        state : NamedTuple
            What :meth:`init`, :meth:`update` or :meth:`next_state` returned; only its host numbers are read.

        Returns
        -------
        FusedRule
            The scalars are computed in double precision. The name follows from the hyperparameters alone, so a
            kernel that was compiled for one step serves all.
        """

    def next_state(self, state: Any, accumulators: tuple[Array, ...]) -> Any:
        """Return the state after a step whose arrays are known.

        Parameters
        ----------
        state : NamedTuple
            The state before the step.
        accumulators : tuple of array
            The accumulators after it, in the order of :func:`accumulators_of`; the state keeps them, not copies.

        Returns
        -------
        NamedTuple
            The next state, what :meth:`update` would have returned.

        Raises
        ------
        InvalidValueError
            If the number of `accumulators` is not that of the state.
        """


def accumulators_of(state: tuple[Any, ...]) -> tuple[Array, ...]:
    """Return the arrays of a state, in its order: what the optimizer's formula reads and replaces.

    Parameters
    ----------
    state : NamedTuple
        The state of an optimizer, whose parameters are one array.

    Returns
    -------
    tuple of array
        The state's own arrays, without its host numbers and its None.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import NAdam, accumulators_of
    >>> accumulators_of(NAdam().init(np.ones(2)))
    (array([0., 0.]), array([0., 0.]))
    """
    return tuple([member for member in state if not isinstance(member, _NO_ARRAY)])


def scalars_ahead(optimizer: FusedOptimizer, state: _State, n_steps: int) -> tuple[list[tuple[float, ...]], _State]:
    """Return the host numbers of the steps that follow a state, without taking one.

    Parameters
    ----------
    optimizer : FusedOptimizer
        Whose learning rate may be a function; it is called once for each step.
    state : NamedTuple
        The state before the first of the steps.
    n_steps : int
        How many; at least 1.

    Returns
    -------
    scalars : list of tuple of float
        Of :meth:`FusedOptimizer.fused_rule`, for each step.
    state : NamedTuple
        The host numbers before the last of the steps, with the arrays of ``state``.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import SGD, scalars_ahead
    >>> optimizer = SGD(lambda count: 0.5 / (1 + count))
    >>> scalars_ahead(optimizer, optimizer.init(np.ones(2)), 3)
    ([(-0.5, 0.0), (-0.25, 0.0), (-0.16666666666666666, 0.0)], SGDState(count=2, trace=None))
    """
    arrays = accumulators_of(state)
    scalars = [optimizer.fused_rule(state).scalars]
    for _ in range(n_steps - 1):
        # Only the host's numbers advance; the arrays stay those from before.
        state = optimizer.next_state(state, arrays)
        scalars.append(optimizer.fused_rule(state).scalars)
    return scalars, state


def advance_state(state: _State, accumulators: tuple[Array, ...]) -> _State:
    """Count one more step, and put the arrays in the places of the old ones; other host numbers stay.

    Parameters
    ----------
    state : NamedTuple
        The state before the step.
    accumulators : tuple of array
        The accumulators after it, in the order of :func:`accumulators_of`.

    Returns
    -------
    NamedTuple
        The next state.

    Raises
    ------
    InvalidValueError
        If the number of `accumulators` is not that of the state.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import AdaGradState, advance_state
    >>> advance_state(AdaGradState(count=3, sum_of_squares=np.zeros(1)), (np.ones(1),))
    AdaGradState(count=4, sum_of_squares=array([1.]))
    """
    arrays = iter(accumulators)
    # One walk, as this runs at every step: where the arrays are too few, `next` stops it.
    try:
        members: list[Any] = [member if isinstance(member, _NO_ARRAY) else next(arrays) for member in state]
        is_fit = next(arrays, None) is None
    except StopIteration:
        is_fit = False
    if not is_fit:
        n_wanted, name = len(accumulators_of(state)), type(state).__name__
        msg = f"`accumulators` must be the {n_wanted} arrays that {name} holds; got {len(accumulators)}."
        raise InvalidValueError(msg)
    members[0] += 1
    # The constructor of a named tuple from an iterable, of which the type checker cannot know.
    make: Callable[[list[Any]], _State] = getattr(type(state), "_make")  # noqa: B009
    return make(members)
