# SPDX-License-Identifier: BSD-3-Clause
"""An epoch of small batches: the Trainer, with and without kernels, against PyTorch eager, compiled and in graphs.

Ours is a whole fit: its epochs are read off the history, from the second one on, and each ends with a read of loss
and accuracy by the host. PyTorch's epoch is the bare loop, with the same shuffled order already on the device.
"""

__all__ = [
    "LEARNING_RATE",
    "TOLERANCE",
    "measure_minibatch",
    "norm_error",
    "our_fit",
    "reference_weight",
    "training_data",
]

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

import softmax_xp as sx
from benchmarks.gpu_arrays import to_torch
from benchmarks.gpu_bench import Bench
from benchmarks.gpu_clock import Timed
from benchmarks.gpu_report import figure
from benchmarks.gpu_settings import kernels
from benchmarks.gpu_torch_steps import TorchSteps, steps_per_graph
from benchmarks.report import milliseconds
from softmax_xp.backend import to_host
from softmax_xp.data.order import epoch_order

LEARNING_RATE = 1e-3
# Adam's default of 1e-8 makes a whole step of the rounding of a gradient that should be zero, such as that of the bias
# of a class with exactly its share of the first batch: nobody's weights could be checked.
EPS = 1e-4
TOLERANCE = 1e-4
_PEERS: Mapping[str, tuple[bool, bool | None]] = {
    # Name -> (compiled, graph: None without, False of one step, True of many).
    "PyTorch eager": (False, None),
    "PyTorch graph, 1 step": (False, False),
    "PyTorch graph, many steps": (False, True),
    "PyTorch compiled": (True, None),
    "PyTorch compiled, graph": (True, True),
}


def training_data(bench: Bench, n_samples: int) -> tuple[Any, Any]:
    """Return brightnesses between 0 and 1, as float32, and labels, both on the host."""
    random = np.random.default_rng(0)
    _, n_features, n_classes = bench.sizes.small
    X = random.random((n_samples, n_features), dtype=np.float32)
    return X, random.integers(0, n_classes, n_samples)


def our_fit(bench: Bench, X: Any, y: Any, batch_size: int, epochs: int) -> tuple[Any, list[float]]:
    """Train with the Trainer.

    Parameters
    ----------
    bench : Bench
        Where.
    X : array of shape (n_samples, n_features)
        On any device; one that is already there is not moved.
    y : host array of int, shape (n_samples,)
        Labels.
    batch_size, epochs : int
        Of the fit.

    Returns
    -------
    weight : host array of shape (n_features, n_classes)
        At the end.
    seconds : list of float
        Of each epoch from the second one on.
    """
    trainer = sx.Trainer(
        optimizer=sx.Adam(LEARNING_RATE, eps=EPS), batch_size=batch_size, epochs=epochs, device=bench.backend, seed=0
    )
    model, history = trainer.fit(X, y, classes=np.arange(bench.sizes.small[2]))
    ends = history["seconds"]
    return to_host(model.params.weight), [later - earlier for earlier, later in pairwise(ends)]


def reference_weight(X: Any, y: Any, n_classes: int, order: Any, batch_size: int) -> Any:
    """Take the same steps in float64 with NumPy, straight from the formulas; the last batch may be smaller."""
    params = np.zeros((X.shape[1] + 1, n_classes))
    mu, nu = np.zeros_like(params), np.zeros_like(params)
    for count, start in enumerate(range(0, len(order), batch_size), start=1):
        index = order[start : start + batch_size]
        rows = np.hstack([X[index].astype(np.float64), np.ones((len(index), 1))])
        logits = rows @ params
        probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        probabilities[np.arange(len(index)), y[index]] -= 1
        gradient = rows.T @ probabilities / len(index)
        mu = 0.9 * mu + 0.1 * gradient
        nu = 0.999 * nu + 0.001 * gradient**2
        params -= LEARNING_RATE * (mu / (1 - 0.9**count)) / (np.sqrt(nu / (1 - 0.999**count)) + EPS)
    return params[:-1]


def norm_error(weight: Any, expected: Any) -> float:
    """Return the norm of the difference over that of the expected weights."""
    return float(np.linalg.norm(weight - expected) / np.linalg.norm(expected))


def measure_minibatch(bench: Bench) -> None:
    """Time an epoch at each batch size: first all that needs no compiler, then what does."""
    n_samples, n_features, n_classes = bench.sizes.small
    bench.title(f"Epoch of {n_samples} x {n_features} x {n_classes} float32 with Adam")
    X, y = training_data(bench, n_samples)
    on_device = bench.backend.put(X)
    for batch_size in bench.sizes.batches:
        for name, enabled in {"ours": True, "ours without kernels": False}.items():
            what = f"{name}, batch {batch_size}"
            bench.attempt(what, _time_ours, bench, name, on_device, y, batch_size, enabled=enabled)
        _time_peers(bench, on_device, X, y, batch_size, compiled=False)
    if bench.torch is not None and bench.may_compile():
        for batch_size in bench.sizes.batches:
            _time_peers(bench, on_device, X, y, batch_size, compiled=True)
    bench.note("PyTorch: index_select, linear, cross_entropy, backward, Adam(fused=True), without a smaller last batch")
    bench.note("ours: a whole fit, each epoch with its transfer of the order, its loss and its accuracy")


