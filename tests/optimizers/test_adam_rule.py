# SPDX-License-Identifier: BSD-3-Clause
"""The step of Adam, against the formula of the paper, written out."""

import numpy as np
import pytest

from softmax_xp.optimizers.adam_rule import adam_init, adam_update


@pytest.mark.parametrize("amsgrad", [False, True])
def test_is_the_papers_formula(amsgrad):
    rng = np.random.default_rng(1)
    b1, b2, eps, rate = 0.7, 0.8, 0.3, 0.25
    state = adam_init(np.zeros(5), amsgrad=amsgrad)
    mu = nu = nu_max = np.zeros(5)
    for count in range(1, 12):
        grad = rng.standard_normal(5) * 0.5**count
        updates, state = adam_update(grad, state, rate=rate, b1=b1, b2=b2, eps=eps, amsgrad=amsgrad)
        mu, nu = b1 * mu + (1 - b1) * grad, b2 * nu + (1 - b2) * grad**2
        nu_max = np.maximum(nu_max, nu) if amsgrad else nu
        expected = -rate * (mu / (1 - b1**count)) / (np.sqrt(nu_max / (1 - b2**count)) + eps)
        np.testing.assert_allclose(updates, expected, rtol=1e-13)
        np.testing.assert_allclose(state.mu, mu, rtol=1e-13)
        np.testing.assert_allclose(state.nu, nu, rtol=1e-13)
    assert state.count == 11
    assert (state.nu_max is not None) is amsgrad
