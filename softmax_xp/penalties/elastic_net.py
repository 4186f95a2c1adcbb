# SPDX-License-Identifier: BSD-3-Clause
"""The sum of absolute values and squares of the weights: sparse like the lasso, and convex like ridge."""

__all__ = ["ElasticNet"]

from dataclasses import dataclass
from typing import final

from softmax_xp.backend import array_namespace
from softmax_xp.hyperparameters import NON_NEGATIVE, check_hyperparameters
from softmax_xp.typing import Array, LinearParams


@final
@dataclass(frozen=True, slots=True)
class ElasticNet:
    """Penalise ``l1 * sum(abs(weight)) + 0.5 * l2 * sum(weight * weight)``; the bias is free.

    Parameters
    ----------
    l1 : float, default: 0.0
        Strength of the absolute values, added to the *mean* loss. It sets weights to exactly 0. scikit-learn's is
        ``l1_ratio / (C * n_samples)``.
    l2 : float, default: 0.0
        Strength of the squares, added to the *mean* loss. scikit-learn's is ``(1 - l1_ratio) / (C * n_samples)``.

    Raises
    ------
    InvalidValueError
        For a negative or non-finite strength.

    References
    ----------
    .. [1] H. Zou, T. Hastie, "Regularization and variable selection via the elastic net", 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.penalties import ElasticNet
    >>> from softmax_xp.typing import LinearParams
    >>> penalty, params = ElasticNet(l1=0.5, l2=1.0), LinearParams(np.array([[2.0, -0.25]]))
    >>> float(penalty.value(params))
    3.15625
    >>> penalty.proximal(params, 1.0).weight
    array([[0.75, 0.  ]])
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        """Check the strengths."""
        check_hyperparameters(self, l1=NON_NEGATIVE, l2=NON_NEGATIVE)

    def value(self, params: LinearParams) -> Array:
        """Return the penalty.

        Parameters
        ----------
        params : LinearParams
            The weights; the bias does not count.

        Returns
        -------
        array of shape ()
            In nats, like the mean loss that it is added to.
        """
        weight = params.weight
        xp = array_namespace(weight)
        return xp.sum(xp.abs(weight)) * self.l1 + xp.sum(weight * weight) * (0.5 * self.l2)

    def gradient(self, params: LinearParams) -> LinearParams:
        """Return ``l1 * sign(weight) + l2 * weight``, and None for the bias.

        At a weight of 0 the absolute value has a kink, and every slope in ``[-l1, l1]`` is a subgradient. This gives
        the smallest, 0: the subgradient of least norm of the penalty alone, and the gradient elsewhere.

        Parameters
        ----------
        params : LinearParams
            Where to take it.

        Returns
        -------
        LinearParams
            None stands for zero.
        """
        weight = params.weight
        return LinearParams(array_namespace(weight).sign(weight) * self.l1 + weight * self.l2, None)

    def proximal(self, params: LinearParams, step: float) -> LinearParams:
        """Return the minimiser of ``penalty(v) + norm(v - params)**2 / (2 * step)``: a weight cut, then shrunk.

        Parameters
        ----------
        params : LinearParams
            Where to start.
        step : float
            Step length, positive.

        Returns
        -------
        LinearParams
            ``sign(weight) * max(abs(weight) - step * l1, 0) / (1 + step * l2)``, with exact zeros, and the bias as it
            was.
        """
        weight, cut = params.weight, step * self.l1
        remainder = weight - array_namespace(weight).clip(weight, min=-cut, max=cut)
        return LinearParams(remainder * (1.0 / (1.0 + step * self.l2)), params.bias)
