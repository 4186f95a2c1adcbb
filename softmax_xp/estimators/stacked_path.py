# SPDX-License-Identifier: BSD-3-Clause
"""The paths of several folds along ``C``, as stacks of heads.

Optimal coefficients change smoothly with ``log(C)``, nearly along straight lines where the data are separable. So the
values of ``C`` are not fitted in their order, each from the one before, but:

1. *Nodes*, a factor of at most 4 apart, one after the other. All folds of a node are one stack. It begins where the
   parabola through the last three nodes points.
2. What lies between two neighbouring nodes, as one stack. It begins on the cubic through the nearest four nodes, which
   is so near to the optimum that most heads need one iteration or none.

A start that is worse than the neighbour's solution, as the curve through ill-determined nodes may be, gives way to
that.
"""

__all__ = ["StackedPath", "path_groups"]

from collections.abc import Sequence
from itertools import pairwise
from math import log
from typing import Any

import numpy as np

from softmax_xp.backend import to_host
from softmax_xp.objectives.stacked import StackedObjective
from softmax_xp.objectives.stacked_heads import Head
from softmax_xp.solvers.stacked import HeadSolution, StackedNewton
from softmax_xp.typing import Array

_NODE_RATIO = 4.0
_NODES_BEFORE, _NODES_AROUND = 3, 4
# A stack between two nodes has at most this many columns of logits: wider ones are no faster, and need more memory.
_WIDEST = 1024


