# SPDX-License-Identifier: BSD-3-Clause
"""The parts that the softmax family shares. The functions themselves are in tests/contracts/test_softmax.py."""

import numpy as np

from softmax_xp.devices import get_backend
from softmax_xp.ops.softmax import shifted_exponentials


def test_the_parts_are_what_their_names_say(backend):
    x = np.array([[1.0, 3.0, 3.0], [-2.0, -2.5, -800.0]], "float32")
    parts = shifted_exponentials(backend.asarray(x))
    maximum, shifted, exponentials, total = (backend.to_numpy(part) for part in parts)
    np.testing.assert_array_equal(maximum, [[3.0], [-2.0]])
    np.testing.assert_array_equal(shifted, x - maximum)
    np.testing.assert_allclose(exponentials, np.exp(shifted), rtol=1e-6, atol=1e-44)
    np.testing.assert_allclose(total, np.sum(exponentials, axis=1, keepdims=True), rtol=1e-6)
    assert np.all(total >= 1)


def test_the_parts_are_fresh(backend):
    x = backend.asarray(np.array([[0.0, 0.0]], "float32"))
    parts = shifted_exponentials(x, axis=0)
    if backend.name.startswith("numpy"):
        assert not any(np.shares_memory(part, x) for part in parts[1:])
    assert [tuple(part.shape) for part in parts] == [(1, 2)] * 4


def test_a_row_without_a_finite_maximum_is_nan_but_for_its_maximum(backend):
    x = np.array([[np.inf, 0.0], [-np.inf, -np.inf], [np.nan, 0.0], [-np.inf, 0.0]], "float32")
    with get_backend("cpu").scope():
        parts = shifted_exponentials(backend.asarray(x))
    np.testing.assert_array_equal(backend.to_numpy(parts.maximum), [[np.inf], [-np.inf], [np.nan], [0.0]])
    assert np.all(np.isnan(backend.to_numpy(parts.total)[:3]))
    np.testing.assert_array_equal(backend.to_numpy(parts.exponentials)[3], [0.0, 1.0])
