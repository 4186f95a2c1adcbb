# SPDX-License-Identifier: BSD-3-Clause
"""One fit of the package's own estimator, and what it says about itself."""

__all__ = ["MAX_ITER", "OurFit", "fit_ours", "make_ours"]

from dataclasses import dataclass
from time import perf_counter
from typing import Any, final

import softmax_xp as sx
from benchmarks.datasets import Data
from benchmarks.fits import deadline, mean_objective, quietly

MAX_ITER = 100_000  # as for the peers: the tolerance ends a fit, or the floor of its dtype


@final
@dataclass(frozen=True, slots=True)
class OurFit:
    """A fitted estimator's account.

    Parameters
    ----------
    seconds : float
        Of the fit.
    objective : float
        Computed from the coefficients, in float64.
    passes : float
        Over the data, in units of one value and gradient, as the history has them.
    n_iter : int
        Iterations.
    bound : float
        The certificate: the most by which the objective can exceed its minimum.
    status : str
        Why the fit ended.
    solver : str
        The one that it chose.
    """

    seconds: float
    objective: float
    passes: float
    n_iter: int
    bound: float
    status: str
    solver: str


def make_ours(C: float, tol: float, device: str) -> Any:
    """Return the estimator with its own choice of solver.

    Parameters
    ----------
    C : float
        Inverse regularization strength.
    tol : float
        In nats of the mean objective.
    device : str
        Where to compute.

    Returns
    -------
    SoftmaxClassifier
        Not fitted.
    """
    return sx.SoftmaxClassifier(C=C, tol=tol, max_iter=MAX_ITER, device=device)


def fit_ours(data: Data, C: float, tol: float, device: str, budget_seconds: float | None = None) -> OurFit:
    """Fit once, and look at the result.

    Parameters
    ----------
    data : Data
        What to fit.
    C, tol, device : object
        See :func:`make_ours`.
    budget_seconds : float, optional
        The longest that the fit may take.

    Returns
    -------
    OurFit
        The account.

    Raises
    ------
    OutOfTimeError
        If the fit takes longer.
    """
    model = make_ours(C, tol, device)
    with quietly(), deadline(budget_seconds):
        start = perf_counter()
        model.fit(data.X, data.y)
        seconds = perf_counter() - start
    return OurFit(
        seconds,
        mean_objective(data.X, data.y, model.coef_, model.intercept_, C),
        float(model.history_["passes"][-1]),
        int(model.n_iter_[0]),
        float(model.certificate_.bound),
        str(model.status_),
        model.solver_,
    )
