# SPDX-License-Identifier: BSD-3-Clause
"""The fused softmax cross-entropy alone, from logits to loss and gradient, against the bandwidth of a copy.

The fewest bytes are one read and one write of the logits; the rate counts these, whatever a contestant really moves.
Ours writes the gradient over the logits, so each call gets logits of its own, made anew before each block.
"""

__all__ = ["in_kind", "measure_cross_entropy", "our_cross_entropy", "reference"]

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.gpu_arrays import fill_with_nan, from_torch, random_array, random_labels, relative_error, to_torch
from benchmarks.gpu_bench import Bench
from benchmarks.gpu_clock import Timed
from benchmarks.gpu_full_batch import TOLERANCES
from benchmarks.gpu_report import figure
from benchmarks.gpu_settings import kernels
from benchmarks.report import milliseconds

# Logits of one block: more than any cache holds even where one of them would fit.
_BUFFERS = 4


def our_cross_entropy(logits: Any, labels: Any, scale: float = 1.0) -> tuple[Any, Any, Any]:
    """Return value, hits (None where the function tells none) and gradient; the logits may be overwritten."""
    function = importlib.import_module("softmax_xp.ops.cross_entropy").softmax_cross_entropy
    value, *hits, gradient = function(logits, labels, scale=scale)
    return value, hits[0] if hits else None, gradient


def measure_cross_entropy(bench: Bench) -> None:
    """Time each class count in float32, then in bfloat16, then what needs a compiler."""
    bench.title("Fused softmax cross-entropy and gradient, from logits alone")
    for kind, compiled in (("float32", False), ("bfloat16", False), ("float32", True), ("bfloat16", True)):
        if compiled and (bench.torch is None or not bench.may_compile()):
            continue
        if kind == "bfloat16" and not bench.is_cuda:
            bench.note("bfloat16: skipped, it is timed on CUDA devices only")
            continue
        for n_samples, n_classes in bench.sizes.cross_entropy:
            what, size = f"{n_classes} classes in {kind}", (n_samples, n_classes)
            bench.attempt(what, _measure_size, bench, size, kind, compiled=compiled)
            bench.release()
    bench.note("of the copy: two times the bytes of the logits over the time, over the bandwidth of the copy")


def _measure_size(bench: Bench, size: tuple[int, int], kind: str, *, compiled: bool) -> None:
    """Check and time the contestants of one size."""
    n_samples, n_classes = size
    logits = random_array(bench, n_samples, n_classes, scale=2.0)
    labels = random_labels(bench, n_samples, n_classes)
    if compiled:
        makers = {"PyTorch compiled": partial(_torch_timed, compiled=True)}
    else:
        makers = {
            "ours": partial(_our_timed, enabled=True),
            "ours without kernels": partial(_our_timed, enabled=False),
        }
        if bench.peers() is not None:
            makers["PyTorch eager"] = partial(_torch_timed, compiled=False)
    for name, make in makers.items():
        times = bench.attempt(f"{name}, {n_classes} classes in {kind}", make, bench, logits, labels, kind)
        if times is not None:
            _add(bench, name, size, kind, times)


def _our_timed(bench: Bench, logits: Any, labels: Any, kind: str, *, enabled: bool) -> Timed:
    """Time ours, with or without kernels."""
    xp, source = bench.xp, in_kind(bench, logits, kind)
    buffers = [xp.asarray(source, copy=True) for _ in range(_BUFFERS)]

    def refill() -> None:
        for buffer in buffers:
            buffer[...] = source

    with kernels(enabled=enabled):
        _check_ours(bench, source, labels, kind, enabled=enabled)
        return bench.clock.blocks(refill, [partial(our_cross_entropy, buffer, labels) for buffer in buffers])


