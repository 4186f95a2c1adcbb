# SPDX-License-Identifier: BSD-3-Clause
"""The textbook's five update rules, as functions of plain arrays."""

__all__ = ["adagrad", "adam", "momentum_sgd", "rmsprop", "sgd"]

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from softmax_xp.backend import backend_of
from softmax_xp.errors import InvalidValueError
from softmax_xp.optimizers import AdaGrad, Adam, RMSprop
from softmax_xp.typing import Array


def sgd(W: Array, dW: Array, learning_rate: float = 1e-2) -> Array:
    """Take a step of stochastic gradient descent: ``W - learning_rate * dW``.

    Parameters
    ----------
    W : array
        Parameters; not written to.
    dW : array of the shape of ``W``
        Their gradient.
    learning_rate : float, default: 1e-2
        Step length.

    Returns
    -------
    array of the shape of ``W``
        The parameters after the step.

    See Also
    --------
    softmax_xp.SGD : The rule as an object, with momentum, for the trainer.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> sx.sgd(np.array([1.0]), np.array([2.0]), 0.25)
    array([0.5])
    """
    _check_shape(W, dW)
    return W - dW * float(learning_rate)  # host: a NumPy float64 would lift float32 arrays


def momentum_sgd(
    W: Array, dW: Array, learning_rate: float = 1e-2, momentum: float = 0.9, velocity: Array | None = None
) -> tuple[Array, Array]:
    """Take a step of gradient descent with momentum.

        velocity = momentum * velocity - learning_rate * dW
        W        = W + velocity

    Parameters
    ----------
    W : array
        Parameters; not written to.
    dW : array of the shape of ``W``
        Their gradient.
    learning_rate : float, default: 1e-2
        Step length.
    momentum : float, default: 0.9
        How much of the last step goes on.
    velocity : array of the shape of ``W``, optional
        What the last call returned; None starts at rest.

    Returns
    -------
    W : array
        The parameters after the step.
    velocity : array
        For the next call.

    Notes
    -----
    Here the velocity contains the learning rate, as in Sutskever's form. :class:`softmax_xp.SGD` keeps it outside, as
    PyTorch does; the two differ only where the learning rate changes during training.

    References
    ----------
    .. [1] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> W, velocity = sx.momentum_sgd(np.array([1.0]), np.array([2.0]), 0.25, 0.5)
    >>> sx.momentum_sgd(W, np.array([2.0]), 0.25, 0.5, velocity)
    (array([-0.25]), array([-0.75]))
    """
    _check_shape(W, dW)
    step = dW * float(-learning_rate)  # host: a NumPy float64 would lift float32 arrays
    velocity = step if velocity is None else velocity * float(momentum) + step  # host: likewise
    return W + velocity, velocity


def adagrad(W: Array, dW: Array, config: Mapping[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
    """Take a step of AdaGrad.

    Parameters
    ----------
    W : array
        Parameters; not written to.
    dW : array of the shape of ``W``
        Their gradient.
    config : mapping, optional
        Any of the hyperparameters of :class:`softmax_xp.AdaGrad`, and the state that the last call returned. What is
        missing has its default; None starts afresh. Not written to.

    Returns
    -------
    W : array
        The parameters after the step.
    config : dict
        For the next call.

    Raises
    ------
    InvalidValueError
        For a name that AdaGrad does not know.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> W, config = sx.adagrad(np.array([1.0]), np.array([2.0]), {"learning_rate": 0.5})
    >>> W
    array([0.5])
    >>> sorted(config)
    ['count', 'eps', 'initial_accumulator', 'learning_rate', 'sum_of_squares', 'weight_decay']
    """
    return _configured_step(AdaGrad(), W, dW, config)


def rmsprop(W: Array, dW: Array, config: Mapping[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
    """Take a step of RMSprop.

    Parameters
    ----------
    W : array
        Parameters; not written to.
    dW : array of the shape of ``W``
        Their gradient.
    config : mapping, optional
        Any of the hyperparameters of :class:`softmax_xp.RMSprop`, and the state that the last call returned. What is
        missing has its default; None starts afresh. Not written to.

    Returns
    -------
    W : array
        The parameters after the step.
    config : dict
        For the next call.

    Raises
    ------
    InvalidValueError
        For a name that RMSprop does not know.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> W, config = sx.rmsprop(np.array([1.0]), np.array([2.0]), {"learning_rate": 0.05, "decay": 0.75})
    >>> W.round(6)
    array([0.9])
    """
    return _configured_step(RMSprop(), W, dW, config)


def adam(W: Array, dW: Array, config: Mapping[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
    """Take a step of Adam.

    Parameters
    ----------
    W : array
        Parameters; not written to.
    dW : array of the shape of ``W``
        Their gradient.
    config : mapping, optional
        Any of the hyperparameters of :class:`softmax_xp.Adam`, and the state that the last call returned, its step
        ``count`` included. What is missing has its default; None starts afresh. Not written to.

    Returns
    -------
    W : array
        The parameters after the step.
    config : dict
        For the next call.

    Raises
    ------
    InvalidValueError
        For a name that Adam does not know.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> W, config = sx.adam(np.array([1.0]), np.array([2.0]), {"learning_rate": 0.1})
    >>> W, config = sx.adam(W, np.array([2.0]), config)
    >>> W.round(6), config["count"]
    (array([0.8]), 2)
    """
    return _configured_step(Adam(), W, dW, config)


def _check_shape(W: Array, dW: Array) -> None:
    """Refuse a gradient from elsewhere, or of a shape that would be broadcast."""
    backend_of(W, dW, names=("W", "dW"))
    if W.shape != dW.shape:
        msg = f"`dW` must have the shape of `W`, {tuple(W.shape)}; got {tuple(dW.shape)}."
        raise InvalidValueError(msg)


def _configured_step(
    optimizer: Any, W: Array, dW: Array, config: Mapping[str, Any] | None
) -> tuple[Array, dict[str, Any]]:
    """Unpack a ``config`` into hyperparameters and state, take a step, and pack it again."""
    _check_shape(W, dW)
    given = dict(config or {})
    hyperparameters = [each.name for each in fields(optimizer)]
    fresh = optimizer.init(W)
    unknown = [name for name in given if name not in {*hyperparameters, *fresh._fields}]
    if unknown:
        known = ", ".join(sorted([*hyperparameters, *fresh._fields]))
        msg = f"`config` must hold only names that {type(optimizer).__name__} knows: {known}; got {unknown[0]!r}."
        raise InvalidValueError(msg)
    optimizer = replace(optimizer, **{name: given[name] for name in hyperparameters if name in given})
    # Again, because an initial value of the state may be a hyperparameter.
    state = optimizer.init(W)._replace(**{name: given[name] for name in fresh._fields if name in given})
    updates, state = optimizer.update(dW, state, W)
    settings = {name: getattr(optimizer, name) for name in hyperparameters}
    return W + updates, {**settings, **state._asdict()}
