# SPDX-License-Identifier: BSD-3-Clause
"""The inverse by Cholesky's factor is the inverse."""

import numpy as np
import pytest

from softmax_xp.ops.definite import definite_inverse, inverse_of_sums, jitter_of_sums


@pytest.mark.parametrize("size", [1, 2, 64, 65, 130, 257])
def test_times_the_matrix_it_is_the_identity(size, backend):
    rng = np.random.default_rng(size)
    root = rng.standard_normal((size, size + 5))
    matrix = root @ root.T / size + 0.1 * np.eye(size)
    inverse = backend.to_numpy(definite_inverse(backend.asarray(matrix)))
    np.testing.assert_allclose(inverse @ matrix, np.eye(size), atol=1e-10)
    np.testing.assert_allclose(inverse, np.linalg.inv(matrix), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_definite_where_the_general_inverse_need_not_be(dtype, backend):
    scale = np.exp(np.linspace(0.0, 9.0, 100))
    rng = np.random.default_rng(1)
    vectors, _ = np.linalg.qr(rng.standard_normal((100, 100)))
    matrix = ((vectors * scale) @ vectors.T).astype(dtype)
    inverse = backend.to_numpy(definite_inverse(backend.asarray(matrix)))
    assert inverse.dtype == dtype
    assert np.linalg.eigvalsh(inverse.astype(float))[0] > 0
    np.testing.assert_allclose(inverse, inverse.T, rtol=1e-4 if dtype == "float32" else 1e-12)


def test_an_indefinite_matrix_is_inverted_too(backend):
    matrix = np.diag(np.concatenate([np.ones(99), [-1.0]]))
    inverse = backend.to_numpy(definite_inverse(backend.asarray(matrix)))
    np.testing.assert_allclose(inverse, matrix, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_any_scale_are_inverted_to_the_rounding_of_their_float(dtype, backend):
    if dtype == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    rng = np.random.default_rng(2)
    rows, scale = rng.standard_normal((400, 70)), 10.0 ** rng.uniform(-8.0, 8.0, 70)
    sums = (rows.T @ rows * scale[:, None] * scale).astype(dtype)
    jitter = jitter_of_sums(70, getattr(backend.xp, dtype), backend.xp)
    inverse = backend.to_numpy(inverse_of_sums(backend.asarray(sums), jitter)).astype(float)
    product = (inverse * scale[:, None] * scale) @ (rows.T @ rows)
    np.testing.assert_allclose(product, np.eye(70), atol=1e-3 if dtype == "float32" else 1e-8)


def test_what_rounding_made_indefinite_has_an_inverse_that_is_definite_to_rounding():
    rows = np.random.default_rng(3).standard_normal((50, 1)) @ np.ones((1, 300))  # one direction
    sums = (rows.T @ rows).astype("float32")
    assert np.linalg.eigvalsh(sums.astype(float))[0] < 0
    inverse = inverse_of_sums(sums, jitter_of_sums(300, np.dtype("float32"), np))
    sizes = np.linalg.eigvalsh(inverse.astype(float))
    assert sizes[0] > -1e-7 * sizes[-1]
