# SPDX-License-Identifier: BSD-3-Clause
"""The exponential averages and the weight decay that several update rules share.

They run at every step on arrays of a few thousand numbers, where one pass costs about as much as the call that
starts it: each uses as few passes as it can and writes only to arrays that it made itself.
"""

__all__ = ["add_weight_decay", "average_gradient", "average_squared_gradient"]

from softmax_xp.optimizers.contract import map_arrays
from softmax_xp.typing import Array, Params


def average_gradient(grad: Array, mu: Array, decay: float) -> Array:
    """Return ``decay * mu + (1 - decay) * grad``.

    Parameters
    ----------
    grad : array
        The gradient.
    mu : array of the shape of grad
        The average so far.
    decay : float
        Weight of the past.

    Returns
    -------
    array of the shape of grad
        The next average, a new array.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers.moments import average_gradient
    >>> average_gradient(np.asarray([4.0]), np.asarray([2.0]), decay=0.75)
    array([2.5])
    """
    average = grad - mu
    average *= 1.0 - decay
    average += mu
    return average


def average_squared_gradient(grad: Array, nu: Array, decay: float) -> Array:
    """Return ``decay * nu + (1 - decay) * grad**2``.

    Parameters
    ----------
    grad : array
        The gradient.
    nu : array of the shape of grad
        The average so far, at least 0.
    decay : float
        Weight of the past.

    Returns
    -------
    array of the shape of grad
        The next average, a new array, at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers.moments import average_squared_gradient
    >>> average_squared_gradient(np.asarray([4.0]), np.asarray([2.0]), decay=0.75)
    array([5.5])
    """
    # Not in the form nu + (1 - decay) * (grad**2 - nu): that one can round to below zero, and a square
    # root comes next.
    average = grad * grad
    average *= 1.0 - decay
    average += nu * decay
    return average


def add_weight_decay(grads: Params, params: Params, weight_decay: float) -> Params:
    """Return ``grads + weight_decay * params``, or `grads` itself when there is no decay.

    Parameters
    ----------
    grads : array, or tuple of arrays and None
        The gradients, or the updates, in the layout of `params`.
    params : array, or tuple of arrays and None
        The parameters.
    weight_decay : float
        Factor of the parameters.

    Returns
    -------
    array, or tuple of arrays and None
        New arrays, but for a `weight_decay` of 0.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers.moments import add_weight_decay
    >>> add_weight_decay(np.asarray([1.0]), np.asarray([4.0]), weight_decay=0.5)
    array([3.])
    """
    if weight_decay == 0.0:
        return grads

    def add(grad: Array, param: Array) -> Array:
        decayed = param * weight_decay
        decayed += grad
        return decayed

    return map_arrays(add, grads, params)
