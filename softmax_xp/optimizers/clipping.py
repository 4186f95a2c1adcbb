# SPDX-License-Identifier: BSD-3-Clause
"""Gradient clipping: by the norm of all gradients together, and value by value."""

__all__ = ["ClipByGlobalNorm", "ClipByValue", "Clipping"]

import functools
import operator
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from softmax_xp.hyperparameters import POSITIVE, check_hyperparameters
from softmax_xp.optimizers.contract import map_arrays, namespace_of
from softmax_xp.typing import Params

# torch's guard against a division by zero; part of the result, so not a parameter.
_NORM_OFFSET = 1e-6


@runtime_checkable
class Clipping(Protocol):
    """A limit on gradients, applied before they reach the optimizer."""

    def apply(self, grads: Params) -> Params:
        """Return the clipped gradients.

        Parameters
        ----------
        grads : array, or tuple of arrays and None
            The gradients; they are not written to.

        Returns
        -------
        array, or tuple of arrays and None
            New arrays in the layout of `grads`.
        """


@final
@dataclass(frozen=True, slots=True)
class ClipByGlobalNorm:
    """Shrink all gradients by one factor where their common Euclidean norm is too large.

    ::

        norm = sqrt(sum of the squares of all members of grads)
        clipped = grads * minimum(max_norm / (norm + 1e-6), 1)

    as ``torch.nn.utils.clip_grad_norm_``; the direction is kept. Because of the 1e-6, the clipped norm is a
    little below `max_norm`. The factor stays on the device: no step waits for it. A norm that is NaN makes
    every gradient NaN.

    Parameters
    ----------
    max_norm : float
        The largest norm that passes unchanged, above 0.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If `max_norm` is not a finite number above 0.

    References
    ----------
    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013,
    arXiv:1211.5063.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import ClipByGlobalNorm
    >>> ClipByGlobalNorm(max_norm=1.0).apply(np.asarray([3.0, 4.0])).round(5)
    array([0.6, 0.8])
    """

    max_norm: float

    def __post_init__(self) -> None:
        """Check the hyperparameter."""
        check_hyperparameters(self, max_norm=POSITIVE)

    def apply(self, grads: Params) -> Params:
        """Return the clipped gradients; see :meth:`Clipping.apply`."""
        xp = namespace_of(grads)
        arrays = [array for array in grads if array is not None] if isinstance(grads, tuple) else [grads]
        squared_norm = functools.reduce(operator.add, [xp.sum(array * array) for array in arrays])
        factor = xp.clip(self.max_norm / (xp.sqrt(squared_norm) + _NORM_OFFSET), max=1.0)  # shape ()
        return map_arrays(lambda array: array * factor, grads)


@final
@dataclass(frozen=True, slots=True)
class ClipByValue:
    """Limit each entry of the gradients to ``[-limit, limit]``.

    As ``torch.nn.utils.clip_grad_value_``; the direction is not kept.

    Parameters
    ----------
    limit : float
        The largest magnitude that passes unchanged, above 0.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If `limit` is not a finite number above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import ClipByValue
    >>> ClipByValue(limit=1.0).apply(np.asarray([3.0, -0.5]))
    array([ 1. , -0.5])
    """

    limit: float

    def __post_init__(self) -> None:
        """Check the hyperparameter."""
        check_hyperparameters(self, limit=POSITIVE)

    def apply(self, grads: Params) -> Params:
        """Return the clipped gradients; see :meth:`Clipping.apply`."""
        xp = namespace_of(grads)
        return map_arrays(lambda array: xp.clip(array, min=-self.limit, max=self.limit), grads)
