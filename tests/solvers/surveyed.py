# SPDX-License-Identifier: BSD-3-Clause
"""The objective of a problem, with a curvature that offers what the proximal solver likes to have."""

__all__ = ["make_surveyed"]

from typing import Any

from softmax_xp.objectives import ConvexObjective, curvature
from softmax_xp.objectives.surrogate import hessian_of_rows, surrogate_of_rows
from tests.objectives.convex_reference import Problem, make


class _Curvature:
    """A curvature of the package, and the two methods that it may lack."""

    def __init__(self, objective: ConvexObjective, point: Any) -> None:
        self.objective = objective
        self.whole = curvature.LinearCurvature(objective, point)

    def surrogate(self) -> Any:
        with self.objective.backend.scope():
            return surrogate_of_rows(self.objective, self.whole._probabilities, self.whole.axis)

    def hessian(self, entries: Any) -> Any:
        with self.objective.backend.scope():
            return hessian_of_rows(self.objective, self.whole._probabilities, self.whole.axis, entries)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)


def make_surveyed(problem: Problem, backend: Any, dtype: str = "float64", X: Any = None) -> ConvexObjective:
    """Build the package's objective."""
    objective = make(problem, backend, dtype, X=X)
    if not hasattr(curvature.LinearCurvature, "surrogate"):
        objective.curvature = lambda point: _Curvature(objective, point)
    return objective