def _time_ours(bench: Bench, name: str, X: Any, y: Any, batch_size: int, *, enabled: bool) -> None:
    """Fit, and take the median of the epochs."""
    with kernels(enabled=enabled):
        _, seconds = our_fit(bench, X, y, batch_size, bench.sizes.epochs)
    _add(bench, name, batch_size, Timed(median(seconds), None))


def _time_peers(bench: Bench, on_device: Any, X: Any, y: Any, batch_size: int, *, compiled: bool) -> None:
    """Make PyTorch's contestants, check each, and let those who compute the right thing race."""
    torch = bench.peers()
    if torch is None:
        return
    if compiled:
        torch.compiler.reset()  # it compiles one function for 8 shapes at most, and then falls back to eager
    shared = to_torch(bench, on_device), torch.asarray(y, device=bench.torch_device)
    order = torch.asarray(epoch_order(0, 0, X.shape[0]), device=bench.torch_device)
    contestants: dict[str, Callable[[], object]] = {}
    for name, (needs_compiler, graph) in _PEERS.items():
        if needs_compiler is not compiled:
            continue
        if graph is not None and not bench.is_cuda:
            bench.note(f"{name}: skipped, CUDA graphs need a CUDA device")
            continue
        several = steps_per_graph(X.shape[0] // batch_size)
        steps = 0 if graph is None else several if graph else 1
        what, arguments = f"{name}, batch {batch_size}", (bench, shared, X, y, batch_size)
        peer = bench.attempt(what, _checked_peer, *arguments, compiled=compiled, graph_steps=steps)
        if peer is not None:
            contestants[name] = partial(peer.epoch, order)
    timed = bench.attempt(f"PyTorch, batch {batch_size}", bench.clock.race, contestants, rounds=5, on_device=False)
    for name, times in (timed or {}).items():
        _add(bench, name, batch_size, times)


def _checked_peer(
    bench: Bench, shared: tuple[Any, Any], X: Any, y: Any, batch_size: int, *, compiled: bool, graph_steps: int
) -> TorchSteps:
    """Make a contestant, and hold its first steps against float64."""
    n_classes = bench.sizes.small[2]
    peer = TorchSteps(
        bench.torch,
        *shared,
        n_classes,
        batch_size=batch_size,
        learning_rate=LEARNING_RATE,
        eps=EPS,
        compiled=compiled,
        graph_steps=graph_steps,
    )
    some = epoch_order(0, 0, X.shape[0])[: max(graph_steps, min(20, X.shape[0] // batch_size)) * batch_size]
    some = some[: len(some) // (peer.steps_per_call * batch_size) * peer.steps_per_call * batch_size]
    peer.epoch(bench.torch.asarray(some, device=bench.torch_device))
    expected = reference_weight(X, y, n_classes, some, batch_size)
    error = norm_error(to_host(peer.layer.weight).T, expected)
    assert error < TOLERANCE, f"computes something else: relative difference {error:.1e}"
    peer.reset()
    return peer


def _add(bench: Bench, name: str, batch_size: int, times: Timed) -> None:
    """Add a line; at the first batch size the numbers are those of the predictions."""
    steps = -(-bench.sizes.small[0] // batch_size)
    cells = {"batch": str(batch_size), "who": name, "epoch": milliseconds(times.host)}
    cells["step"] = milliseconds(times.host / steps)
    if batch_size == bench.sizes.batches[0]:
        _record(bench, name, times.host * 1e3)
        ours = bench.measured.get("epoch_ours")
        cells["over ours"] = "-" if ours is None else f"{figure(times.host * 1e3 / ours)}x"
    bench.add(cells, batch=batch_size, who=name, seconds=times.host)


def _record(bench: Bench, name: str, milliseconds_of_epoch: float) -> None:
    """Keep what has a prediction, and the ratios that follow from it."""
    measured = bench.measured
    keys = {
        "ours": "epoch_ours",
        "ours without kernels": "epoch_kernels_off",
        "PyTorch eager": "epoch_torch_eager",
        "PyTorch compiled": "epoch_torch_compiled",
    }
    if name in keys:
        measured[keys[name]] = milliseconds_of_epoch
    else:
        best = measured.get("epoch_torch_graph", float("inf"))
        measured["epoch_torch_graph"] = min(best, milliseconds_of_epoch)
    for key, peer in {"epoch_times_eager": "epoch_torch_eager", "epoch_times_graph": "epoch_torch_graph"}.items():
        if peer in measured and "epoch_ours" in measured:
            measured[key] = measured[peer] / measured["epoch_ours"]
