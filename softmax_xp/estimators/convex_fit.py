# SPDX-License-Identifier: BSD-3-Clause
"""A fit by a full-batch solver, with its certificate, and the warnings of a fit that did not end well."""

__all__ = ["convex_objective", "fit_convex", "separates"]

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

from softmax_xp.backend import array_namespace, scalar
from softmax_xp.data.rows import has_sparse_rows, occurring_columns, select_columns
from softmax_xp.data.sparse import spread_rows
from softmax_xp.estimators.coefficients import centred
from softmax_xp.estimators.convex_checkpoint import StagedKeeper, keeper_of
from softmax_xp.estimators.problem import FitProblem, FittedParts, counting
from softmax_xp.estimators.reporting import NotConvergedWarning, Show, warn_unless_converged
from softmax_xp.estimators.settings import AUTO, FitSettings
from softmax_xp.kernels.precision import COMPUTE, can_be_rough, products
from softmax_xp.losses.contract import CurvedLoss, Targets
from softmax_xp.objectives import ConvexObjective, LinearObjective
from softmax_xp.objectives.remote import RemoteChunks
from softmax_xp.ops.labels import one_hot
from softmax_xp.ops.linear import linear_logits
from softmax_xp.solvers import SOLVERS, Solution, Solver, Status, choose_solver, minimise
from softmax_xp.training import History
from softmax_xp.training.keeper import Keeper
from softmax_xp.typing import Array, LinearParams

# Leaving features out takes another copy of the indices.
_WORTH_LEAVING_OUT = 0.75


def convex_objective(problem: FitProblem, settings: FitSettings) -> ConvexObjective:
    """Return what the solvers minimise."""
    l1, l2 = settings.strengths(problem.reciprocal_total)
    return ConvexObjective(problem.linear, len(problem.classes), l1=l1, l2=l2, fit_intercept=settings.fit_intercept)


def fit_convex(problem: FitProblem, settings: FitSettings, start: LinearParams | None, show: Show) -> FittedParts:
    """Minimise the objective.

    Parameters
    ----------
    problem : FitProblem
        The data.
    settings : FitSettings
        The parameters.
    start : LinearParams or None
        Where to begin; None is zero.
    show : callable
        Is shown each row of the history; a true answer ends the fit.

    Returns
    -------
    FittedParts
        With a certificate.
    """
    problem = counting(problem)
    occurring = _occurring_features(problem.linear)
    objective = convex_objective(_restricted(problem, occurring), settings)
    objective.linear.check_budget(objective.n_columns)
    solver, name = _solver(settings.solver, objective)
    begin = objective.start() if start is None else objective.point(_gathered(problem.put(start), occurring))
    worst = math.inf if start is None else _value_at_zero(problem)
    with keeper_of(settings, objective, solver, begin, problem.classes) as keeper:
        solution = _minimised(solver, objective, begin, settings, show, worst, keeper)
    params = _spread(objective.params(solution.certified.point), occurring, problem.n_features)
    if not settings.is_penalised:  # else the certificate has chosen the bias, and the penalty the weight
        params = centred(params)
    history = History([dict(row) for row in solution.history])
    if solution.status in {Status.STOPPED, Status.INTERRUPTED}:
        history.status = str(solution.status)
    if not settings.is_penalised and separates(problem.linear, params):
        _warn_separable(params)
    else:
        warn_unless_converged(solution.status)
    return FittedParts(params, solution.n_iter, solution.status, solution.certified.certificate, history, name)


def _minimised(
    solver: Solver,
    objective: ConvexObjective,
    start: Array,
    settings: FitSettings,
    show: Show,
    worst: float,
    keeper: Keeper | None,
) -> Solution:
    """Minimise; with rough products first, as far as they lead, and then with exact ones."""
    backend = objective.backend
    run = partial(minimise, solver, objective, tol=settings.tol, stopping=settings.stopping)
    if settings.compute == COMPUTE[0] or not can_be_rough(backend):
        with products(backend, COMPUTE[0]):
            return run(start, max_iter=settings.max_iter, report=show, worst=worst, keeper=keeper)
    stages = None if keeper is None else StagedKeeper(keeper)
    rough = None if stages is None else stages.first()
    if rough is None:
        with products(backend, settings.compute):
            rough = run(start, max_iter=settings.max_iter, report=show, worst=worst, keeper=stages)
    if rough.status in {Status.STOPPED, Status.INTERRUPTED}:
        return rough
    if stages is not None:
        stages.begin_second(rough)

    def continued(row: Mapping[str, float]) -> dict[str, float]:
        before = rough.history[-1]
        return {**row, **{name: row[name] + before[name] for name in ("iteration", "passes", "seconds")}}

    with products(backend, COMPUTE[0]):
        fine = run(
            rough.certified.point,
            max_iter=settings.max_iter - rough.n_iter,
            report=lambda row: show(continued(row)),
            keeper=stages,
        )
    history = [*rough.history, *map(continued, fine.history)]
    return replace(fine, n_iter=rough.n_iter + fine.n_iter, passes=rough.passes + fine.passes, history=history)