def path_groups(Cs: Sequence[float], n_columns: int) -> list[tuple[list[int], bool]]:
    """Say which values of ``C`` are fitted together, and in which order.

    Parameters
    ----------
    Cs : sequence of float
        Rising and finite.
    n_columns : int
        Columns of logits that each value has, over all folds.

    Returns
    -------
    list of (list of int, bool)
        Positions in `Cs`, and whether they are nodes. Nodes come first, one by one.
    """
    nodes = [0]
    while nodes[-1] < len(Cs) - 1:
        following = nodes[-1] + 1
        while following + 1 < len(Cs) and Cs[following + 1] <= _NODE_RATIO * Cs[nodes[-1]]:
            following += 1
        nodes.append(following)
    groups = [([node], True) for node in nodes]
    step = max(_WIDEST // max(n_columns, 1), 1)
    for left, right in pairwise(nodes):
        inner = list(range(left + 1, right))
        groups += [(inner[start : start + step], False) for start in range(0, len(inner), step)]
    return groups


class StackedPath:
    """Fits heads of some folds along ``C``.

    Parameters
    ----------
    objective : StackedObjective
        The data.
    tol : float
        How good is good enough.
    max_iter : int
        The most iterations of a head.
    stopping : {"certificate", "gradient"}
        What `tol` bounds.
    """

    def __init__(self, objective: StackedObjective, *, tol: float, max_iter: int, stopping: str) -> None:
        self.objective, self.solver = objective, StackedNewton(objective)
        self.tol, self.max_iter, self.stopping = tol, max_iter, stopping
        self.totals = objective.data.fold_totals()

    def head(self, fold: int, C: float) -> Head:
        """Return the head of a fold and a strength.

        Parameters
        ----------
        fold : int
            Which one.
        C : float
            scikit-learn's, thus beside the sum of the losses.

        Returns
        -------
        Head
            With the strength beside their mean.
        """
        return Head(fold, 1.0 / (float(C) * self.totals[fold]))

    def fit(self, folds: Sequence[int], Cs: Sequence[float]) -> list[list[HeadSolution]]:
        """Fit each fold at each value of ``C``.

        Parameters
        ----------
        folds : sequence of int
            Which ones.
        Cs : sequence of float
            Rising and finite.

        Returns
        -------
        list of list of HeadSolution
            By value, and then by fold.
        """
        solved: dict[int, tuple[Array, list[HeadSolution]]] = {}
        nodes: list[int] = []
        for group, is_node in path_groups(Cs, len(folds) * self.objective.data.n_columns):
            heads = [self.head(fold, Cs[position]) for position in group for fold in folds]
            start, fallback, limits = self._start(heads, group, Cs, nodes, solved, is_node=is_node)
            stack = self.objective.stack(heads)
            solutions = self.solver.solve(
                stack,
                start,
                tol=self.tol,
                max_iter=self.max_iter,
                stopping=self.stopping,
                fallback=fallback,
                limits=limits,
            )
            for place, position in enumerate(group):
                mine = solutions[place * len(folds) : (place + 1) * len(folds)]
                points = self.objective.data.backend.xp.stack([solution.point for solution in mine], axis=1)
                solved[position] = points, mine
            if is_node:
                nodes += group
        return [solved[position][1] for position in range(len(Cs))]

    def fit_one(self, fold: int, C: float, near: Sequence[HeadSolution]) -> HeadSolution:
        """Fit one head, from the mean of others.

        Parameters
        ----------
        fold : int
            Which fold.
        C : float
            Which strength.
        near : sequence of HeadSolution
            Of other folds at this strength.

        Returns
        -------
        HeadSolution
            Of this head.
        """
        stack = self.objective.stack([self.head(fold, C)])
        xp = self.objective.data.backend.xp
        start = xp.mean(xp.stack([solution.point for solution in near], axis=0), axis=0)[:, None, :]
        return self.solver.solve(stack, start, tol=self.tol, max_iter=self.max_iter, stopping=self.stopping)[0]

    def _start(
        self,
        heads: Sequence[Head],
        group: Sequence[int],
        Cs: Sequence[float],
        nodes: Sequence[int],
        solved: dict[int, tuple[Array, list[HeadSolution]]],
        *,
        is_node: bool,
    ) -> tuple[Array, Array | None, list[float] | None]:
        """Return where a stack begins, where else it may, and what it must not exceed to begin there."""
        if not nodes:
            return self.objective.zeros(self.objective.stack(heads)), None, None
        xp = self.objective.data.backend.xp
        starts, fallbacks, limits = [], [], list[float]()
        for position in group:
            if is_node:
                near, at = list(nodes[-_NODES_BEFORE:]), self._clamped(position, Cs, nodes)
            else:
                near = sorted(nodes, key=lambda node: abs(log(Cs[node] / Cs[position])))[:_NODES_AROUND]
                at = log(Cs[position])
            closest = min(near, key=lambda node: abs(log(Cs[node] / Cs[position])))
            starts.append(_interpolated([solved[node][0] for node in near], [log(Cs[node]) for node in near], at))
            points, solutions = solved[closest]
            fallbacks.append(points)
            limits += self._values_at(points, solutions, Cs[closest], Cs[position], heads)
        return xp.concat(starts, axis=1), xp.concat(fallbacks, axis=1), limits

    def _clamped(self, position: int, Cs: Sequence[float], nodes: Sequence[int]) -> float:
        """Return how far to extrapolate: no further than what the last two nodes are apart, and a half."""
        if len(nodes) < 2:
            return log(Cs[position])
        last, before = log(Cs[nodes[-1]]), log(Cs[nodes[-2]])
        return min(log(Cs[position]), last + 1.5 * (last - before))

    def _values_at(
        self, points: Array, solutions: Sequence[HeadSolution], C: float, other: float, heads: Sequence[Head]
    ) -> list[float]:
        """Return the objectives of solutions at another strength, which takes no pass."""
        data = self.objective.data
        xp = data.backend.xp
        weights = points[:, :, : data.n_features] / data.scale
        squares = to_host(xp.sum(weights * weights, axis=(0, 2))).tolist()
        folds = [head.fold for head in heads[: len(solutions)]]
        return [
            solution.certificate.value + 0.5 * square * (1.0 / other - 1.0 / C) / self.totals[fold]
            for solution, square, fold in zip(solutions, squares, folds, strict=True)
        ]


def _interpolated(values: Sequence[Any], places: Sequence[float], at: float) -> Any:
    """Return the value at a place of the polynomial through some values."""
    total = None
    for number, value in enumerate(values):
        others = [place for other, place in enumerate(places) if other != number]
        weight = float(np.prod([(at - place) / (places[number] - place) for place in others]))
        total = weight * value if total is None else total + weight * value
    return total
