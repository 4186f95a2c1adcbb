# SPDX-License-Identifier: BSD-3-Clause
"""What the device can do at best: a copy, matrix products at the shapes that count, and the cost of a call."""

__all__ = ["measure_call_cost", "measure_ceilings", "products"]

import importlib
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.gpu_arrays import random_array, random_labels, to_torch
from benchmarks.gpu_bench import Bench, Shape
from benchmarks.gpu_report import figure
from benchmarks.gpu_settings import precision, precisions
from benchmarks.report import milliseconds

# Rows of the 250,000-class product: its logits would fill a device otherwise.
_MOST_LOGITS = 1 << 30
_CALLS = 400


def measure_ceilings(bench: Bench) -> None:
    """Time a copy, and products in each precision."""
    bench.title("Ceilings: a copy and bare matrix products")
    bench.attempt("copy", _copy, bench)
    sizes = bench.sizes
    shapes = {
        "square": (sizes.square,) * 3,
        "1000 classes": sizes.large,
        "10 classes": sizes.small,
        "250000 classes": (min(sizes.many[0], _MOST_LOGITS // sizes.many[2]), *sizes.many[1:]),
    }
    for name, shape in shapes.items():
        bench.attempt(name, _products, bench, name, shape)
        bench.release()


def products(X: Any, W: Any, G: Any) -> dict[str, Callable[[], Any]]:
    """Return the two matrix products that a gradient cannot do without."""
    return {"X @ W": lambda: X @ W, "X.T @ G": lambda: X.T @ G}


def _copy(bench: Bench) -> None:
    """Copy an array far larger than any cache."""
    source = random_array(bench, bench.sizes.copy_numbers)
    seconds = bench.clock.race({"copy": lambda: bench.xp.asarray(source, copy=True)})["copy"].best
    bandwidth = 2 * 4 * source.shape[0] / seconds / 1e12
    bench.measured["copy_bandwidth"] = bandwidth
    cells = {"what": "copy", "size": f"{4 * source.shape[0] / 1e9:.3g} GB", "time": milliseconds(seconds)}
    bench.add(cells | {"rate": f"{figure(bandwidth)} TB/s"}, what="copy", seconds=seconds, bandwidth=bandwidth)


def _products(bench: Bench, name: str, shape: Shape) -> None:
    """Time both products of a shape in each precision."""
    n_samples, n_features, n_classes = shape
    X, W = random_array(bench, n_samples, n_features), random_array(bench, n_features, n_classes, shift=1)
    G = random_array(bench, n_samples, n_classes, shift=2)
    for kind in precisions(bench):
        with precision(bench, kind):
            _add_products(bench, name, shape, kind, products(X, W, G))
    if not bench.is_cuda or bench.peers() is None:
        bench.note("bfloat16 products: skipped, they are timed through PyTorch on a CUDA device")
        return
    # Through PyTorch: CuPy has bfloat16 only with ml_dtypes, and both call the same library.
    half = [to_torch(bench, array).to(bench.torch.bfloat16) for array in (X, W, G)]
    _add_products(bench, name, shape, "bfloat16", products(*half))


def _add_products(bench: Bench, name: str, shape: Shape, kind: str, calls: dict[str, Callable[[], Any]]) -> None:
    """Add a line for each product."""
    n_samples, n_features, n_classes = shape
    operations = 2 * n_samples * n_features * n_classes
    timed = bench.clock.race(calls, rounds=3)
    for what, times in timed.items():
        rate = operations / times.best / 1e12
        size = f"{n_samples} x {n_features} x {n_classes}"
        cells = {"what": f"{name}: {what}, {kind}", "size": size, "time": milliseconds(times.best)}
        bench.add(cells | {"rate": f"{figure(rate)} TFLOP/s"}, what=what, kind=kind, shape=shape, seconds=times.best)
    if name == "square":
        bench.measured[f"gemm_{kind}"] = operations / timed["X @ W"].best / 1e12


def measure_call_cost(bench: Bench) -> None:
    """Time calls on arrays so small that the processor is the one who works."""
    bench.title("What one call costs the processor")
    xp = bench.xp
    x, y = random_array(bench, 1024), random_array(bench, 1024, shift=7)
    X, W = random_array(bench, 128, 784), random_array(bench, 784, 10, shift=7)
    index = random_labels(bench, 128, 1024)
    calls: dict[str, Callable[[], Any]] = {
        "x + y": lambda: x + y,
        "X @ W": lambda: X @ W,
        "sum": lambda: xp.sum(X, axis=1),
        "take": lambda: xp.take(x, index, axis=0),
    }
    if bench.uses_cupy:
        kernel = importlib.import_module("cupy").ElementwiseKernel("float32 x", "float32 z", "z = x + 1", "add_one")
        calls["ElementwiseKernel with an output"] = lambda: kernel(x, y)
    if bench.peers() is not None:
        add, tensors = bench.torch.add, (to_torch(bench, x), to_torch(bench, random_array(bench, 1024, shift=9)))
        calls["PyTorch: add"] = lambda: add(*tensors)
    for name, call in calls.items():
        seconds = bench.attempt(name, _processor_seconds, bench, call)
        if seconds is not None:
            bench.add({"call": name, "time": milliseconds(seconds)}, call=name, seconds=seconds)
            if name == "x + y" and bench.uses_cupy:
                bench.measured["call_cost"] = seconds * 1e6


def _processor_seconds(bench: Bench, call: Callable[[], Any]) -> float:
    """Time calls without waiting for what they started; fewer of them than a queue holds."""
    seconds = []
    for _ in range(1 + bench.sizes.effort.rounds):
        bench.clock.synchronise()
        start = perf_counter()
        for _ in range(_CALLS):
            call()
        seconds.append((perf_counter() - start) / _CALLS)
    return median(seconds[1:])
