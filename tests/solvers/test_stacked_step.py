# SPDX-License-Identifier: BSD-3-Clause
"""What the steps of a stack are made of."""

import numpy as np

from softmax_xp.solvers.stacked_step import dots, replaced, taken


def test_products_are_those_of_each_head():
    left, right = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    np.testing.assert_allclose(dots(left, right), np.einsum("chr,chr->h", left, right), rtol=1e-12)


def test_taken_heads_go_back_to_their_places():
    values = np.arange(8.0).reshape(2, 4, 1)
    some = taken(values, [1, 3])
    np.testing.assert_array_equal(some, values[:, [1, 3]])
    expected = values.copy()
    expected[:, [1, 3]] *= 10
    np.testing.assert_array_equal(replaced(values, some * 10, {1: 0, 3: 1}), expected)
