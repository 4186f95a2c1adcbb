# SPDX-License-Identifier: BSD-3-Clause
"""Each head of a stack ends where its own fit ends."""

import numpy as np

from softmax_xp.solvers import SOLVERS, minimise
from softmax_xp.solvers.stacked import StackedNewton
from tests.objectives.stacked_problem import HEADS, single, stacked


def test_heads_equal_single_fits():
    objective = stacked()
    stack = objective.stack(HEADS)
    solutions = StackedNewton(objective).solve(
        stack, objective.zeros(stack), tol=1e-12, max_iter=100, stopping="certificate"
    )
    for number, (head, solution) in enumerate(zip(HEADS, solutions, strict=True)):
        own, _ = single(head, objective.zeros(stack), number, objective)
        best = minimise(SOLVERS["newton-cholesky"], own, own.start(), tol=1e-13, max_iter=50).certified
        np.testing.assert_allclose(solution.certificate.value, best.certificate.value, rtol=1e-11)
        assert solution.certificate.bound <= 1e-12
