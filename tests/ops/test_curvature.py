# SPDX-License-Identifier: BSD-3-Clause
"""Sigmoid, curvature and relative entropy, against many digits. What losses make of them is in tests/losses."""

import math

import mpmath
import numpy as np
import pytest

from softmax_xp.ops.curvature import (
    relative_entropy_terms,
    sigmoid_and_complement,
    softmax_curvature_product,
)

SMALLEST = {"float32": 2.0**-126, "float64": 2.0**-1022}  # normal numbers; JAX flushes smaller ones to 0


@pytest.fixture(params=["float32", "float64"])
def dtype(request, backend):
    if request.param == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    return request.param


def exact_term(q, p):
    """Return q * log(q / p) - q + p of the floats themselves."""
    with mpmath.workdps(60):
        q, p = mpmath.mpf(float(q)), mpmath.mpf(float(p))
        return float((q * mpmath.log(q / p) if q else 0) - q + p)


def test_both_sides_of_a_sigmoid_keep_their_digits(backend, dtype):
    z = np.array([0.0, 1e-3, 0.3, 1.0, 5.0, 17.0, 40.0, 80.0] + [300.0, 700.0] * (dtype == "float64"), dtype)
    z = np.concatenate([-z, z])
    parts = [backend.to_numpy(part) for part in sigmoid_and_complement(backend.asarray(z))]
    with mpmath.workdps(400):
        expected = [
            [float(1 / (1 + mpmath.exp(-mpmath.mpf(float(x))))) for x in z],
            [float(1 / (1 + mpmath.exp(mpmath.mpf(float(x))))) for x in z],
            [float(mpmath.log1p(mpmath.exp(-abs(mpmath.mpf(float(x)))))) for x in z],
        ]
    for part, reference in zip(parts, expected, strict=True):
        assert part.dtype == dtype
        np.testing.assert_allclose(part, reference, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("huge", [1e30, math.inf])
def test_a_sigmoid_of_huge_logits_is_certain(backend, dtype, huge):
    huge = huge if dtype == "float32" else huge * 1e270
    p, complement, tail = sigmoid_and_complement(backend.asarray(np.array([huge, -huge], dtype)))
    np.testing.assert_array_equal(backend.to_numpy(p), [1.0, 0.0])
    np.testing.assert_array_equal(backend.to_numpy(complement), [0.0, 1.0])
    np.testing.assert_array_equal(backend.to_numpy(tail), 0.0)


def test_a_sigmoid_hides_no_nan(backend, dtype):
    for part in sigmoid_and_complement(backend.asarray(np.array([np.nan], dtype))):
        assert np.isnan(backend.to_numpy(part)[0])


@pytest.mark.parametrize("axis", [-1, 0])
def test_the_curvature_is_that_matrix(backend, dtype, axis):
    rng = np.random.default_rng(31)
    p, direction = rng.dirichlet(np.ones(4), 6), rng.standard_normal((6, 4))
    expected = np.stack([(np.diag(row) - np.outer(row, row)) @ d for row, d in zip(p, direction, strict=True)])
    put = [backend.asarray((a.T if axis == 0 else a).astype(dtype)) for a in (p, direction)]
    product = backend.to_numpy(softmax_curvature_product(*put, axis=axis))
    tolerance = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(product if axis == -1 else product.T, expected, rtol=tolerance, atol=tolerance)


def test_relative_entropy_has_its_digits_at_every_distance(backend, dtype):
    rng = np.random.default_rng(32)
    eps = np.finfo(dtype).eps
    p = np.exp(rng.uniform(np.log(1e-20), 0.0, 2000)).astype(dtype)
    ratio = 1.0 + rng.choice([-1, 1], 2000) * np.exp(rng.uniform(np.log(2 * eps), np.log(0.999), 2000))
    ratio[::5] = np.exp(rng.uniform(-40.0, 5.0, 400))
    ratio[1::5] = rng.uniform(0.7, 1.4, 400)  # about the place where the two formulas meet
    q = (p * ratio).astype(dtype)
    got = backend.to_numpy(relative_entropy_terms(*(backend.asarray(array) for array in (q, p, (q - p).astype(dtype)))))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, [exact_term(*pair) for pair in zip(q, p, strict=True)], rtol=60 * eps)
    assert np.all(got[q != p] > 0)


def test_relative_entropy_of_equals_is_zero(backend, dtype):
    p = backend.asarray(np.array([0.0, SMALLEST[dtype], 1e-9, 0.3, 1.0], dtype))
    np.testing.assert_array_equal(backend.to_numpy(relative_entropy_terms(p, p, p - p)), 0.0)


def test_relative_entropy_of_nothing_is_what_it_left(backend, dtype):
    p = backend.asarray(np.array([SMALLEST[dtype], 1e-9, 0.3, 1.0], dtype))
    q = backend.asarray(np.zeros(4, dtype))
    np.testing.assert_array_equal(backend.to_numpy(relative_entropy_terms(q, p, q - p)), backend.to_numpy(p))


def test_relative_entropy_to_nothing_is_infinite_unless_the_logarithm_is_known(backend, dtype):
    p, q = backend.asarray(np.zeros(2, dtype)), backend.asarray(np.array([0.0, 0.25], dtype))
    np.testing.assert_array_equal(backend.to_numpy(relative_entropy_terms(q, p, q - p)), [0.0, math.inf])
    log_p = backend.asarray(np.array([-2000.0, -2000.0], dtype))
    got = backend.to_numpy(relative_entropy_terms(q, p, q - p, log_p))
    np.testing.assert_allclose(got, [0.0, 0.25 * (math.log(0.25) + 2000.0) - 0.25], rtol=1e-6)


def test_relative_entropy_of_tiny_probabilities_neither_overflows_nor_falls_below_zero(backend, dtype):
    if backend.name == "jax":
        pytest.skip("JAX flushes what is below the normal numbers to 0")
    tiny = float(np.finfo(dtype).smallest_subnormal)
    q = np.array([1.0, tiny, 1.0, 3 * tiny, tiny, 0.0], dtype)
    p = np.array([tiny, 1.0, SMALLEST[dtype], tiny, 3 * tiny, tiny], dtype)
    got = backend.to_numpy(relative_entropy_terms(*(backend.asarray(array) for array in (q, p, q - p))))
    assert np.all(got >= 0)
    np.testing.assert_allclose(got[:3], [exact_term(*pair) for pair in zip(q[:3], p[:3], strict=True)], rtol=1e-6)


@pytest.mark.parametrize("place", [0, 1])
def test_relative_entropy_hides_no_nan(backend, dtype, place):
    arrays = [np.array([0.5], dtype), np.array([0.5], dtype)]
    arrays[place] = np.array([np.nan], dtype)
    q, p = (backend.asarray(array) for array in arrays)
    assert np.isnan(backend.to_numpy(relative_entropy_terms(q, p, q - p))[0])
