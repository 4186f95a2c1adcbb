# SPDX-License-Identifier: BSD-3-Clause
"""Value and gradient of a full batch: of 10 classes against one read of X, of 1000 against the two bare products."""

__all__ = ["TOLERANCES", "measure_large", "measure_small", "objective_on", "torch_gradient"]

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import softmax_xp as sx
from benchmarks.gpu_arrays import (
    copies,
    fill_with_nan,
    from_torch,
    random_array,
    random_labels,
    relative_error,
    to_torch,
)
from benchmarks.gpu_bench import Bench, Shape
from benchmarks.gpu_ceilings import products
from benchmarks.gpu_clock import Timed
from benchmarks.gpu_report import figure
from benchmarks.gpu_settings import kernels, precision, precisions
from benchmarks.report import milliseconds
from softmax_xp.objectives import LinearObjective
from softmax_xp.typing import LinearParams

# Relative to the largest entry; TF32 keeps 10 bits of each factor, bfloat16 7 bits of each result.
TOLERANCES = {"float32": 1e-4, "tf32": 5e-3, "bfloat16": 2e-2}


def objective_on(X: Any, y: Any, n_classes: int) -> LinearObjective:
    """Return the mean cross-entropy over these rows, without a penalty."""
    loss = sx.CrossEntropy()
    return LinearObjective(X, loss.prepare(y, n_classes, dtype=X.dtype), loss, None, X.dtype)


def torch_gradient(bench: Bench, Xs: Sequence[Any], W: Any, y: Any, *, compiled: bool) -> Callable[[], Any]:
    """Return PyTorch's value and gradient with respect to the weight, rotating through the copies of X."""
    torch = bench.torch
    weight = torch.clone(to_torch(bench, W)).requires_grad_()
    labels, rotation = to_torch(bench, y), cycle([to_torch(bench, X) for X in Xs])

    def mean_loss(X: Any, weight: Any) -> Any:
        return torch.nn.functional.cross_entropy(X @ weight, labels)

    loss_of = torch.compile(mean_loss, dynamic=False) if compiled else mean_loss

    def call() -> Any:
        weight.grad = None
        loss_of(next(rotation), weight).backward()
        return weight.grad

    return call


def measure_small(bench: Bench) -> None:
    """Time a full batch of few classes, which should cost little more than reading X."""
    shape = bench.sizes.small
    bench.title(f"Full batch of few classes: {_text(shape)} float32")
    Xs, W, y = _data(bench, shape)
    timed = _race(bench, Xs, W, y, "float32", compiled=False)
    bandwidth = bench.measured.get("copy_bandwidth")
    read = None if bandwidth is None else 4e-12 * shape[0] * shape[1] / bandwidth
    if read is None:
        bench.note("one read of X: not known, as the copy was not timed")
    else:
        bench.measured["small_read"] = read * 1e3
        cells = {"who": "one read of X", "host": "-", "device": milliseconds(read)}
        bench.add(cells, who="one read of X", device_seconds=read)
    _add_small(bench, timed, read)
    if bench.torch is not None and bench.may_compile():
        _add_small(bench, _race(bench, Xs, W, y, "float32", compiled=True), read)
    bench.note("host: what a caller waits for, call after call; device: the same work queued without a gap")
    bench.note("the target is held against the host's time, the longer of the two")


def _add_small(bench: Bench, timed: dict[str, Timed], read: float | None) -> None:
    """Add a line for each contestant."""
    for name, times in timed.items():
        cells = {"who": name, "host": milliseconds(times.host), "device": _device(times)}
        if read is not None:
            cells["host / read"] = figure(times.host / read)
            cells["device / read"] = "-" if times.device is None else figure(times.device / read)
        bench.add(cells, who=name, host_seconds=times.host, device_seconds=times.device)
        if name == "ours":
            bench.measured["small_ours"] = times.host * 1e3
            if read is not None:
                bench.measured["small_ratio"] = times.host / read
        elif name == "ours without kernels":
            bench.measured["small_kernels_off"] = times.host * 1e3


def measure_large(bench: Bench) -> None:
    """Time a full batch of 1000 classes in each precision, and extrapolate it to the rows of ImageNet."""
    shape, rows = bench.sizes.large, bench.sizes.large_rows
    bench.title(f"Full batch of many classes: {_text(shape)}, extrapolated to {rows} rows")
    Xs, W, y = _data(bench, shape)
    for kind in precisions(bench):
        _add_large(bench, kind, _race(bench, Xs, W, y, kind, compiled=False, with_products=True))
    if bench.torch is not None and bench.may_compile():
        for kind in precisions(bench):
            _add_large(bench, kind, _race(bench, Xs, W, y, kind, compiled=True))
    bench.note("products: X @ W and X.T @ G alone, in the same library and precision")


