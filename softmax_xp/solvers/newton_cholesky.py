# SPDX-License-Identifier: BSD-3-Clause
"""Newton's method with the whole Hessian, for problems of few coefficients."""

__all__ = ["NewtonCholesky", "NewtonCholeskyState"]

from dataclasses import dataclass
from typing import NamedTuple, final

from softmax_xp.backend import array_namespace
from softmax_xp.solvers.contract import Evaluation, Objective, evaluate
from softmax_xp.solvers.line_search import search_line
from softmax_xp.typing import Array


class NewtonCholeskyState(NamedTuple):
    """Between two iterations."""

    evaluation: Evaluation
    step: float


@final
@dataclass(frozen=True, slots=True)
class NewtonCholesky:
    """Exact Newton steps from the explicit Hessian.

    The name is scikit-learn's. The Array API standard has no triangular solve, so the equations go to its general
    ``linalg.solve``; the Hessian is positive definite, made so by the objective where the softmax leaves it singular.

    Examples
    --------
    >>> from softmax_xp.solvers import NewtonCholesky
    >>> NewtonCholesky()
    NewtonCholesky()
    """

    def init(self, objective: Objective, point: Array) -> NewtonCholeskyState:
        """Return the state before the first iteration.

        Parameters
        ----------
        objective : Objective
            Smooth.
        point : array of shape (n_rows, n_columns)
            Where to start.

        Returns
        -------
        NewtonCholeskyState
            At ``point``.
        """
        return NewtonCholeskyState(evaluate(objective, point), 1.0)

    def advance(self, objective: Objective, state: NewtonCholeskyState) -> NewtonCholeskyState:
        """Make one iteration.

        Parameters
        ----------
        objective : Objective
            Smooth.
        state : NewtonCholeskyState
            The last one.

        Returns
        -------
        NewtonCholeskyState
            The next one.
        """
        gradient = state.evaluation.gradient
        xp = array_namespace(gradient)
        hessian = objective.curvature(state.evaluation.point).matrix()
        # Columns vary slowest in the matrix.
        flat = xp.reshape(xp.astype(gradient, hessian.dtype, copy=False).T, (-1,))
        solved = xp.linalg.solve(hessian, flat[:, None])[:, 0]
        direction = xp.astype(-xp.reshape(solved, gradient.shape[::-1]).T, gradient.dtype, copy=False)
        slope = float(xp.sum(gradient * direction))  # host: one number
        found = search_line(objective, state.evaluation, direction, slope)
        return state._replace(step=0.0) if found is None else NewtonCholeskyState(*found)
