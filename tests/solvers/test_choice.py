# SPDX-License-Identifier: BSD-3-Clause
"""Which solver "auto" is."""

import numpy as np
import pytest

from softmax_xp.solvers import SOLVERS, choose_solver
from tests.solvers.toy import Quadratic


class Sized(Quadratic):
    """An objective that has a size and nothing else."""

    def __init__(self, *shape, l1=None):
        super().__init__()
        self.size, self.l1 = shape, l1

    @property
    def shape(self):
        return self.size


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 1), "newton-cholesky"), ((5, 3), "newton-cholesky"), ((65, 10), "lbfgs"), ((785, 10), "lbfgs")],
)
def test_few_coefficients_get_exact_newton_steps(shape, expected):
    assert choose_solver(Sized(*shape)) == expected


@pytest.mark.parametrize("shape", [(3, 1), (785, 10)])
def test_an_absolute_value_needs_the_proximal_solver(shape):
    assert choose_solver(Sized(*shape, l1=np.ones((shape[0], 1)))) == "proximal"


def test_what_is_chosen_is_in_the_table():
    chosen = {choose_solver(Sized(2**power, 3, l1=l1)) for power in range(12) for l1 in (None, np.ones((1, 1)))}
    assert chosen <= SOLVERS.keys()
