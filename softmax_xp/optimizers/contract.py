# SPDX-License-Identifier: BSD-3-Clause
"""What an optimizer is, and how the arrays of a parameter record are walked.

Parameters, gradients, updates and the accumulators of a state all have one of two shapes: a single
array, or a tuple (plain or named, for instance :class:`softmax_xp.typing.LinearParams`) whose members
are arrays or ``None``. ``None`` stands for a parameter that the model does not have and maps to ``None``.
"""

__all__ = [
    "LearningRate",
    "Optimizer",
    "apply_updates",
    "learning_rate_at",
    "map_arrays",
    "namespace_of",
    "unzip_map_arrays",
    "zeros_like",
]

import operator
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

from softmax_xp.backend import array_namespace
from softmax_xp.errors import InvalidValueError
from softmax_xp.typing import Array, Namespace, Params

# A number, or a function from the number of finished steps (0 at the first) to a number, on the host.
LearningRate: TypeAlias = float | Callable[[int], float]


@runtime_checkable
class Optimizer(Protocol):
    """A rule that turns a gradient into what is added to the parameters.

    An optimizer is a frozen dataclass of hyperparameters: it prints, compares and pickles, and holds no
    array. What it remembers between steps lives in a state, a ``NamedTuple`` whose first field ``count``
    is the number of finished steps as a Python ``int``, so that bias corrections and learning rates are
    host numbers and no step waits for the device. (The field hides ``tuple.count``, which no state needs.)

    The optimizers of this package also have a fast form, for parameters that are one array: see
    :class:`softmax_xp.optimizers.FusedOptimizer`. It is an option, not part of this contract: an optimizer
    without it trains as well, and more slowly.
    """

    @property
    def learning_rate(self) -> LearningRate:
        """A number, or a function of the number of finished steps."""

    def init(self, params: Params) -> Any:
        """Return the state before the first step.

        Parameters
        ----------
        params : array, or tuple of arrays and None
            The parameters to be trained; only their shapes, dtypes and devices matter.

        Returns
        -------
        NamedTuple
            The state, with ``count`` 0 and accumulators shaped like `params`.
        """

    def update(self, grads: Params, state: Any, params: Params) -> tuple[Params, Any]:
        """Return what to add to the parameters, and the next state.

        Parameters
        ----------
        grads : array, or tuple of arrays and None
            The gradient of the loss with respect to `params`, in the same layout.
        state : NamedTuple
            What :meth:`init` or the previous :meth:`update` returned.
        params : array, or tuple of arrays and None
            The current parameters; read by weight decay.

        Returns
        -------
        updates : array, or tuple of arrays and None
            To be added to `params`, see :func:`apply_updates`. Never shares memory with an argument.
        state : NamedTuple
            The next state.
        """


def map_arrays(function: Callable[..., Array], tree: Params, *rest: Params) -> Params:
    """Apply a function to each array of a parameter record, or to the arrays of several in step.

    Parameters
    ----------
    function : callable
        Receives one array of `tree` and of each record in `rest`; returns an array.
    tree : array, or tuple of arrays and None
        Decides the layout of the result; a named tuple keeps its type, ``None`` stays ``None``.
    *rest : array, or tuple of arrays and None
        More records in the layout of `tree`.

    Returns
    -------
    array, or tuple of arrays and None
        The results, in the layout of `tree`.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import map_arrays
    >>> from softmax_xp.typing import LinearParams
    >>> map_arrays(np.negative, LinearParams(weight=np.asarray([1.0, 2.0]), bias=None))
    LinearParams(weight=array([-1., -2.]), bias=None)
    """
    if isinstance(tree, tuple):
        members = [
            None if member is None else function(member, *others) for member, *others in zip(tree, *rest, strict=True)
        ]
        return _like(tree, members)
    return function(tree, *rest)


