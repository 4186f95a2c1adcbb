# SPDX-License-Identifier: BSD-3-Clause
"""The size of each feature, as a power of two."""

import numpy as np
import pytest

from softmax_xp.backend import backend_of
from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import LinearObjective
from softmax_xp.objectives.scaling import feature_scale

SIZES = np.asarray([1e30, 1e-30, 1e6, 1.0, 7e-4, 0.0, 3.0])
RNG = np.random.default_rng(71)
X = RNG.standard_normal((25, SIZES.size)) * SIZES
X[:, 3] = -np.abs(X[:, 3])  # all of one sign


def linear_of(backend, dtype, data=X):
    kind = getattr(backend.xp, dtype)
    targets = CrossEntropy().prepare(backend.asarray(np.arange(len(data)) % 2), 2, dtype=kind)
    return LinearObjective(backend.asarray(data), targets, CrossEntropy(), None, kind)


@pytest.fixture(params=["float32", "float64"])
def dtype(request, backend):
    if request.param == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    return request.param


@pytest.mark.parametrize("rows", [6, 1000])
def test_is_the_power_of_two_next_to_the_largest_entry(backend, dtype, in_chunks, rows):
    in_chunks(rows)
    linear = linear_of(backend, dtype, X.astype(dtype))
    scale = feature_scale(linear, 0.0)
    assert backend_of(scale) == linear.backend
    assert tuple(scale.shape) == (SIZES.size, 1)
    scale = backend.to_numpy(scale)
    assert str(scale.dtype) == dtype
    mantissa, _ = np.frexp(scale)
    np.testing.assert_array_equal(mantissa, 0.5)
    largest = np.max(np.abs(X), axis=0)
    share = largest[largest > 0] / scale[largest > 0, 0]
    assert np.all((share > 0.7) & (share < 1.42))
    assert scale[5, 0] == 1.0


def test_a_feature_smaller_than_the_penalty_is_as_large_as_that():
    from tests.backends import load

    scale = feature_scale(linear_of(load("numpy"), "float64"), 0.0625)
    np.testing.assert_array_equal(scale[[1, 4, 5], 0], 0.25)
    assert scale[0, 0] > 1e29


def test_integers_have_a_size_too():
    from tests.backends import load

    data = np.asarray([[0, -100], [3, 90]], dtype=np.int8)
    np.testing.assert_array_equal(feature_scale(linear_of(load("numpy"), "float32", data), 0.0), [[4.0], [128.0]])
