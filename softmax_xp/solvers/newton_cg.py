# SPDX-License-Identifier: BSD-3-Clause
"""Newton's method whose equations are solved by conjugate gradients in the metric of the data."""

__all__ = ["NewtonCG", "NewtonCGState"]

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple, final

from softmax_xp.backend import array_namespace, scalars
from softmax_xp.hyperparameters import AT_LEAST_ONE, FRACTION, check_hyperparameters
from softmax_xp.solvers.contract import Curvature, Evaluation, Metric, Objective, evaluate
from softmax_xp.solvers.line_search import search_line
from softmax_xp.typing import Array


class NewtonCGState(NamedTuple):
    """Between two iterations."""

    evaluation: Evaluation
    step: float


@final
@dataclass(frozen=True, slots=True)
class NewtonCG:
    """Truncated Newton: loose conjugate gradients, preconditioned by the metric of the data.

    Far from the optimum an exact Newton step is wasted, so the inner iteration ends when the residual, in the norm of
    the inverse metric, has shrunk to ``looseness``. Each inner iteration is one pass over the data.

    Parameters
    ----------
    looseness : float, default: 0.3
        The share of the residual that may remain, in [0, 1).
    max_inner : int, default: 200
        The most inner iterations for one step.

    References
    ----------
    .. [1] R. S. Dembo, T. Steihaug, "Truncated-Newton algorithms for large-scale unconstrained optimization", 1983.

    Examples
    --------
    >>> from softmax_xp.solvers import NewtonCG
    >>> NewtonCG()
    NewtonCG(looseness=0.3, max_inner=200)
    """

    looseness: float = 0.3
    max_inner: int = 200

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(self, looseness=FRACTION, max_inner=AT_LEAST_ONE)

    def init(self, objective: Objective, point: Array) -> NewtonCGState:
        """Return the state before the first iteration.

        Parameters
        ----------
        objective : Objective
            Smooth.
        point : array of shape (n_rows, n_columns)
            Where to start.

        Returns
        -------
        NewtonCGState
            At ``point``.
        """
        return NewtonCGState(evaluate(objective, point), 1.0)

    def advance(self, objective: Objective, state: NewtonCGState) -> NewtonCGState:
        """Make one iteration.

        Parameters
        ----------
        objective : Objective
            Smooth.
        state : NewtonCGState
            The last one.

        Returns
        -------
        NewtonCGState
            The next one.
        """
        curvature = objective.curvature(state.evaluation.point)
        direction, slope = self._direction(curvature, curvature.metric(), state.evaluation.gradient)
        found = search_line(objective, state.evaluation, direction, slope)
        return state._replace(step=0.0) if found is None else NewtonCGState(*found)

    def _direction(self, curvature: Curvature, metric: Metric, gradient: Array) -> tuple[Array, float]:
        """Solve the Newton equations loosely; also return the slope along the solution."""
        residual = -gradient
        solved = metric.solve(residual)
        direction = search = solved
        size, first = _dot(residual, solved), None
        for iteration in range(self.max_inner):
            product = curvature.product(search)
            bend = _dot(search, product)
            # Lengths stay on the device, and the host looks once, after all that follows from the product. Where it
            # ends the iteration, a residual was computed in vain.
            length = size / bend
            residual = residual - length * product
            solved = metric.solve(residual)
            following = _dot(residual, solved)
            now, along, then = scalars(size, bend, following)  # host: once for each pass
            first = now if first is None else first
            if not (now > 0.0 and along > 0.0):
                break
            if then > 4.0 * first:
                # A residual that grows has met a direction without curvature, whose length is rounding.
                break
            direction = length * search if iteration == 0 else direction + length * search
            if not then > 0.0 or sqrt(then) <= self.looseness * sqrt(first):
                break
            search = solved + (following / size) * search
            size = following
        return direction, float(_dot(gradient, direction))  # host: one number


def _dot(left: Array, right: Array) -> Array:
    xp = array_namespace(left)
    return xp.vecdot(xp.reshape(left, (-1,)), xp.reshape(right, (-1,)))
