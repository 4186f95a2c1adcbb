# SPDX-License-Identifier: BSD-3-Clause
"""One small softmax problem, and the way that our optimizers, PyTorch's and Optax's go on it.

The reference walks 200 steps down the problem; ours is given the gradients that the reference met. With gradients of
its own it would show less: where the averages of squared gradients are small, Adam and its kin enlarge a difference
in the last bit of the parameters some ten thousand times.
"""

__all__ = ["assert_follows_optax", "assert_follows_torch", "our_trajectory"]

import numpy as np
import pytest

from softmax_xp.optimizers import apply_updates
from softmax_xp.typing import LinearParams

N_STEPS = 200
_RNG = np.random.default_rng(20261122)
# Columns of very different size, so that the adaptive rules have something to adapt to.
_X = _RNG.standard_normal((40, 6)) * np.asarray([3.0, 1.0, 1.0, 0.3, 0.1, 0.01]) + 0.2
_TARGETS = np.eye(4)[_RNG.integers(0, 4, size=40)]
START = LinearParams(0.5 * _RNG.standard_normal((6, 4)), 0.1 * _RNG.standard_normal(4))


def cast(params, dtype):
    return LinearParams(*[np.asarray(array, dtype=dtype) for array in params])


def gradient(params):
    """The gradient of the mean cross entropy, in the dtype of the parameters."""
    X, targets = _X.astype(params.weight.dtype), _TARGETS.astype(params.weight.dtype)
    logits = X @ params.weight + params.bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    residuals = exponentials / exponentials.sum(axis=1, keepdims=True) - targets
    return LinearParams(X.T @ residuals / len(X), residuals.mean(axis=0))


def our_trajectory(optimizer, grads=None, dtype="float64"):
    """The parameters after each step, on the given gradients or on our own."""
    params = cast(START, dtype)
    state = optimizer.init(params)
    trajectory = []
    for step in range(N_STEPS):
        updates, state = optimizer.update(gradient(params) if grads is None else grads[step], state, params)
        params = apply_updates(params, updates)
        trajectory.append(params)
    assert state.count == N_STEPS
    return trajectory


def assert_follows_torch(optimizer, make, *, learning_rate=None):
    """Compare whole trajectories; `make(torch.optim, tensors)` gives PyTorch's optimizer."""
    for dtype, rtol, atol in (("float64", 1e-12, 1e-14), ("float32", 1e-5, 1e-5)):
        theirs, grads = _torch_trajectory(make, dtype, learning_rate)
        _assert_same(our_trajectory(optimizer, grads, dtype), theirs, rtol, atol)


def assert_follows_optax(optimizer, make):
    """Compare whole trajectories in float64; `make(optax)` gives Optax's transformation."""
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    if not jax.config.jax_enable_x64:
        pytest.skip("JAX was imported without float64; tests/conftest.py sets JAX_ENABLE_X64")
    reference = make(optax)
    params = LinearParams(*[jax.numpy.asarray(array) for array in START])
    state = reference.init(params)
    theirs, grads = [], []
    for _ in range(N_STEPS):
        grads.append(gradient(LinearParams(*[np.asarray(array) for array in params])))
        updates, state = reference.update(LinearParams(*map(jax.numpy.asarray, grads[-1])), state, params)
        params = optax.apply_updates(params, updates)
        theirs.append(LinearParams(*[np.asarray(array) for array in params]))
    _assert_same(our_trajectory(optimizer, grads), theirs, 1e-12, 1e-14)


def _torch_trajectory(make, dtype, learning_rate):
    torch = pytest.importorskip("torch")
    default_dtype = torch.get_default_dtype()
    try:
        # NAdam keeps its product of momenta in the default dtype, whatever the dtype of the parameters.
        torch.set_default_dtype(torch.float64)
        return _torch_steps(torch, make, dtype, learning_rate)
    finally:
        torch.set_default_dtype(default_dtype)


def _torch_steps(torch, make, dtype, learning_rate):
    tensors = [torch.nn.Parameter(torch.from_numpy(array.copy())) for array in cast(START, dtype)]
    reference = make(torch.optim, tensors)
    trajectory, grads = [], []
    for step in range(N_STEPS):
        grads.append(gradient(LinearParams(*[tensor.detach().numpy() for tensor in tensors])))
        for tensor, grad in zip(tensors, grads[-1], strict=True):
            tensor.grad = torch.from_numpy(grad.copy())
        if learning_rate is not None:
            reference.param_groups[0]["lr"] = learning_rate(step)
        reference.step()
        trajectory.append(LinearParams(*[tensor.detach().numpy().copy() for tensor in tensors]))
    return trajectory, grads


def _assert_same(ours, theirs, rtol, atol):
    # Otherwise nothing would have been compared: the rule must have gone somewhere.
    assert np.max(np.abs(theirs[-1].weight - START.weight)) > 1e-3
    for our_params, their_params in zip(ours, theirs, strict=True):
        for our_array, their_array in zip(our_params, their_params, strict=True):
            assert our_array.dtype == their_array.dtype
            np.testing.assert_allclose(our_array, their_array, rtol=rtol, atol=atol)