def _add_large(bench: Bench, kind: str, timed: dict[str, Timed]) -> None:
    """Add a line for each contestant, extrapolated linearly: a pass is the same work for each row."""
    factor = bench.sizes.large_rows / bench.sizes.large[0]
    keys = {
        "products": "products",
        "ours": "ours",
        "ours without kernels": "kernels_off",
        "PyTorch eager": "torch_eager",
        "PyTorch compiled": "torch_compiled",
    }
    for name, times in timed.items():
        bench.measured[f"large_{keys[name]}_{kind}"] = times.host * factor * 1e3
        floor = bench.measured.get(f"large_products_{kind}")
        cells = {"precision": kind, "who": name, "host": milliseconds(times.host), "device": _device(times)}
        cells["extrapolated"] = milliseconds(times.host * factor)
        if floor is not None:
            ratio = times.host * factor * 1e3 / floor
            cells["over the products"] = figure(ratio)
            if name == "ours":
                bench.measured[f"large_ratio_{kind}"] = ratio
        bench.add(cells, who=name, kind=kind, host_seconds=times.host, device_seconds=times.device)


def _data(bench: Bench, shape: Shape) -> tuple[list[Any], Any, Any]:
    """Return X in copies that no cache holds, a weight whose logits are of order 1, and labels."""
    n_samples, n_features, n_classes = shape
    X = random_array(bench, n_samples, n_features)
    W = random_array(bench, n_features, n_classes, scale=n_features**-0.5, shift=1)
    return copies(bench, X), W, random_labels(bench, n_samples, n_classes)


def _race(
    bench: Bench, Xs: list[Any], W: Any, y: Any, kind: str, *, compiled: bool, with_products: bool = False
) -> dict[str, Timed]:
    """Let those race who compute the same gradient as ours without kernels, which is the definition."""
    if compiled:
        bench.torch.compiler.reset()  # it compiles one function for 8 shapes at most, and then falls back to eager
    with precision(bench, kind):
        calls = _peers(bench, Xs, W, y, compiled=True) if compiled else _contestants(bench, Xs, W, y)
        expected = bench.attempt("the definition", _definition, bench, Xs[0], W, y)
        if expected is None:
            return {}
        running: dict[str, Callable[[], Any]] = {}
        for name, call in calls.items():
            error = bench.attempt(name, _first_error, bench, call, expected)
            if error is not None and error <= TOLERANCES[kind]:
                running[name] = call
            elif error is not None:
                bench.note(f"{name}, {kind}: WRONG, relative difference {error:.1e}; not timed")
                if name == "ours":
                    bench.wrong.add(bench.table.name)
        if with_products:
            G = random_array(bench, Xs[0].shape[0], W.shape[1], shift=2)
            both, rotation = products, cycle(Xs)
            running = {"products": lambda: [call() for call in both(next(rotation), W, G).values()]} | running
        return bench.attempt(f"race in {kind}", bench.clock.race, running) or {}


def _contestants(bench: Bench, Xs: list[Any], W: Any, y: Any) -> dict[str, Callable[[], Any]]:
    """Return what needs no compiler; each call returns the gradient with respect to the weight."""
    n_classes, params = W.shape[1], LinearParams(W, None)
    objectives = cycle([objective_on(X, y, n_classes) for X in Xs])

    def ours(*, enabled: bool) -> Any:
        with kernels(enabled=enabled):
            return next(objectives).value_and_gradient(params)[1].weight

    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(enabled=True),
        "ours without kernels": lambda: ours(enabled=False),
    }
    return calls | _peers(bench, Xs, W, y, compiled=False)


def _peers(bench: Bench, Xs: list[Any], W: Any, y: Any, *, compiled: bool) -> dict[str, Callable[[], Any]]:
    """Return PyTorch's contestant, if there is one."""
    if bench.peers() is None:
        return {}
    name = "PyTorch compiled" if compiled else "PyTorch eager"
    call = bench.attempt(name, torch_gradient, bench, Xs, W, y, compiled=compiled)
    return {} if call is None else {name: call}


def _definition(bench: Bench, X: Any, W: Any, y: Any) -> Any:
    """Return the gradient by the Array API alone, to be compared in float64."""
    with kernels(enabled=False):
        gradient = objective_on(X, y, W.shape[1]).value_and_gradient(LinearParams(W, None))[1]
    return bench.xp.astype(gradient.weight, bench.xp.float64)


def _first_error(bench: Bench, call: Callable[[], Any], expected: Any) -> float:
    """Call once on memory full of NaN."""
    fill_with_nan(bench, tuple(expected.shape), tuple(expected.shape))
    gradient = call()
    if bench.torch is not None and isinstance(gradient, bench.torch.Tensor):
        gradient = from_torch(bench, gradient)
    return relative_error(bench, gradient, expected)


def _device(times: Timed) -> str:
    return "-" if times.device is None else milliseconds(times.device)


def _text(shape: Shape) -> str:
    return " x ".join(map(str, shape))
