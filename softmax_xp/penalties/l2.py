# SPDX-License-Identifier: BSD-3-Clause
"""The squared penalty on the weights, also called ridge or weight decay."""

__all__ = ["L2"]

from dataclasses import dataclass
from typing import final

from softmax_xp.backend import array_namespace
from softmax_xp.hyperparameters import NON_NEGATIVE, check_hyperparameters
from softmax_xp.typing import Array, LinearParams


@final
@dataclass(frozen=True, slots=True)
class L2:
    """Penalise large weights: ``0.5 * reg * sum(weight * weight)``; the bias is free.

    Parameters
    ----------
    reg : float, default: 0.0
        Strength, added to the *mean* loss. scikit-learn's ``C`` is ``1 / (reg * n_samples)``.

    Raises
    ------
    InvalidValueError
        For a negative or non-finite strength.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp import L2
    >>> from softmax_xp.typing import LinearParams
    >>> float(L2(0.5).value(LinearParams(np.array([[2.0]]), None)))
    1.0
    """

    reg: float = 0.0

    def __post_init__(self) -> None:
        """Check the strength."""
        check_hyperparameters(self, reg=NON_NEGATIVE)

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
        return array_namespace(weight).sum(weight * weight) * (0.5 * self.reg)

    def gradient(self, params: LinearParams) -> LinearParams:
        """Return ``reg * weight``, and None for the bias.

        Parameters
        ----------
        params : LinearParams
            Where to take it.

        Returns
        -------
        LinearParams
            None stands for zero.
        """
        return LinearParams(params.weight * self.reg, None)

    def proximal(self, params: LinearParams, step: float) -> LinearParams:
        """Return the minimiser of ``penalty(v) + norm(v - params)**2 / (2 * step)``: a shrunk weight.

        Parameters
        ----------
        params : LinearParams
            Where to start.
        step : float
            Step length, positive.

        Returns
        -------
        LinearParams
            ``weight / (1 + step * reg)`` and the bias as it was.
        """
        return LinearParams(params.weight * (1.0 / (1.0 + step * self.reg)), params.bias)
