# SPDX-License-Identifier: BSD-3-Clause
"""Which solver ``"auto"`` is."""

__all__ = ["choose_solver"]

from softmax_xp.solvers.contract import Objective


def choose_solver(objective: Objective) -> str:
    """Return the name of the solver that is likely to be the fastest.

    Parameters
    ----------
    objective : Objective
        What to minimise.

    Returns
    -------
    str
        A key of :data:`softmax_xp.solvers.SOLVERS`.
    """
    n_rows, n_columns = objective.shape
    if objective.l1 is not None:
        return "proximal"
    return "newton-cholesky" if n_rows * n_columns <= 150 else "lbfgs"
