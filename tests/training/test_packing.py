# SPDX-License-Identifier: BSD-3-Clause
"""Weight and bias as one array."""

import numpy as np
import pytest

from softmax_xp.training.packing import pack, unpack
from softmax_xp.typing import LinearParams


@pytest.mark.parametrize("bias", [True, False])
def test_it_comes_back_as_it_was(backend, bias):
    weight, offset = np.arange(6.0).reshape(3, 2), np.array([7.0, 8.0])
    packed = pack(LinearParams(backend.asarray(weight), backend.asarray(offset) if bias else None))
    assert packed.shape == (3 + bias, 2)
    params = unpack(packed, bias=bias)
    np.testing.assert_array_equal(backend.to_numpy(params.weight), weight)
    if bias:
        np.testing.assert_array_equal(backend.to_numpy(params.bias), offset)
    else:
        assert params.bias is None


def test_unpacking_copies_nothing():
    packed = np.zeros((4, 2))
    assert all(np.shares_memory(part, packed) for part in unpack(packed, bias=True))
