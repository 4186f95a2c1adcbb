# SPDX-License-Identifier: BSD-3-Clause
"""The bounds of heads against their optima."""

from softmax_xp.solvers import SOLVERS, minimise
from softmax_xp.solvers.stacked import StackedNewton
from tests.objectives.stacked_problem import HEADS, single, stacked


def test_bounds_hold_and_are_reached():
    objective = stacked()
    stack = objective.stack(HEADS)
    solver = StackedNewton(objective)
    solutions = solver.solve(stack, objective.zeros(stack), tol=1e-3, max_iter=100, stopping="certificate")
    for number, (head, solution) in enumerate(zip(HEADS, solutions, strict=True)):
        own, _ = single(head, objective.zeros(stack), number, objective)
        optimum = minimise(SOLVERS["newton-cholesky"], own, own.start(), tol=1e-13, max_iter=50).certified.certificate
        gap = solution.certificate.value - optimum.value
        assert gap <= solution.certificate.bound + 1e-13
        assert solution.certificate.bound <= 1e-3
