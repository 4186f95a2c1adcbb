# SPDX-License-Identifier: BSD-3-Clause
"""The penalty beside the loss: whole or part by part, without arrays of the size of the weights."""

import tracemalloc

import numpy as np
import pytest

from softmax_xp.backend import backend_of
from softmax_xp.objectives.penalised import add_penalty, penalised_gradient
from softmax_xp.penalties import L2, ElasticNet
from softmax_xp.typing import LinearParams


class _PenaltyOnBias:
    """A penalty whose gradient has a bias, unlike L2's."""

    def gradient(self, params):
        return LinearParams(params.weight * 2, params.bias * 3)


def test_a_penaltys_gradient_is_added_where_it_has_one():
    def gradient():
        return LinearParams(np.ones((2, 2)), np.ones(2))

    params = LinearParams(np.full((2, 2), 5.0), np.full(2, 7.0))
    given = gradient()
    assert penalised_gradient(given, None, params) is given
    weight, bias = penalised_gradient(given, L2(0.1), params)
    np.testing.assert_allclose(weight, 1.5)
    assert weight is given.weight  # no third array of that size
    assert bias is given.bias
    weight, bias = penalised_gradient(gradient(), _PenaltyOnBias(), params)
    np.testing.assert_array_equal(weight, 11.0)
    np.testing.assert_array_equal(bias, 22.0)
    assert penalised_gradient(LinearParams(np.ones((2, 2))), _PenaltyOnBias(), params).bias is None
    np.testing.assert_array_equal(params.weight, 5.0)


@pytest.mark.parametrize("penalty", [None, L2(0.5), ElasticNet(0.5, 0.3)])
@pytest.mark.parametrize("shape", [(3, 2), (70_001, 3), (2, 70_000)])
def test_value_and_gradient_are_those_of_the_whole(backend, penalty, shape):
    random = np.random.default_rng(0)
    weight = random.standard_normal(shape).astype("float32")
    params = LinearParams(backend.asarray(weight), backend.asarray(np.ones(shape[1], "float32")))
    loss = random.standard_normal(shape).astype("float32")
    # Fresh arrays, which may be written to, unlike those of a caller.
    gradient = LinearParams(+backend.asarray(loss), +backend.asarray(np.zeros(shape[1], "float32")))
    value = backend.asarray(np.asarray(1.5, "float32"))
    total, (added, bias) = add_penalty(value, gradient, penalty, params, backend_of(params.weight))
    exact = LinearParams(weight.astype("float64"))
    expected = 1.5 if penalty is None else 1.5 + penalty.value(exact)
    of_penalty = 0.0 if penalty is None else penalty.gradient(exact).weight
    np.testing.assert_allclose(backend.to_numpy(total), expected, rtol=1e-5)
    np.testing.assert_allclose(backend.to_numpy(added), loss + of_penalty, rtol=1e-5, atol=1e-6)
    assert not backend.to_numpy(bias).any()
    np.testing.assert_array_equal(backend.to_numpy(params.weight), weight)


def test_no_array_of_the_size_of_the_weights_is_made():
    params, gradient = (LinearParams(np.ones((100_000, 10))) for _ in range(2))
    tracemalloc.start()
    add_penalty(np.asarray(0.0), gradient, L2(0.5), params, backend_of(params.weight))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < params.weight.nbytes / 4
    np.testing.assert_array_equal(gradient.weight, 1.5)