def _check_ours(bench: Bench, source: Any, labels: Any, kind: str, *, enabled: bool) -> None:
    """Hold the first rows, computed among all of them, against float64."""
    xp, rows = bench.xp, min(bench.sizes.checked_rows, source.shape[0])
    fill_with_nan(bench, tuple(source.shape), (source.shape[0],))
    value, _, gradient = our_cross_entropy(xp.asarray(source, copy=True), labels)
    expected_value, expected = reference(bench, source[:rows, :], labels[:rows])
    error = max(
        relative_error(bench, value[:rows], expected_value), relative_error(bench, gradient[:rows, :], expected)
    )
    if enabled and not error <= TOLERANCES[kind]:
        bench.wrong.add(bench.table.name)
    _refuse(error, kind)


def _refuse(error: float, kind: str) -> None:
    """Let nobody be timed who computes something else; NaN is something else as well."""
    if not error <= TOLERANCES[kind]:
        msg = f"computes something else: relative difference {error:.1e}"
        raise AssertionError(msg)


def reference(bench: Bench, logits: Any, labels: Any) -> tuple[Any, Any]:
    """Return value and gradient in float64, straight from the formula."""
    xp = bench.xp
    logits = xp.astype(logits, xp.float64)
    shifted = logits - xp.max(logits, axis=1, keepdims=True)
    total = xp.sum(xp.exp(shifted), axis=1, keepdims=True)
    classes = xp.arange(logits.shape[1], device=bench.backend.device)
    one_hot = xp.astype(classes[None, :] == labels[:, None], xp.float64)
    value = xp.log(total[:, 0]) - xp.sum(one_hot * shifted, axis=1)
    return value, xp.exp(shifted) / total - one_hot


def _torch_timed(bench: Bench, logits: Any, labels: Any, kind: str, *, compiled: bool) -> Timed:
    """Time PyTorch's loss and backward pass, which leave the logits alone."""
    torch = bench.torch
    if compiled:
        torch.compiler.reset()  # it compiles one function for 8 shapes at most, and then falls back to eager
    source = to_torch(bench, logits)
    source = source.to(torch.bfloat16) if kind == "bfloat16" else source
    targets = to_torch(bench, labels)
    buffers = [torch.clone(source).requires_grad_() for _ in range(_BUFFERS)]

    def total_loss(logits: Any) -> Any:
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    loss_of: Callable[[Any], Any] = torch.compile(total_loss, dynamic=False) if compiled else total_loss

    def call(buffer: Any) -> None:
        buffer.grad = None
        loss_of(buffer).backward()

    call(buffers[0])
    rows = min(bench.sizes.checked_rows, source.shape[0])
    # In float32, which holds every bfloat16: CuPy takes no tensor of the latter.
    first, slope = (from_torch(bench, tensor[:rows].float()) for tensor in (source, buffers[0].grad))
    _refuse(relative_error(bench, slope, reference(bench, first, labels[:rows])[1]), kind)

    def forget() -> None:
        for buffer in buffers:
            buffer.grad = None

    return bench.clock.blocks(forget, [partial(call, buffer) for buffer in buffers])


def in_kind(bench: Bench, logits: Any, kind: str) -> Any:
    """Convert to bfloat16, which CuPy knows through ml_dtypes."""
    if kind == "float32":
        return logits
    if bench.uses_cupy:
        return logits.astype(importlib.import_module("ml_dtypes").bfloat16)
    return bench.xp.astype(logits, bench.torch.bfloat16)


def _add(bench: Bench, name: str, size: tuple[int, int], kind: str, times: Timed) -> None:
    """Add a line."""
    n_samples, n_classes = size
    rate = 2 * n_samples * n_classes * (4 if kind == "float32" else 2) / times.best / 1e12
    copy = bench.measured.get("copy_bandwidth")
    cells: Mapping[str, str] = {
        "size": f"{n_samples} x {n_classes} {kind}",
        "who": name,
        "host": milliseconds(times.host),
        "device": "-" if times.device is None else milliseconds(times.device),
        "rate": f"{figure(rate)} TB/s",
        "of the copy": "-" if copy is None else f"{100 * rate / copy:.0f} %",
    }
    if name == "ours" and kind == "float32" and copy is not None:
        bench.measured[f"cross_entropy_{n_classes}"] = rate / copy
    bench.add(cells, who=name, size=size, kind=kind, host_seconds=times.host, device_seconds=times.device)
