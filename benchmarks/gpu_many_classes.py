# SPDX-License-Identifier: BSD-3-Clause
"""250,000 classes: value and gradient of some rows within 8 GiB, against the rate of the bare products.

The limit is set on CuPy's memory pool, so it holds for everything: rows, weight, gradient, and whatever the
computation needs. Where that is not enough, the same is timed without a limit, and the peak says how much it took.
"""

__all__ = ["LIMIT_BYTES", "PoolPeak", "measure_many"]

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

from benchmarks.gpu_arrays import random_array, random_labels
from benchmarks.gpu_bench import Bench, Shape
from benchmarks.gpu_ceilings import products
from benchmarks.gpu_clock import Timed
from benchmarks.gpu_full_batch import objective_on
from benchmarks.gpu_report import figure
from benchmarks.gpu_settings import kernels, precision, precisions
from benchmarks.report import milliseconds
from softmax_xp.typing import LinearParams

LIMIT_BYTES = 8 << 30
# Rows whose logits the bare products need at once: 2 GB of them are as fast as 8.
_PRODUCT_ROWS = 2048


@final
class PoolPeak:
    """How much memory the device's pool held at most; what it holds is what no one else can use.

    CuPy's pool gives nothing back by itself, so after emptying it, what it holds is its peak.

    Parameters
    ----------
    bench : Bench
        Where.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def forget(self) -> None:
        """Start anew."""
        self._bench.release()
        if self._bench.is_cuda and not self._bench.uses_cupy:
            self._bench.torch.cuda.reset_peak_memory_stats()

    def bytes(self) -> int | None:
        """Return the peak since :meth:`forget`; None where memory is the host's."""
        if self._bench.uses_cupy:
            return int(_pool().total_bytes())
        return int(self._bench.torch.cuda.max_memory_reserved()) if self._bench.is_cuda else None


def _pool() -> Any:
    """Return CuPy's pool."""
    return importlib.import_module("cupy").get_default_memory_pool()


@contextmanager
def _limited(bench: Bench) -> Iterator[None]:
    """Let the pool hold no more than the limit."""
    if not bench.uses_cupy:
        yield
        return
    _pool().set_limit(size=LIMIT_BYTES)
    try:
        yield
    finally:
        _pool().set_limit(size=0)


def measure_many(bench: Bench) -> None:
    """Time the products, and ours within the limit; in TF32 first, which the target is about."""
    shape = bench.sizes.many
    bench.title(f"Many classes: {' x '.join(map(str, shape))}")
    for kind in reversed(precisions(bench)):
        with precision(bench, kind):
            floor = bench.attempt(f"products in {kind}", _time_products, bench, shape, kind)
            bench.release()
            for name, enabled in {"ours": True, "ours without kernels": False}.items():
                bench.attempt(f"{name} in {kind}", _time_ours, bench, shape, name, kind, floor, enabled=enabled)
                bench.release()
    bench.note("memory: the most that the pool held, rows, weight and gradient included")


def _time_products(bench: Bench, shape: Shape, kind: str) -> float:
    """Return the seconds of both products, from fewer rows if all of their logits were too many."""
    n_samples, n_features, n_classes = shape
    rows = min(n_samples, _PRODUCT_ROWS)
    X, W = random_array(bench, rows, n_features), random_array(bench, n_features, n_classes, shift=1)
    calls = products(X, W, random_array(bench, rows, n_classes, shift=2))
    timed = bench.clock.race(calls, rounds=3)
    seconds = sum(times.best for times in timed.values()) * n_samples / rows
    bench.measured[f"many_products_{kind}"] = seconds * 1e3
    cells = {"precision": kind, "who": f"products, from {rows} rows", "limit": "none", "host": "-"}
    cells["device"] = milliseconds(seconds)
    bench.add(cells, who="products", kind=kind, seconds=seconds)
    return seconds


def _time_ours(bench: Bench, shape: Shape, name: str, kind: str, floor: float | None, *, enabled: bool) -> None:
    """Time value and gradient: within the limit, or else without."""
    n_samples, n_features, n_classes = shape
    objective = objective_on(
        random_array(bench, n_samples, n_features), random_labels(bench, n_samples, n_classes), n_classes
    )
    params = LinearParams(random_array(bench, n_features, n_classes, scale=n_features**-0.5, shift=1), None)

    def call() -> Any:
        with kernels(enabled=enabled):
            return objective.value_and_gradient(params)

    peak = PoolPeak(bench)
    limit = f"{LIMIT_BYTES >> 30} GiB" if bench.uses_cupy else "none"
    timed = bench.attempt(f"{name} in {kind} within {limit}", _within_limit, bench, call, peak)
    if timed is None:
        limit = "none"
        peak.forget()
        timed = bench.clock.race({name: call}, rounds=3)[name]
    _add(bench, name, kind, timed, floor, limit, peak.bytes())


def _within_limit(bench: Bench, call: Callable[[], Any], peak: PoolPeak) -> Timed:
    """Time a call while the pool is limited."""
    peak.forget()
    with _limited(bench):
        return bench.clock.race({"ours": call}, rounds=3)["ours"]


def _add(bench: Bench, name: str, kind: str, times: Timed, floor: float | None, limit: str, memory: int | None) -> None:
    """Add a line; the time is the host's, the longer of the two."""
    share = None if floor is None else floor / times.host
    cells = {
        "precision": kind,
        "who": name,
        "limit": limit,
        "host": milliseconds(times.host),
        "device": "-" if times.device is None else milliseconds(times.device),
        "of the products' rate": "-" if share is None else f"{100 * share:.0f} %",
        "memory": "not measured" if memory is None else f"{figure(memory / 2**30)} GiB",
    }
    if name == "ours":
        bench.measured[f"many_ours_{kind}"] = times.host * 1e3
        if share is not None:
            bench.measured[f"many_rate_{kind}"] = share
        if memory is not None and kind == "tf32":
            bench.measured["many_memory"] = memory / 2**30
    bench.add(cells, who=name, kind=kind, limit=limit, host_seconds=times.host, share=share, memory=memory)
