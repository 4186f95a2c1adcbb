# SPDX-License-Identifier: BSD-3-Clause
"""Fits of many heads, folds by strengths, by whichever way suits them: as stacks, or one by one.

Stacks are for dense data with an L2 penalty. L1 penalties, sparse data, ``C = inf`` and solvers asked for by name go
one by one, each from the solution at the strength before; so does everything under a memory budget, because stacks hold
a copy of the data.
"""

__all__ = ["HeadFit", "HeadFitter", "mean_params", "warn_of_heads"]

import math
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

from softmax_xp.backend import array_namespace
from softmax_xp.blas import single_threaded_products
from softmax_xp.data.sparse import is_sparse
from softmax_xp.estimators.convex_fit import fit_convex
from softmax_xp.estimators.folds import Folds, fold_targets
from softmax_xp.estimators.problem import FitProblem, counting
from softmax_xp.estimators.reporting import NotConvergedWarning
from softmax_xp.estimators.settings import AUTO, FitSettings
from softmax_xp.estimators.stacked_path import StackedPath
from softmax_xp.objectives.stacked import StackedObjective
from softmax_xp.solvers import Certificate, Status
from softmax_xp.solvers.stacked import HeadSolution
from softmax_xp.typing import LinearParams

# Stacks are solved by this method; more features than this make its dense metric too expensive.
_STACKED_SOLVERS = (AUTO, "newton-cg")
_MOST_FEATURES = 2500
# Floating-point operations of a pass of one head below which threads cost more than they bring.
_SMALL_PASS = 2e7
_MISSED = frozenset({Status.FLOOR, Status.MAX_ITER})


class HeadFit(NamedTuple):
    """One fitted head."""

    params: LinearParams  # one column for two classes, else one for each
    certificate: Certificate
    status: Status
    n_iter: int


