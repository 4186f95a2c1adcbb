# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.typing import LinearParams
from tests.distributed.problems import linear_over, serially

pytest.importorskip("cloudpickle", reason="Dask is not installed")


@pytest.mark.parametrize("shard_rows", [1, 130, 1500])
def test_sums_are_those_of_an_objective_in_memory(tmp_path, shard_rows):
    linear = linear_over(tmp_path, dtype=np.float64, n_samples=400)
    params = LinearParams(np.random.default_rng(0).standard_normal((6, 4)), np.zeros(4))
    value, gradient = linear.value_and_gradient(params)
    there, slope = serially(linear, shard_rows).value_and_gradient(params)
    assert there == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(slope.weight, gradient.weight, atol=1e-15)
    np.testing.assert_allclose(slope.bias, gradient.bias, atol=1e-15)


def test_the_float_of_the_fit_is_kept(tmp_path):
    params = LinearParams(np.zeros((6, 4), dtype=np.float32), np.zeros(4, dtype=np.float32))
    value, (weight, bias) = serially(linear_over(tmp_path)).value_and_gradient(params)
    assert (value.dtype, weight.dtype, bias.dtype) == (np.float64, np.float32, np.float32)
