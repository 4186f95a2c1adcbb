# SPDX-License-Identifier: BSD-3-Clause
"""The linear model's products in both layouts, and how data are cut."""

import numpy as np
import pytest

from softmax_xp.backend import Backend, Capabilities, backend_of
from softmax_xp.ops.linear import along_axis, chunk_rows, class_axis, linear_logits, params_gradient, row_slices
from softmax_xp.typing import LinearParams

RNG = np.random.default_rng(41)
X, WEIGHT, BIAS = RNG.standard_normal((7, 4)), RNG.standard_normal((4, 3)), RNG.standard_normal(3)
ACCELERATOR = Backend("test", None, None, Capabilities(default_float="float32", row_chunks=False))
CPU = Backend("test", None, None, Capabilities())


@pytest.mark.parametrize("bias", [None, BIAS])
def test_logits(backend, bias):
    params = LinearParams(
        backend.asarray(WEIGHT.astype("float32")), None if bias is None else backend.asarray(bias.astype("float32"))
    )
    logits = linear_logits(params, backend.asarray(X.astype("float32")))
    assert logits.dtype == backend.xp.float32
    np.testing.assert_allclose(
        backend.to_numpy(logits), X @ WEIGHT + (0 if bias is None else bias), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("bias", [True, False])
def test_the_gradient_goes_back_through_the_products(backend, axis, bias):
    gradient = RNG.standard_normal((7, 3)).astype("float32")
    laid_out = backend.asarray(gradient if axis == -1 else np.ascontiguousarray(gradient.T))
    record = params_gradient(laid_out, backend.asarray(X.astype("float32")), bias=bias, axis=axis)
    np.testing.assert_allclose(backend.to_numpy(record.weight), X.T @ gradient, rtol=1e-4, atol=1e-5)
    if bias:
        np.testing.assert_allclose(backend.to_numpy(record.bias), np.sum(gradient, axis=0), rtol=1e-4, atol=1e-5)
    else:
        assert record.bias is None


def test_along_axis(backend):
    logits = backend.asarray(X)
    assert along_axis(logits, -1) is logits
    turned = along_axis(logits, 0)
    np.testing.assert_array_equal(backend.to_numpy(turned), X.T)
    if backend.name.startswith("numpy"):
        assert turned.flags.c_contiguous


@pytest.mark.parametrize(("n_samples", "rows"), [(0, 3), (1, 3), (3, 3), (10, 3), (10, 100), (9, 1)])
def test_slices_cover_every_row_once_and_in_order(n_samples, rows):
    covered = [row for part in row_slices(n_samples, rows) for row in range(n_samples)[part]]
    assert covered == list(range(n_samples))
    assert all(0 < part.stop - part.start <= rows for part in row_slices(n_samples, rows))


def test_few_classes_come_first_on_a_cpu_only(backend):
    here = backend_of(backend.asarray(X))
    assert class_axis(10, CPU) == 0
    assert class_axis(100_000, CPU) == -1
    assert class_axis(10, ACCELERATOR) == -1
    assert class_axis(10, here) == (0 if here.capabilities.row_chunks else -1)


def test_chunks_fit_the_cache_and_are_never_tiny():
    for n_features, n_classes in ((784, 10), (4, 3), (2048, 1000), (100_000, 2)):
        rows = chunk_rows(n_features, n_classes, 4, CPU)
        assert rows >= 512
        assert rows == 512 or (rows * n_classes * 4 <= 1 << 21 and rows * n_features * 4 <= 1 << 23)
    assert chunk_rows(784, 10, 4, ACCELERATOR) > chunk_rows(784, 10, 4, CPU)
    assert chunk_rows(10**7, 10**5, 4, ACCELERATOR) == 512