class HeadFitter:
    """Fits folds along paths of strengths.

    Parameters
    ----------
    problem : FitProblem
        Data and targets, all of them.
    folds : Folds
        Who trains on what.
    settings : FitSettings
        Everything but the strengths.
    largest_C : float
        Of the finite ones.
    """

    def __init__(self, problem: FitProblem, folds: Folds, settings: FitSettings, largest_C: float) -> None:
        self.problem, self.folds, self.settings, self.largest_C = problem, folds, settings, largest_C
        self.notes: list[str] = []  # warnings of heads that met their tolerance
        self._stacked: StackedPath | None = None
        self._solutions: dict[tuple[int, float], HeadSolution] = {}

    def path(self, folds: Sequence[int], Cs: Sequence[float], l1_ratio: float) -> list[list[HeadFit]]:
        """Fit some folds at all strengths.

        Parameters
        ----------
        folds : sequence of int
            Which ones.
        Cs : sequence of float
            Rising, without repetitions.
        l1_ratio : float
            Share of the L1 penalty.

        Returns
        -------
        list of list of HeadFit
            By strength, and then by fold.
        """
        if not self._stacks(l1_ratio):
            paths = [self._one_by_one(fold, Cs, l1_ratio, None) for fold in folds]
            return [list(heads) for heads in zip(*paths, strict=True)]
        finite = [C for C in Cs if not math.isinf(C)]
        with self._threads():
            solved = self._stack().fit(folds, finite) if finite else []
        self._solutions |= {
            (fold, C): head
            for C, heads in zip(finite, solved, strict=True)
            for fold, head in zip(folds, heads, strict=True)
        }
        fits = [[self._from_stack(solution) for solution in heads] for heads in solved]
        if len(finite) < len(Cs):
            last = fits[-1] if fits else [None] * len(folds)
            fits.append([self._one_by_one(fold, Cs[-1:], 0.0, near)[0] for fold, near in zip(folds, last, strict=True)])
        return fits

    def whole(self, C: float, l1_ratio: float, near: Sequence[HeadFit]) -> HeadFit:
        """Fit all samples at one strength.

        Parameters
        ----------
        C, l1_ratio : float
            The strength.
        near : sequence of HeadFit
            The folds' fits at this strength; it begins at their mean.

        Returns
        -------
        HeadFit
            Of the fold that leaves nothing out.
        """
        fold = self.folds.whole
        solutions = [self._solutions[other, C] for other in range(fold) if (other, C) in self._solutions]
        if solutions and l1_ratio == 0.0:
            with self._threads():
                return self._from_stack(self._stack().fit_one(fold, C, solutions))
        return self._one_by_one(fold, [C], l1_ratio, mean_params(near))[0]

    def _stacks(self, l1_ratio: float) -> bool:
        """Tell whether stacks suit."""
        dense = not is_sparse(self.problem.linear.X) and self.problem.n_features <= _MOST_FEATURES
        named = isinstance(self.settings.solver, str) and self.settings.solver in _STACKED_SOLVERS
        return dense and named and l1_ratio == 0.0 and self.settings.memory_budget is None

    def _stack(self) -> StackedPath:
        """Return what fits stacks; its copy of the data is made once."""
        if self._stacked is None:
            problem, settings = self.problem, self.settings
            objective = StackedObjective(
                problem.linear,
                len(problem.classes),
                self.folds.plan(problem.backend, problem.dtype),
                fit_intercept=settings.fit_intercept,
                smallest_l2=problem.reciprocal_total / self.largest_C,
            )
            self._stacked = StackedPath(
                objective, tol=settings.tol, max_iter=settings.max_iter, stopping=settings.stopping
            )
        return self._stacked

    def _threads(self) -> AbstractContextManager[Any]:
        """Keep to one thread where a pass is so short that starting others takes longer."""
        problem = self.problem
        work = 4.0 * problem.linear.X.shape[0] * problem.n_features * len(problem.classes)
        return single_threaded_products() if problem.backend.name == "cpu" and work < _SMALL_PASS else nullcontext()

    def _from_stack(self, solution: HeadSolution) -> HeadFit:
        """Bring a solution to the coordinates of the user."""
        data = self._stack().objective.data
        xp = array_namespace(solution.point)
        weight = (solution.point[:, : data.n_features] / data.scale).T
        bias = xp.asarray(solution.point[:, -1], copy=True) if data.fit_intercept else None
        return HeadFit(LinearParams(weight, bias), solution.certificate, solution.status, solution.n_iter)

    def _one_by_one(
        self, fold: int, Cs: Sequence[float], l1_ratio: float, near: HeadFit | LinearParams | None
    ) -> list[HeadFit]:
        """Fit one fold along its path, each strength from the one before."""
        problem, full = self.problem, self.problem.linear
        if fold != self.folds.whole:
            targets = fold_targets(full.targets, self.folds.counts[fold], problem.backend, problem.dtype)
            problem = problem._replace(linear=replace(full, targets=targets))
        problem = counting(problem)  # once for the whole path
        start = near.params if isinstance(near, HeadFit) else near
        fits = []
        for C in Cs:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                parts = fit_convex(problem, replace(self.settings, C=C, l1_ratio=l1_ratio), start, lambda _row: False)
            if parts.status == Status.INTERRUPTED:  # there is no grid without the other heads
                raise KeyboardInterrupt
            if parts.status not in _MISSED and caught:
                self.notes.append(str(caught[0].message))
            start = parts.params
            fits.append(HeadFit(start, parts.certificate, Status(parts.status), parts.n_iter))
        return fits


def mean_params(fits: Sequence[HeadFit]) -> LinearParams:
    """Return the mean of the parameters of some heads.

    Parameters
    ----------
    fits : sequence of HeadFit
        At least one.

    Returns
    -------
    LinearParams
        Fresh arrays.
    """
    xp = array_namespace(fits[0].params.weight)
    weight = xp.mean(xp.stack([fit.params.weight for fit in fits]), axis=0)
    biases = [fit.params.bias for fit in fits if fit.params.bias is not None]
    return LinearParams(weight, xp.mean(xp.stack(biases), axis=0) if biases else None)


def warn_of_heads(fits: Sequence[HeadFit], notes: Sequence[str], *, stacklevel: int = 3) -> None:
    """Give scikit-learn's warning, once, if some heads missed their tolerance, or have no optimum.

    Parameters
    ----------
    fits : sequence of HeadFit
        All of them.
    notes : sequence of str
        What was said of others.
    stacklevel : int, default=3
        As in :func:`warnings.warn`.
    """
    missed = [fit.status for fit in fits if fit.status in _MISSED]
    if missed:
        advice = max(set(missed), key=missed.count).message
        msg = f"{len(missed)} of {len(fits)} fits did not converge. {advice}"
        warnings.warn(msg, NotConvergedWarning, stacklevel=stacklevel)
    elif notes:
        warnings.warn(f"Of {len(notes)} of {len(fits)} fits: {notes[0]}", NotConvergedWarning, stacklevel=stacklevel)
