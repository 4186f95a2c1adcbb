# SPDX-License-Identifier: BSD-3-Clause
"""Which solver ``"auto"`` is."""

__all__ = ["choose_solver"]

from softmax_xp.solvers.contract import Objective

_FEW_COEFFICIENTS = 150


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

    Notes
    -----
    With an L1 part, only the proximal solver gives exact zeros. Else let ``size = n_rows * n_columns``. A Hessian costs
    ``size / 4`` times the products of a pass, in which it is read once more; about ten of them replace the 30 to 60
    passes of L-BFGS, and three times as many on data so badly scaled that L-BFGS takes hundreds. So it pays
    while ``size / 4`` is a few dozen: up to 150 coefficients.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.losses import CrossEntropy
    >>> from softmax_xp.objectives import ConvexObjective, LinearObjective
    >>> from softmax_xp.solvers import choose_solver
    >>> loss, X = CrossEntropy(), np.eye(3)
    >>> targets = loss.prepare(np.arange(3), 3, dtype=X.dtype)
    >>> choose_solver(ConvexObjective(LinearObjective(X, targets, loss, None, X.dtype), 3, l2=0.1))
    'newton-cholesky'
    """
    if objective.l1 is not None:
        return "proximal"
    n_rows, n_columns = objective.shape
    return "newton-cholesky" if n_rows * n_columns <= _FEW_COEFFICIENTS else "lbfgs"
