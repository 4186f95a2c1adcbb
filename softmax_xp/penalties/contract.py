# SPDX-License-Identifier: BSD-3-Clause
"""What a penalty is: a value, a gradient and a proximal step over the parameters of a linear model."""

__all__ = ["Penalty"]

from typing import Protocol, runtime_checkable

from softmax_xp.typing import Array, LinearParams


@runtime_checkable
class Penalty(Protocol):
    """A convex function of the weights that is added to the mean loss."""

    def value(self, params: LinearParams) -> Array:
        """Return the penalty.

        Parameters
        ----------
        params : LinearParams
            Where.

        Returns
        -------
        array of shape ()
            In nats, like the mean loss that it is added to.
        """
        ...

    def gradient(self, params: LinearParams) -> LinearParams:
        """Return its gradient.

        Parameters
        ----------
        params : LinearParams
            Where.

        Returns
        -------
        LinearParams
            None for a member that is not penalised.
        """
        ...

    def proximal(self, params: LinearParams, step: float) -> LinearParams:
        """Return the minimiser of ``penalty(v) + norm(v - params)**2 / (2 * step)``.

        Parameters
        ----------
        params : LinearParams
            Where to start.
        step : float
            Step length, positive.

        Returns
        -------
        LinearParams
            The minimiser.
        """
        ...
