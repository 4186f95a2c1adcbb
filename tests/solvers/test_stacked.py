# SPDX-License-Identifier: BSD-3-Clause
"""Each head of a stack ends where its own fit ends."""

import numpy as np
import pytest

from softmax_xp.solvers.stacked import StackedNewton
from tests.backends import load
from tests.objectives.convex_reference import gap, minimum
from tests.objectives.stacked_problem import CASES, HEADS, coefficients, dense, stacked


@pytest.mark.parametrize("name", CASES)
def test_heads_end_at_the_minima_of_their_own_problems(name):
    _assert_minima(CASES[name], load("numpy"), HEADS)


def test_heads_end_at_their_minima_on_each_backend(backend):
    """Two heads, of which one ends first: JAX compiles each operation for each number of heads that are left."""
    _assert_minima(CASES["softmax, all weights; folds"], backend, HEADS[:2])


def _assert_minima(case, backend, heads):
    objective = stacked(case, backend)
    stack = objective.stack(heads)
    solutions = StackedNewton(objective).solve(stack, objective.zeros(stack), tol=1e-12, max_iter=100)
    for head, solution in zip(heads, solutions, strict=True):
        exact = dense(case, head, kind=np.longdouble)
        optimum = minimum(dense(case, head)).astype(np.longdouble)
        at = coefficients(objective, backend, solution.point).astype(np.longdouble)
        assert solution.status == "certified"
        assert gap(exact, at, optimum) <= solution.certificate.bound <= 1e-12
