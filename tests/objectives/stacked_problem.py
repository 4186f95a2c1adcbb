# SPDX-License-Identifier: BSD-3-Clause
"""Heads over folds of one problem, and each head's own problem by its definition."""

__all__ = ["CASES", "COUNTS", "HEADS", "Case", "coefficients", "dense", "draw", "points", "stacked"]

from typing import Any, NamedTuple

import numpy as np

from softmax_xp.estimators.folds import Folds
from softmax_xp.objectives.stacked import StackedObjective
from softmax_xp.objectives.stacked_heads import Head
from tests.objectives.convex_problems import PROBLEMS, coefficients_for
from tests.objectives.convex_reference import Dense, Problem, lift, make

HEADS = (Head(0, 0.03), Head(2, 0.5), Head(1, 0.03), Head(0, 2.0), Head(3, 0.1))

_N_SAMPLES = len(PROBLEMS["softmax"].X)
_FOLD = np.arange(_N_SAMPLES) % 3
_BOOTSTRAP = np.random.default_rng(3).integers(0, 3, (3, _N_SAMPLES))
_EVERYONE = np.ones((1, _N_SAMPLES), dtype=np.int64)

# How often each fold trains on each sample; the last one trains on all of them.
COUNTS = {
    "folds": np.concatenate([(_FOLD[None, :] != np.arange(3)[:, None]).astype(np.int64), _EVERYONE]),
    "neighbours": np.concatenate([(np.sort(_FOLD)[None, :] != np.arange(3)[:, None]).astype(np.int64), _EVERYONE]),
    "bootstrap": np.concatenate([_BOOTSTRAP, _EVERYONE]),
}


class Case(NamedTuple):
    """A problem and its folds."""

    problem: Problem
    counts: np.ndarray


CASES = {
    f"{name}; {kind}": Case(problem, COUNTS[kind])
    for name, problem in PROBLEMS.items()
    if not problem.l1 and problem.l2
    for kind in (COUNTS if name in {"softmax", "logistic, all weights"} else ("folds",))
}


def stacked(case: Case, backend: Any, dtype: str = "float64") -> StackedObjective:
    """Build the package's objective on a backend of tests/backends.py."""
    linear = make(case.problem.but(l2=0.0), backend, dtype).linear
    plan = Folds(case.counts, ()).plan(linear.backend, linear.dtype)
    return StackedObjective(
        linear, case.problem.n_classes, plan, fit_intercept=case.problem.fit_intercept, smallest_l2=0.03
    )


def dense(case: Case, head: Head, dtype: str = "float64", kind: Any = np.float64) -> Dense:
    """Return one head's own problem."""
    weight = 1.0 if case.problem.sample_weight is None else case.problem.sample_weight
    return lift(case.problem.but(sample_weight=case.counts[head.fold] * weight, l2=head.l2), dtype, kind)


def points(objective: StackedObjective, backend: Any, drawn: list[np.ndarray], dtype: str = "float64") -> Any:
    """Bring coefficients, (n_rows, n_columns) of each head, to the objective's coordinates."""
    scale = np.ones(objective.data.n_rows)
    scale[: objective.data.n_features] = backend.to_numpy(objective.data.scale)
    return backend.asarray(np.stack([(each * scale[:, None]).T for each in drawn], axis=1).astype(dtype))


def coefficients(objective: StackedObjective, backend: Any, point: Any) -> np.ndarray:
    """Return the coefficients, (n_rows, n_columns), of one head's point."""
    scale = np.ones(objective.data.n_rows)
    scale[: objective.data.n_features] = backend.to_numpy(objective.data.scale)
    return (backend.to_numpy(point) / scale).T


def draw(case: Case, *, size: float = 1.0) -> list[np.ndarray]:
    """Draw coefficients for each of HEADS."""
    return [coefficients_for(case.problem, seed=number, size=size) for number in range(len(HEADS))]