def _value_at_zero(problem: FitProblem) -> float:
    """Return the objective where all coefficients are zero: each sample has the same chance to be of each class."""
    mass = cast("CurvedLoss", problem.linear.loss).mass(problem.linear.targets)
    total = 1.0 if mass is None else problem.reciprocal_total * scalar(array_namespace(mass).sum(mass))
    return total * math.log(len(problem.classes))


def _occurring_features(linear: LinearObjective) -> Array | None:
    """Return the numbers of the features that occur in sparse data, where enough do not; None stands for all of them.

    A feature that never occurs has the coefficient 0 in every optimum that a penalty chooses, and hashed text has
    hundreds of thousands of them: vectors of coefficients would be the cost of the fit.
    """
    if not has_sparse_rows(linear.X):
        return None
    columns = occurring_columns(linear.X)
    return columns if 0 < columns.shape[0] <= _WORTH_LEAVING_OUT * linear.X.shape[1] else None


def _restricted(problem: FitProblem, columns: Array | None) -> FitProblem:
    """Return the problem over some features."""
    if columns is None:
        return problem
    return problem._replace(linear=replace(problem.linear, X=select_columns(problem.linear.X, columns)))


def _gathered(params: LinearParams, columns: Array | None) -> LinearParams:
    """Return the parameters of some features."""
    return params if columns is None else LinearParams(params.weight[columns, :], params.bias)


def _spread(params: LinearParams, columns: Array | None, n_features: int) -> LinearParams:
    """Return the parameters of all features, 0 where they do not occur."""
    return params if columns is None else LinearParams(spread_rows(params.weight, columns, n_features), params.bias)


def _solver(solver: Any, objective: ConvexObjective) -> tuple[Solver, str]:
    """Return the solver that was asked for, or the one that suits the problem, and its name."""
    if isinstance(solver, str):
        name = choose_solver(objective) if solver == AUTO else solver
        return SOLVERS[name], name
    return solver, type(solver).__name__


def separates(linear: LinearObjective, params: LinearParams) -> bool:
    """Tell whether a linear model puts each sample's label above all other classes: then no scale is large enough.

    Parameters
    ----------
    linear : LinearObjective
        Data and targets. Samples of weight 0 do not count; soft targets that are not all one-hot are not separable.
    params : LinearParams
        The model.

    Returns
    -------
    bool
        After one pass over the data.
    """
    distribution = linear.targets.distribution
    if distribution is not None:
        xp = array_namespace(distribution)
        if scalar(xp.min(xp.max(distribution, axis=1))) < 1.0:
            return False

    def margin(chunk: tuple[Array, Targets]) -> float:
        return scalar(_smallest_margin(linear_logits(params, linear.rows(chunk[0])), chunk[1]))

    chunks = linear.chunks(params.weight.shape[1])
    if isinstance(chunks, RemoteChunks):
        return bool(min(linear.backend.map_chunks(margin, chunks)) > 0.0)
    return all(margin(chunk) > 0.0 for chunk in chunks)


def _smallest_margin(logits: Array, targets: Targets) -> Array:
    """Return by how much the label's logit exceeds the largest other one, at the worst sample that counts."""
    xp = array_namespace(logits)
    if logits.shape[1] == 1:
        logits = xp.concat((xp.zeros_like(logits), logits), axis=1)
    at_label = one_hot(targets.labels, logits.shape[1], dtype=xp.bool)
    lowest = xp.full_like(logits, -math.inf)
    margins = xp.max(xp.where(at_label, logits, lowest), axis=1) - xp.max(xp.where(at_label, lowest, logits), axis=1)
    if targets.weight is not None:
        margins = xp.where(targets.weight > 0, margins, xp.full_like(margins, math.inf))
    return xp.min(margins)


def _warn_separable(params: LinearParams) -> None:
    """Say that without a penalty there is no best model where one has no error."""
    xp = array_namespace(params.weight)
    norm = math.sqrt(scalar(xp.sum(params.weight * params.weight)))
    msg = (
        "No minimum exists: the classes are linearly separable, and without a penalty larger coefficients are always "
        f"better. The fit stopped at coefficients of norm {norm:.3g}. Pass a finite `C`."
    )
    warnings.warn(msg, NotConvergedWarning, stacklevel=4)
