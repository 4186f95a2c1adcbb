# SPDX-License-Identifier: BSD-3-Clause
"""How far everything is from float64, on a few rows of each shape, before anything is timed.

An error is the largest difference over the largest expected number; of trained weights, the same of their norms.
Memory that an output will get holds NaN first.
"""

__all__ = ["measure_cross_entropy_errors", "measure_full_batch_errors", "measure_training_errors"]

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.gpu_arrays import fill_with_nan, from_torch, random_array, random_labels, relative_error, to_torch
from benchmarks.gpu_bench import Bench
from benchmarks.gpu_cross_entropy import in_kind, our_cross_entropy, reference
from benchmarks.gpu_full_batch import TOLERANCES, objective_on
from benchmarks.gpu_minibatch import TOLERANCE, norm_error, our_fit, reference_weight, training_data
from benchmarks.gpu_settings import kernels, precision, precisions
from softmax_xp.data.order import epoch_order
from softmax_xp.typing import LinearParams

_OURS = {"ours": True, "ours without kernels": False}


def measure_cross_entropy_errors(bench: Bench) -> None:
    """Check loss, hits and gradient of the fused function for each class count."""
    rows = bench.sizes.checked_rows
    bench.title(f"Errors against float64: softmax cross-entropy of {rows} rows")
    for kind in ("float32", "bfloat16") if bench.is_cuda else ("float32",):
        for _, n_classes in ((0, bench.sizes.small[2]), *bench.sizes.cross_entropy):
            for name, enabled in _OURS.items():
                what = f"{name}, {n_classes} classes in {kind}"
                bench.attempt(what, _cross_entropy_error, bench, n_classes, kind, name, enabled=enabled)
            bench.release()


def _cross_entropy_error(bench: Bench, n_classes: int, kind: str, name: str, *, enabled: bool) -> None:
    """Add a line for one class count."""
    xp, rows = bench.xp, bench.sizes.checked_rows
    logits = in_kind(bench, random_array(bench, rows, n_classes, scale=3.0), kind)
    labels = random_labels(bench, rows, n_classes)
    expected_value, expected = reference(bench, logits, labels)
    # On the very numbers that are passed: rounding to bfloat16 is not an error of the function.
    likeliest = xp.argmax(xp.astype(logits, xp.float32), axis=1)
    fill_with_nan(bench, (rows, n_classes), (rows,))
    with kernels(enabled=enabled):
        value, hits, gradient = our_cross_entropy(xp.asarray(logits, copy=True), labels)
    errors = {
        "value": relative_error(bench, value, expected_value),
        "gradient": relative_error(bench, gradient, expected),
    }
    if hits is not None:
        errors["hits"] = relative_error(bench, hits, xp.astype(likeliest == labels, xp.float64))
    _add(bench, "cross_entropy", f"{n_classes} classes", kind, name, errors, TOLERANCES[kind], fatal=enabled)


def measure_full_batch_errors(bench: Bench) -> None:
    """Check value and gradient of the linear model at each shape in each precision, PyTorch's gradient too."""
    rows = bench.sizes.checked_rows
    bench.title(f"Errors against float64: value and gradient of {rows} rows")
    for subject in ("small", "large", "many"):
        _, n_features, n_classes = getattr(bench.sizes, subject)
        bench.attempt(f"{n_features} x {n_classes}", _full_batch_errors, bench, subject, n_features, n_classes)
        bench.release()


def _full_batch_errors(bench: Bench, subject: str, n_features: int, n_classes: int) -> None:
    """Add a line for each precision and contestant."""
    xp, rows = bench.xp, bench.sizes.checked_rows
    X = random_array(bench, rows, n_features)
    W = random_array(bench, n_features, n_classes, scale=n_features**-0.5, shift=1)
    y = random_labels(bench, rows, n_classes)
    wide = xp.astype(X, xp.float64)
    values, slope = reference(bench, wide @ xp.astype(W, xp.float64), y)
    expected = xp.sum(values) / rows, wide.T @ slope / rows
    del slope, wide
    calls: dict[str, Callable[[], tuple[Any, Any]]] = {
        name: partial(_ours, X, W, y, enabled=enabled) for name, enabled in _OURS.items()
    }
    if bench.peers() is not None:
        calls["PyTorch eager"] = partial(_torch, bench, X, W, y)
    for kind in precisions(bench):
        for name, call in calls.items():
            with precision(bench, kind):
                fill_with_nan(bench, (n_features, n_classes), (rows, n_classes), (n_features, n_classes))
                found = bench.attempt(f"{name}, {n_features} x {n_classes}, {kind}", call)
            if found is None:
                continue
            errors = {
                what: relative_error(bench, array, right)
                for what, array, right in zip(("value", "gradient"), found, expected, strict=True)
            }
            if name == "ours" and kind == "tf32" and subject == "large":
                bench.measured["error_tf32"] = errors["gradient"]
            shape = f"{n_features} x {n_classes}"
            _add(bench, subject, shape, kind, name, errors, TOLERANCES[kind], fatal=name == "ours")


def _ours(X: Any, W: Any, y: Any, *, enabled: bool) -> tuple[Any, Any]:
    """Return value and gradient of the objective."""
    with kernels(enabled=enabled):
        value, gradient = objective_on(X, y, W.shape[1]).value_and_gradient(LinearParams(W, None))
    return value, gradient.weight


def _torch(bench: Bench, X: Any, W: Any, y: Any) -> tuple[Any, Any]:
    """Return PyTorch's value and gradient, as arrays of ours."""
    weight = bench.torch.clone(to_torch(bench, W)).requires_grad_()
    value = bench.torch.nn.functional.cross_entropy(to_torch(bench, X) @ weight, to_torch(bench, y))
    value.backward()
    return from_torch(bench, value), from_torch(bench, weight.grad)


def measure_training_errors(bench: Bench) -> None:
    """Check the weights after an epoch of some steps, the last one smaller, against float64."""
    bench.title("Errors against float64: the weights after 20 steps and a smaller one of Adam")
    for batch_size in bench.sizes.batches:
        for name, enabled in _OURS.items():
            bench.attempt(f"{name}, batch {batch_size}", _training_error, bench, batch_size, name, enabled=enabled)


def _training_error(bench: Bench, batch_size: int, name: str, *, enabled: bool) -> None:
    """Add a line for a batch size."""
    n_classes = bench.sizes.small[2]
    X, y = training_data(bench, 20 * batch_size + batch_size // 2)
    expected = reference_weight(X, y, n_classes, epoch_order(0, 0, len(y)), batch_size)
    with kernels(enabled=enabled):
        weight, _ = our_fit(bench, X, y, batch_size, 1)
    errors = {"weight": norm_error(weight, expected)}
    _add(bench, "minibatch", f"batch {batch_size}", "float32", name, errors, TOLERANCE, fatal=enabled)


def _add(
    bench: Bench,
    subject: str,
    what: str,
    kind: str,
    name: str,
    errors: dict[str, float],
    tolerance: float,
    *,
    fatal: bool,
) -> None:
    """Add a line; a wrong result of ours is remembered for the verdicts."""
    good = all(error <= tolerance for error in errors.values())  # False for NaN
    if fatal and not good:
        bench.wrong.add(subject)
    cells = {"what": what, "precision": kind, "who": name}
    cells |= {key: f"{error:.1e}" for key, error in errors.items()}
    bench.add(cells | {"is": "right" if good else "WRONG"}, what=what, kind=kind, who=name, errors=errors, right=good)
