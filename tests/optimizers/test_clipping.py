# SPDX-License-Identifier: BSD-3-Clause
"""Gradient clipping against PyTorch's, on every backend."""

import pickle

import array_api_compat
import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import ClipByGlobalNorm, ClipByValue, Clipping
from softmax_xp.typing import LinearParams

GRADS = LinearParams(np.random.default_rng(5).standard_normal((7, 3)), np.asarray([5.0, -3.0, 0.0]))
CLIPPINGS = [ClipByGlobalNorm(0.5), ClipByGlobalNorm(5.0), ClipByGlobalNorm(100.0), ClipByValue(0.5)]


def torch_clips(clipping, grads):
    torch = pytest.importorskip("torch")
    tensors = [torch.nn.Parameter(torch.zeros(array.shape, dtype=torch.float64)) for array in grads]
    for tensor, grad in zip(tensors, grads, strict=True):
        tensor.grad = torch.from_numpy(grad.copy())
    if isinstance(clipping, ClipByValue):
        torch.nn.utils.clip_grad_value_(tensors, clipping.limit)
    else:
        torch.nn.utils.clip_grad_norm_(tensors, clipping.max_norm)
    return [tensor.grad.numpy() for tensor in tensors]


@pytest.mark.parametrize("clipping", CLIPPINGS, ids=repr)
def test_clips_as_torch_does(clipping):
    for ours, theirs in zip(clipping.apply(GRADS), torch_clips(clipping, GRADS), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)


@pytest.mark.parametrize("clipping", CLIPPINGS, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clips_alike_on_every_backend(backend, clipping, dtype):
    if dtype == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    host = LinearParams(*[array.astype(dtype) for array in GRADS])
    grads = LinearParams(*[backend.asarray(array) for array in host])
    clipped = clipping.apply(grads)
    assert type(clipped) is LinearParams
    for ours, expected in zip(clipped, clipping.apply(host), strict=True):
        assert array_api_compat.device(ours) == backend.device
        assert backend.to_numpy(ours).dtype == dtype
        np.testing.assert_allclose(backend.to_numpy(ours), expected, rtol=1e-5 if dtype == "float32" else 1e-12)
    for grad, original in zip(grads, host, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(grad), original)


def test_the_norm_is_that_of_all_gradients_together():
    clipped = ClipByGlobalNorm(1.0).apply((np.asarray([30.0]), None, np.asarray([-40.0])))
    np.testing.assert_allclose(clipped[0], [0.6], rtol=1e-6)
    assert clipped[1] is None
    np.testing.assert_allclose(clipped[2], [-0.8], rtol=1e-6)


def test_small_gradients_pass_unchanged():
    grads = np.asarray([3.0, 4.0])
    np.testing.assert_array_equal(ClipByGlobalNorm(5.1).apply(grads), grads)
    np.testing.assert_array_equal(ClipByGlobalNorm(1.0).apply(np.zeros(3)), np.zeros(3))


def test_they_print_compare_and_pickle():
    for clipping in CLIPPINGS:
        assert isinstance(clipping, Clipping)
        assert pickle.loads(pickle.dumps(clipping)) == clipping
    assert repr(ClipByValue(1)) == "ClipByValue(limit=1.0)"
    assert ClipByGlobalNorm(1) != ClipByGlobalNorm(2)


@pytest.mark.parametrize(
    ("make", "value", "error", "message"),
    [
        (ClipByGlobalNorm, 0.0, InvalidValueError, r"`max_norm` must be a finite number above 0; got 0.0"),
        (ClipByGlobalNorm, "1", InvalidTypeError, r"`max_norm` must be a number; got '1' of type str"),
        (ClipByValue, -1.0, InvalidValueError, r"`limit` must be a finite number above 0; got -1.0"),
        (ClipByValue, None, InvalidTypeError, r"`limit` must be a number; got None of type NoneType"),
    ],
)
def test_refuses_limits_that_make_no_sense(make, value, error, message):
    with pytest.raises(error, match=message):
        make(value)
