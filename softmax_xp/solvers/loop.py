# SPDX-License-Identifier: BSD-3-Clause
"""The loop around any solver: when to stop, what to remember, and what is proven at the end."""

__all__ = ["Report", "Solution", "Status", "minimise"]

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf, isfinite, nan
from typing import Any, TypeAlias, final

from softmax_xp.backend import array_namespace, backend_of
from softmax_xp.blas import give_way
from softmax_xp.errors import InvalidValueError
from softmax_xp.solvers.contract import Certificate, Certified, Evaluation, Keeper, Objective, Solver
from softmax_xp.typing import Array

# Is shown each row of the history; a true answer ends the fit.
Report: TypeAlias = Callable[[Mapping[str, float]], Any]


# Iterations in a row without any progress that is larger than rounding, until the floor is called reached.
_PATIENCE = 10


class Status(StrEnum):
    """Why a fit ended.

    Examples
    --------
    >>> from softmax_xp.solvers import Status
    >>> Status("gradient").message
    'The largest entry of the gradient is below `tol`.'
    """

    CERTIFIED = "certified"
    GRADIENT = "gradient"
    FLOOR = "floor"
    MAX_ITER = "max_iter"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"

    @property
    def message(self) -> str:
        """What it means, and what to do about it."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.CERTIFIED: "The certificate is below `tol`: the minimum is proven to be this near.",
    Status.GRADIENT: "The largest entry of the gradient is below `tol`.",
    Status.FLOOR: (
        "Rounding hides any further progress. `certificate_.bound` says how good the point is. A fit in float32 gets "
        "further with dtype='float64'; one in float64 with scaled features, or a larger `tol`."
    ),
    Status.MAX_ITER: "`max_iter` iterations were not enough. Increase `max_iter`, or scale the features.",
    Status.STOPPED: "A callback ended the fit.",
    Status.INTERRUPTED: "The fit was interrupted; the point is that of the last full iteration.",
}


@final
@dataclass(frozen=True, slots=True)
class Solution:
    """Where a solver ended.

    Parameters
    ----------
    certified : Certified
        The point, and what is proven about it.
    status : Status
        Why it ended there.
    n_iter : int
        Iterations made.
    passes : float
        How often the data were read, in units of one value and gradient.
    history : list of dict of str to float
        One row for each iteration: ``iteration``, ``value``, ``gradient_norm``, ``bound`` (proven; NaN where no
        certificate was asked for), ``step``, ``passes`` and ``seconds``.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.losses import CrossEntropy
    >>> from softmax_xp.objectives import ConvexObjective, LinearObjective
    >>> from softmax_xp.solvers import SOLVERS, minimise
    >>> loss, X = CrossEntropy(), np.eye(3)
    >>> targets = loss.prepare(np.arange(3), 3, dtype=X.dtype)
    >>> objective = ConvexObjective(LinearObjective(X, targets, loss, None, X.dtype), 3, l2=0.1)
    >>> solution = minimise(SOLVERS["lbfgs"], objective, objective.start(), tol=1e-6, max_iter=100)
    >>> solution.converged, len(solution.history) == solution.n_iter + 1
    (True, True)
    """

    certified: Certified
    status: Status
    n_iter: int
    passes: float
    history: list[dict[str, float]]

    @property
    def converged(self) -> bool:
        """Whether a test of convergence fired."""
        return self.status in {Status.CERTIFIED, Status.GRADIENT}


class _Stopping:
    """Looks at each point; pays for a certificate only where it is likely to be the last."""

    def __init__(self, objective: Objective, tol: float, stopping: str) -> None:
        self.objective = objective
        self.tol = tol
        self.by_gradient = stopping == "gradient"
        self.target = tol  # of the estimate, or of the gradient; lower after each certificate that disappointed
        self.certified: Certified | None = None

    def status(self, now: Evaluation) -> Status | None:
        """Return why to stop at a point, or None."""
        self.certified = None
        # Without a penalty there is no bound, and the gradient is all there is to look at.
        if self.by_gradient or now.estimate == inf:
            if now.gradient_norm > self.target:
                return None
            # The certificate is that of a point with a better bias, where the rest of the gradient differs a little.
            if self.prove(now).gradient_norm <= self.tol:
                return Status.GRADIENT
            self.target *= 0.5
            return None
        if now.estimate > self.target:
            return None
        bound = self.prove(now).bound
        if bound <= self.tol:
            return Status.CERTIFIED
        self.target = min(0.5 * self.target, 0.5 * now.estimate * self.tol / bound)
        return None

    def prove(self, now: Evaluation) -> Certificate:
        """Certify a point."""
        self.certified = self.objective.certificate(now.point, 0.0 if self.by_gradient else self.tol)
        return self.certified.certificate


_FLOOR_NUMBERS = ("value", "measure", "smallest", "idle")


class _Floor:
    """Notices when only rounding is left: neither the value falls nor what ``tol`` bounds."""

    def __init__(self, *, by_gradient: bool) -> None:
        self.by_gradient = by_gradient
        self.value = self.measure = self.smallest = inf  # at the last progress; of the best point since
        self.best: Evaluation | None = None
        self.idle = 0
        self.epsilon = 0.0

    def reached(self, now: Evaluation) -> bool:
        """Look at the next point; keep the best of those whose values rounding does not tell apart."""
        self.epsilon = self.epsilon or array_namespace(now.point).finfo(now.point.dtype).eps
        measure = now.gradient_norm * now.gradient_norm if self.by_gradient or now.estimate == inf else now.estimate
        # The mean of many values is finer than each of them.
        lower = self.value - now.total > 0.125 * self.epsilon * abs(now.total)
        if lower or measure <= self.smallest:
            self.best, self.smallest = now, measure
        if lower or measure <= 0.8 * self.measure:
            self.value, self.measure, self.idle = min(self.value, now.total), measure, 0
        else:
            self.idle += 1
        return self.idle >= _PATIENCE


def minimise(
    solver: Solver,
    objective: Objective,
    start: Array,
    *,
    tol: float,
    max_iter: int,
    stopping: str = "certificate",
    report: Report | None = None,
    worst: float = inf,
    keeper: Keeper | None = None,
) -> Solution:
    """Iterate a solver until its point is good enough.

    Parameters
    ----------
    solver : Solver
        How to get from one point to the next.
    objective : Objective
        What to minimise.
    start : array of shape (n_rows, n_columns)
        Where to begin.
    tol : float
        How good is good enough: the certificate in nats, or the largest gradient entry.
    max_iter : int
        The most iterations to make.
    stopping : {"certificate", "gradient"}, default: "certificate"
        What ``tol`` bounds. Without a penalty it is always the gradient.
    report : callable, optional
        Is shown each row of the history; a true answer ends the fit.
    worst : float, default: inf
        Where the objective at ``start`` is above this, the fit begins at zero instead: far out, where all probabilities
        are 0 or 1, the loss has no curvature that would lead back.
    keeper : Keeper, optional
        Has the checkpoint to go on from, which then takes the place of ``start``, and is given others.

    Returns
    -------
    Solution
        Certified, whatever ended the loop.

    Raises
    ------
    InvalidValueError
        When the objective is not finite at ``start``.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.losses import CrossEntropy
    >>> from softmax_xp.objectives import ConvexObjective, LinearObjective
    >>> from softmax_xp.solvers import SOLVERS, minimise
    >>> loss, X = CrossEntropy(), np.eye(3)
    >>> targets = loss.prepare(np.arange(3), 3, dtype=X.dtype)
    >>> objective = ConvexObjective(LinearObjective(X, targets, loss, None, X.dtype), 3, l2=0.1)
    >>> solution = minimise(SOLVERS["lbfgs"], objective, objective.start(), tol=1e-6, max_iter=100)
    >>> solution.status, solution.certified.certificate.bound < 1e-6
    (<Status.CERTIFIED: 'certified'>, True)
    """
    # Far from the optimum numbers overflow, which is looked for; nobody needs to be warned.
    with backend_of(start).scope():
        run = _Run(solver, objective, _Stopping(objective, tol, stopping), keeper)
        if keeper is None or not run.resume(keeper):
            run.begin(start, worst)
        return run.until_good(max_iter, report)


class _Run:
    """The state of a fit, and the loop over its iterations."""

    def __init__(self, solver: Solver, objective: Objective, rule: _Stopping, keeper: Keeper | None) -> None:
        self.solver, self.objective, self.rule, self.keeper = solver, objective, rule, keeper
        self.began, self.passes = time.perf_counter(), objective.passes
        self.history = list[dict[str, float]]()
        self.floor = _Floor(by_gradient=rule.by_gradient)
        self.n_iter = 0
        self.state: Any = None

    def begin(self, start: Array, worst: float) -> None:
        """Evaluate the objective at the start, or at zero where that is better."""
        state = self.solver.init(self.objective, start)
        if not state.evaluation.total <= worst:
            state = self.solver.init(self.objective, array_namespace(start).zeros_like(start))
        if not isfinite(state.evaluation.total):
            msg = "`X` must have values whose squares stay finite; got features too large for their dtype. Scale them."
            raise InvalidValueError(msg)
        self.state = state

    def until_good(self, max_iter: int, report: Report | None) -> Solution:
        """Iterate."""
        rule, floor, status = self.rule, self.floor, None
        kept: dict[str, Any] | None = None
        try:
            while status is None:
                give_way()
                if self.keeper is not None:
                    kept = self._keep(self.keeper)
                status = rule.status(self.state.evaluation)
                self.history.append(self._row())
                if report is not None and report(self.history[-1]) and status is None:
                    status = Status.STOPPED
                if floor.reached(self.state.evaluation) and status is None:
                    status = Status.FLOOR
                if status is None and self.n_iter == max_iter:
                    status = Status.MAX_ITER
                if status is None:
                    following = self.solver.advance(self.objective, self.state)
                    if following.step == 0.0:
                        status = Status.FLOOR
                    else:
                        self.state, self.n_iter = following, self.n_iter + 1
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
            if len(self.history) == self.n_iter:
                self.history.append(self._row())
        if self.keeper is not None and kept is not None and not self.keeper.is_stopping:
            self.keeper.save(kept, is_last=True)
        if status is Status.FLOOR and floor.best is not None and floor.best is not self.state.evaluation:
            rule.prove(floor.best)
        elif rule.certified is None:
            rule.prove(self.state.evaluation)
        return _solution(rule, status, self.n_iter, self.objective.passes - self.passes, self.history)

    def _row(self) -> dict[str, float]:
        """Describe the current point."""
        now, certified = self.state.evaluation, self.rule.certified
        return {
            "iteration": self.n_iter,
            "value": now.total,
            "gradient_norm": now.gradient_norm,
            "bound": nan if certified is None else certified.certificate.bound,
            "step": self.state.step,
            "passes": self.objective.passes - self.passes,
            "seconds": time.perf_counter() - self.began,
        }

    def _keep(self, keeper: Keeper) -> dict[str, Any]:
        """Return what a checkpoint holds at the beginning of an iteration, once it is written if one is due."""
        floor = self.floor
        kept = {
            "solver": self.state,
            "n_iter": self.n_iter,
            "passes": self.objective.passes - self.passes,
            "seconds": time.perf_counter() - self.began,
            "history": list(self.history),
            "target": self.rule.target,
            "floor": {name: getattr(floor, name) for name in _FLOOR_NUMBERS},
            # Whether it is the current one is asked by identity.
            "best": True if floor.best is self.state.evaluation else floor.best,
        }
        if keeper.due():
            keeper.save(kept, is_last=keeper.is_stopping)
        if keeper.is_stopping:
            raise KeyboardInterrupt
        return kept

    def resume(self, keeper: Keeper) -> bool:
        """Go on from the newest checkpoint, if there is one."""
        kept = keeper.load()
        if kept is None:
            return False
        try:
            self.state, self.n_iter, self.rule.target = kept["solver"], kept["n_iter"], kept["target"]
            now = self.state.evaluation
            _check_evaluation(now, self.objective)
            for name in _FLOOR_NUMBERS:
                setattr(self.floor, name, kept["floor"][name])
            self.floor.best = now if kept["best"] is True else kept["best"]
            if self.floor.best is not None:
                _check_evaluation(self.floor.best, self.objective)
            self.history = [dict(row) for row in kept["history"]]
            self._check_numbers()
            self.began, self.passes = self.began - kept["seconds"], self.passes - kept["passes"]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise keeper.unusable(repr(error)) from None
        return True

    def _check_numbers(self) -> None:
        """Refuse what is no number, before anything is computed with it."""
        numbers = [self.rule.target, *(getattr(self.floor, name) for name in _FLOOR_NUMBERS)]
        numbers += [number for row in self.history for number in row.values()]
        if not all(isinstance(number, int | float) for number in numbers):
            msg = "a number is something else"
            raise TypeError(msg)
        if type(self.n_iter) is not int or len(self.history) != self.n_iter:
            msg = f"there are {len(self.history)} rows for {self.n_iter} iterations"
            raise ValueError(msg)


def _check_evaluation(found: Any, objective: Objective) -> None:
    """Refuse an evaluation of something else."""
    shapes = {tuple(found.point.shape), tuple(found.gradient.shape)}
    if not isinstance(found, Evaluation) or shapes != {objective.shape}:
        msg = f"an evaluation has arrays of shapes {shapes}"
        raise ValueError(msg)


def _solution(rule: _Stopping, status: Status, n_iter: int, passes: float, history: list[dict[str, float]]) -> Solution:
    """Say in the certificate which test fired; a floor that lies below ``tol`` is no failure."""
    assert rule.certified is not None  # noqa: S101 - the caller has just seen to it
    point, certificate = rule.certified
    at_floor = status is Status.FLOOR
    if at_floor and not rule.by_gradient and certificate.bound <= rule.tol:
        status = Status.CERTIFIED
    if at_floor and (rule.by_gradient or certificate.bound == inf) and certificate.gradient_norm <= rule.tol:
        status = Status.GRADIENT
    test = {Status.CERTIFIED: "certificate", Status.GRADIENT: "gradient"}.get(status, "none")
    certificate = replace(certificate, test=test, at_floor=at_floor)
    return Solution(Certified(point, certificate), status, n_iter, passes, history)