def unzip_map_arrays(
    function: Callable[..., tuple[Array, ...]], n_outputs: int, tree: Params, *rest: Params
) -> tuple[Params, ...]:
    """Apply a function that returns several arrays, and gather each output in its own record.

    Parameters
    ----------
    function : callable
        Receives one array of `tree` and of each record in `rest`; returns `n_outputs` arrays.
    n_outputs : int
        How many arrays `function` returns.
    tree : array, or tuple of arrays and None
        Decides the layout of the results.
    *rest : array, or tuple of arrays and None
        More records in the layout of `tree`.

    Returns
    -------
    tuple
        `n_outputs` records in the layout of `tree`.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import unzip_map_arrays
    >>> unzip_map_arrays(lambda x: (x + x, x * x), 2, (np.asarray([3.0]), None))
    ((array([6.]), None), (array([9.]), None))
    """
    if isinstance(tree, tuple):
        missing = (None,) * n_outputs
        rows = [
            missing if member is None else function(member, *others)
            for member, *others in zip(tree, *rest, strict=True)
        ]
        return tuple([_like(tree, [row[output] for row in rows]) for output in range(n_outputs)])
    return function(tree, *rest)


def apply_updates(params: Params, updates: Params) -> Params:
    """Add the updates of an optimizer to the parameters.

    Parameters
    ----------
    params : array, or tuple of arrays and None
        The current parameters; they are not written to.
    updates : array, or tuple of arrays and None
        What ``update`` of an optimizer returned for them.

    Returns
    -------
    array, or tuple of arrays and None
        ``params + updates``, in the layout of `params`.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import SGD, apply_updates
    >>> params, grads = np.asarray([1.0, 2.0]), np.asarray([10.0, -10.0])
    >>> optimizer = SGD(learning_rate=0.1)
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> apply_updates(params, updates)
    array([0., 3.])
    """
    return map_arrays(operator.add, params, updates)


def learning_rate_at(learning_rate: LearningRate, count: int) -> float:
    """Return the learning rate of one step.

    Parameters
    ----------
    learning_rate : float or callable
        A number, or a function from the number of finished steps to a host number.
    count : int
        The number of finished steps: 0 for the first step.

    Returns
    -------
    float
        The learning rate as a Python float.

    Examples
    --------
    >>> from softmax_xp.optimizers import learning_rate_at
    >>> learning_rate_at(0.5, 3), learning_rate_at(lambda count: 0.5 / (1 + count), 3)
    (0.5, 0.125)
    """
    rate = learning_rate(count) if callable(learning_rate) else learning_rate
    # A NumPy scalar from a user's function would lift a float32 update to float64; a Python float does not.
    return float(rate)  # host: a learning rate never is an array


def namespace_of(tree: Params) -> Namespace:
    """Return the array namespace of a parameter record.

    Parameters
    ----------
    tree : array, or tuple of arrays and None
        At least one member must be an array.

    Returns
    -------
    Namespace
        The array-api-compat namespace of its first array.

    Raises
    ------
    InvalidValueError
        If there is no array in `tree`.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import namespace_of
    >>> namespace_of((None, np.ones(2))).__name__
    'array_api_compat.numpy'
    """
    if not isinstance(tree, tuple):
        return array_namespace(tree)
    for member in tree:
        if member is not None:
            return array_namespace(member)
    msg = f"`params` must hold at least one array; got {tree!r}."
    raise InvalidValueError(msg)


def zeros_like(params: Params) -> Params:
    """Return zeros with the layout, shapes, dtypes and devices of a parameter record.

    Parameters
    ----------
    params : array, or tuple of arrays and None
        The record to imitate.

    Returns
    -------
    array, or tuple of arrays and None
        A fresh record.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import zeros_like
    >>> zeros_like((np.ones(2), None))
    (array([0., 0.]), None)
    """
    # The standard's zeros_like takes the device from its argument.
    return map_arrays(namespace_of(params).zeros_like, params)


def _like(tree: tuple[Any, ...], members: list[Any]) -> Any:
    """Return the members in a tuple of the type of `tree`."""
    # A named tuple takes its members one by one, a plain tuple takes them as one iterable.
    return tuple(members) if type(tree) is tuple else type(tree)(*members)
