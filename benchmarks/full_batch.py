# SPDX-License-Identifier: BSD-3-Clause
"""One full-batch ``softmax_loss`` against the two bare matrix products that it cannot do without.

The floor is ``X @ W`` and ``X.T @ G`` with the same ``X`` and ``W`` and with a ready-made ``G`` of the shape of the
logits, on the same device and in the same library. A ratio below 1 is possible on a CPU, where a chunk of ``X``
that is still in the cache is read from memory once instead of twice.
"""

__all__ = ["SHAPES", "TARGET", "Shape", "measure"]

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

import softmax_xp as sx
from benchmarks.report import Line, Table, milliseconds, ratio_text, verdict
from benchmarks.sklearn_peer import multinomial_objective
from benchmarks.textbook import textbook_softmax_loss
from benchmarks.timing import Effort, median_seconds, race, ratio
from benchmarks.torch_peer import torch_beside, torch_device
from softmax_xp.backend import Backend, to_host

TARGET = 1.1
_REG = 1e-4
# Accelerators have caches that hold a whole X; a rotation of copies larger than that keeps them from helping.
_ROTATION_BYTES = 1 << 28


class Shape(NamedTuple):
    """The size of a problem."""

    n_samples: int
    n_features: int
    n_classes: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.n_samples} x {self.n_features} x {self.n_classes} {self.dtype}"


SHAPES = (
    Shape(60000, 784, 10, "float32"),
    Shape(60000, 784, 10, "float64"),
    Shape(50000, 768, 100, "float32"),
    Shape(20000, 768, 1000, "float32"),
    Shape(20000, 384, 1000, "float32"),
)


def measure(device: str, effort: Effort, shapes: Sequence[Shape] = SHAPES) -> Table:
    """Run the race for each shape.

    Parameters
    ----------
    device : str
        Where to compute.
    effort : Effort
        How long.
    shapes : sequence of Shape, optional
        Which problems.

    Returns
    -------
    Table
        One line for each shape.
    """
    backend = sx.get_backend(device)
    notes: list[str] = []
    lines = [_measure_shape(backend, effort, shape, notes) for shape in shapes]
    notes.append("each ratio: median of the rounds (smallest-largest); 'products' are X @ W and X.T @ G alone")
    title = f"Full batch: softmax_loss against its two matrix products, on {backend.name}"
    return Table("full_batch", title, lines, list(dict.fromkeys(notes)))


def _measure_shape(backend: Backend, effort: Effort, shape: Shape, notes: list[str]) -> Line:
    """Measure one shape; reasons why a peer does not take part go to ``notes``."""
    contestants = _contestants(backend, shape, notes)
    seconds = race(contestants, effort, synchronise=backend.synchronise)
    floor = seconds["products"]
    ours = ratio(seconds["softmax_xp"], floor)
    met = ours.median <= TARGET
    cells = {
        "n_samples x n_features x n_classes": str(shape),
        "products": milliseconds(median_seconds(floor)),
        "softmax_xp": milliseconds(median_seconds(seconds["softmax_xp"])),
        "ratio (range)": ratio_text(ours),
        "target": f"<= {TARGET}",
        "met": verdict(met=met),
    }
    for name in contestants:
        if name not in {"products", "softmax_xp"}:
            cells[name] = ratio_text(ratio(seconds[name], floor))
    record = {
        **shape._asdict(),
        "target": TARGET,
        "ratio": ours._asdict(),
        "met": met,
        "seconds": {name: median_seconds(times) for name, times in seconds.items()},
        "ratio_to_products": {name: ratio(times, floor)._asdict() for name, times in seconds.items()},
    }
    return Line(cells, record)


def _contestants(backend: Backend, shape: Shape, notes: list[str]) -> dict[str, Callable[[], Any]]:
    """Make the calls, and check that all of them compute the same gradient."""
    xp = backend.xp
    random = np.random.default_rng(0)
    n_samples, n_features, n_classes, dtype = shape
    host_X = random.standard_normal((n_samples, n_features), dtype=np.dtype(dtype).type)
    host_W = (0.05 * random.standard_normal((n_features, n_classes))).astype(dtype)
    host_y = random.integers(0, n_classes, n_samples)
    host_G = random.standard_normal((n_samples, n_classes), dtype=np.dtype(dtype).type)
    W, y, G = (backend.put(array) for array in (host_W, host_y, host_G))
    rotation = 1 if backend.capabilities.row_chunks else -(-_ROTATION_BYTES // host_X.nbytes)
    copies = [xp.asarray(backend.put(host_X), copy=True if rotation > 1 else None) for _ in range(rotation)]

    def rotated(compute: Callable[[Any], Any]) -> Callable[[], Any]:
        Xs = cycle(copies)
        return lambda: compute(next(Xs))

    contestants = {
        "products": rotated(lambda X: (X @ W, X.T @ G)),
        "softmax_xp": rotated(lambda X: sx.softmax_loss(W, X, y, _REG)),
    }
    if not backend.name.startswith("jax"):  # its arrays cannot be written to, and the listing writes
        contestants["textbook"] = rotated(lambda X: textbook_softmax_loss(W, X, y, _REG, xp=xp))
    if backend.name == "cpu":
        _add_scikit_learn(contestants, host_W, host_X, host_y, notes)
    else:
        notes.append("scikit-learn: skipped, its coefficients live on the host")
    _add_torch(contestants, backend, host_W, copies, host_y, notes)
    expected = to_host(contestants["softmax_xp"]()[1])
    for name, call in contestants.items():
        if name != "products":
            error = np.abs(to_host(call()[1]) - expected).max() / np.abs(expected).max()
            assert error < 1e-4, f"{name} computes something else: relative difference {error:.1e}"
    return contestants


def _add_scikit_learn(contestants: dict[str, Callable[[], Any]], W: Any, X: Any, y: Any, notes: list[str]) -> None:
    """Add scikit-learn's objective, which is private there and may move."""
    objective = multinomial_objective(W.shape[1], notes)
    if objective is None:
        return
    coefficients, targets = np.asfortranarray(W.T), y.astype(W.dtype)  # the layouts its own solvers use

    def call() -> Any:
        loss, gradient = objective.loss_gradient(coefficients, X, targets, l2_reg_strength=_REG)
        return loss, gradient.T

    contestants["scikit-learn"] = call


def _add_torch(
    contestants: dict[str, Callable[[], Any]], backend: Backend, W: Any, copies: list[Any], y: Any, notes: list[str]
) -> None:
    """Add PyTorch with its own automatic gradient, on the same kind of device."""
    torch, reason = torch_beside(backend)
    if torch is None:
        notes.append(f"PyTorch: skipped, {reason}")
        return
    device = torch_device(backend)
    weight = torch.tensor(W, device=device, requires_grad=True)
    labels = torch.tensor(y, device=device)
    # from_dlpack shares the memory, so that both libraries read the very same X.
    Xs = cycle([torch.from_dlpack(X) for X in copies])

    def call() -> Any:
        weight.grad = None
        loss = torch.nn.functional.cross_entropy(next(Xs) @ weight, labels) + 0.5 * _REG * (weight * weight).sum()
        loss.backward()
        return loss.detach(), weight.grad

    contestants["PyTorch"] = call
