# SPDX-License-Identifier: BSD-3-Clause
"""The optimizer's update alone: Adam on the weights of small and of large class counts.

The fewest bytes are those of four arrays read (weight, gradient and two moments) and three written.
"""

__all__ = ["fused_update", "measure_update"]

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

import softmax_xp as sx
from benchmarks.gpu_arrays import random_array, to_torch
from benchmarks.gpu_bench import Bench
from benchmarks.gpu_report import figure
from benchmarks.report import milliseconds
from softmax_xp.optimizers import apply_updates

_ARRAYS = 7


def measure_update(bench: Bench) -> None:
    """Time Adam on packed weights of each shape."""
    bench.title("The update alone: Adam in float32")
    for _, n_features, n_classes in (bench.sizes.small, bench.sizes.large, bench.sizes.many):
        shape = (n_features + 1, n_classes)
        calls = _contestants(bench, shape)
        timed = bench.attempt(f"{shape}", bench.clock.race, calls) or {}
        for name, times in timed.items():
            rate = _ARRAYS * 4 * shape[0] * shape[1] / times.best / 1e12
            cells = {"shape": f"{shape[0]} x {shape[1]}", "who": name, "host": milliseconds(times.host)}
            cells["device"] = "-" if times.device is None else milliseconds(times.device)
            cells["rate"] = f"{figure(rate)} TB/s"
            bench.add(cells, who=name, shape=shape, host_seconds=times.host, device_seconds=times.device)
        del calls
        bench.release()
    bench.note("rate: of seven arrays, the fewest; where they fit a cache it says nothing about memory")


def _contestants(bench: Bench, shape: tuple[int, int]) -> dict[str, Callable[[], Any]]:
    """Return who takes part."""
    params, grads = random_array(bench, *shape), random_array(bench, *shape, scale=1e-3, shift=1)
    calls: dict[str, Callable[[], Any]] = {"ours, pure": _pure_update(params, grads)}
    fused = bench.attempt("ours, fused", fused_update, bench, params, grads)
    if fused is not None:
        calls["ours, fused"] = fused
    if bench.peers() is not None:
        for name, options in {"PyTorch fused": {"fused": True}, "PyTorch foreach": {"foreach": True}}.items():
            calls[name] = _torch_update(bench, params, grads, options)
    return calls


def _pure_update(params: Any, grads: Any) -> Callable[[], Any]:
    """Return the definition: new arrays for everything."""
    optimizer = sx.Adam(1e-3)
    carry = [params, optimizer.init(params)]

    def call() -> None:
        updates, carry[1] = optimizer.update(grads, carry[1], carry[0])
        carry[0] = apply_updates(carry[0], updates)

    return call


def fused_update(bench: Bench, params: Any, grads: Any) -> Callable[[], Any]:
    """Return one fused step, each from where the last one ended, after a check against the definition."""
    xp, optimizer = bench.xp, sx.Adam(1e-3)
    update = importlib.import_module("softmax_xp.kernels.cuda.update").update
    state = optimizer.init(params)
    rule: Any = optimizer.fused_rule(state)  # type: ignore[attr-defined]
    carry = [params, (state.mu, state.nu)]
    scalars = bench.backend.put(np.asarray([rule.scalars], dtype=np.float32))  # a row for each step

    def call() -> None:
        carry[:] = update(rule.name, carry[0], grads, carry[1], scalars)

    call()
    expected = apply_updates(params, optimizer.update(grads, state, params)[0])
    error = float(xp.max(xp.abs(carry[0] - expected)))
    assert error < 1e-5, f"computes something else: difference {error:.1e}"
    return call


def _torch_update(bench: Bench, params: Any, grads: Any, options: dict[str, bool]) -> Callable[[], Any]:
    """Return a step of PyTorch's Adam."""
    parameter = bench.torch.nn.Parameter(bench.torch.clone(to_torch(bench, params)))
    parameter.grad = bench.torch.clone(to_torch(bench, grads))
    step: Callable[[], Any] = bench.torch.optim.Adam([parameter], lr=1e-3, **options).step
    return step
