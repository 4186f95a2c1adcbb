# SPDX-License-Identifier: BSD-3-Clause
"""The shared averages and the weight decay."""

import numpy as np

from softmax_xp.optimizers.moments import add_weight_decay, average_gradient, average_squared_gradient
from softmax_xp.typing import LinearParams

RNG = np.random.default_rng(3)
GRAD, MU, NU = RNG.standard_normal(50), RNG.standard_normal(50), RNG.random(50)


def test_averages_are_their_formulas():
    np.testing.assert_allclose(average_gradient(GRAD, MU, 0.7), 0.7 * MU + 0.3 * GRAD, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(average_squared_gradient(GRAD, NU, 0.7), 0.7 * NU + 0.3 * GRAD**2, rtol=1e-14)


def test_the_second_moment_never_falls_below_zero():
    nu = np.asarray([1e-3, 1e-300, 1.0], dtype="float32")
    grad = np.asarray([0.0, 1e-30, 1e-8], dtype="float32")
    for decay in (0.0, 1e-9, 0.5, 0.999):
        assert np.all(average_squared_gradient(grad, nu, decay) >= 0.0)


def test_weight_decay_adds_a_share_of_the_parameters():
    decayed = add_weight_decay(LinearParams(GRAD), LinearParams(MU), 0.25)
    np.testing.assert_allclose(decayed.weight, GRAD + 0.25 * MU, rtol=1e-14, atol=1e-15)
    assert decayed.bias is None


def test_no_weight_decay_costs_nothing():
    assert add_weight_decay(GRAD, MU, 0.0) is GRAD
