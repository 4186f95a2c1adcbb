# SPDX-License-Identifier: BSD-3-Clause
"""One training step (gather, loss, gradient, Adam) against PyTorch eager with its fused Adam.

Ours is what the Trainer calls, a kernel where the device has one; beside what PyTorch's step does it also counts the
hits of the batch. Both train one linear layer with a bias, take the batches of the same shuffled order in turn, and
must arrive at the same weights before anything is timed. On a CPU PyTorch takes part twice, with its own choice of
threads and with one, which suits small batches better; the target is held against the faster of the two.
"""

__all__ = ["SHAPE", "TARGETS", "measure"]

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np

import softmax_xp as sx
from benchmarks.report import Line, Table, milliseconds, times_text, verdict
from benchmarks.timing import Effort, median_seconds, race, ratio
from benchmarks.torch_peer import TorchStep, torch_beside, torch_device
from softmax_xp.backend import Backend, to_host
from softmax_xp.data.order import epoch_order
from softmax_xp.training.fused_steps import find_fused_steps
from softmax_xp.training.loop import Carry, Settings, run_step
from softmax_xp.training.problem import prepare_problem
from softmax_xp.typing import LinearParams

SHAPE = (60000, 784, 10)
# Batch size -> how many times as fast as PyTorch.
TARGETS = {50: 4.0, 128: 3.0, 512: 2.0}
_LEARNING_RATE = 1e-3
_CHECKED_STEPS = 20


def measure(
    device: str, effort: Effort, shape: tuple[int, int, int] = SHAPE, targets: Mapping[int, float] | None = None
) -> Table:
    """Run the race for each batch size.

    Parameters
    ----------
    device : str
        Where to compute.
    effort : Effort
        How long.
    shape : tuple of int, optional
        n_samples, n_features, n_classes.
    targets : mapping of int to float, optional
        Batch sizes, and how many times as fast as PyTorch the step should be.

    Returns
    -------
    Table
        One line for each batch size.
    """
    backend = sx.get_backend(device)
    n_samples, n_features, n_classes = shape
    random = np.random.default_rng(0)
    X = random.random((n_samples, n_features), dtype=np.float32)
    y = random.integers(0, n_classes, n_samples)
    torch, reason = torch_beside(backend)
    notes = [f"PyTorch: skipped, {reason}"] if torch is None else []
    lines = [
        _measure_batch(backend, torch, effort, X, y, batch, target)
        for batch, target in (TARGETS if targets is None else targets).items()
    ]
    notes.append("PyTorch: index_select, nn.Linear, cross_entropy, backward, Adam(fused=True); ours also counts hits")
    title = f"Minibatch step: {n_samples} x {n_features} x {n_classes} float32, Adam, on {backend.name}"
    return Table("minibatch_step", title, lines, notes)


def _measure_batch(backend: Backend, torch: Any, effort: Effort, X: Any, y: Any, batch: int, target: float) -> Line:
    """Measure one batch size."""
    order = epoch_order(0, 0, X.shape[0])
    indices = [order[start : start + batch] for start in range(0, X.shape[0] - batch + 1, batch)]
    ours = _OurStep(backend, X, y, batch)
    contestants: dict[str, Callable[[], Any]] = {
        "softmax_xp": partial(_next_step, ours, cycle([backend.put(index) for index in indices]))
    }
    before: dict[str, Callable[[], Any]] = {}
    if torch is not None:
        _add_torch(contestants, before, torch, torch_device(backend), indices, ours, (X, y))
    try:
        seconds = race(contestants, effort, synchronise=lambda: _synchronise(backend, torch), before=before)
    finally:
        if "PyTorch" in before:
            before["PyTorch"]()
    return _line(batch, target, seconds)


def _add_torch(
    contestants: dict[str, Callable[[], Any]],
    before: dict[str, Callable[[], Any]],
    torch: Any,
    device: str,
    indices: Sequence[Any],
    ours: "_OurStep",
    data: tuple[Any, Any],
) -> None:
    """Add PyTorch's step, and on a CPU the same with one thread; see that it computes what ours does."""
    n_classes = ours.problem.shape[2]
    batches = [torch.from_numpy(index).to(device) for index in indices]
    peer = TorchStep(torch, device, *data, n_classes, _LEARNING_RATE)
    contestants["PyTorch"] = partial(_next_step, peer, cycle(batches))
    _check_agreement(contestants, ours, peer)
    threads = torch.get_num_threads()
    if device == "cpu" and threads > 1:
        single = TorchStep(torch, device, *data, n_classes, _LEARNING_RATE)
        contestants["PyTorch, 1 thread"] = partial(_next_step, single, cycle(batches))
        before["PyTorch"] = partial(torch.set_num_threads, threads)
        before["PyTorch, 1 thread"] = partial(torch.set_num_threads, 1)
        # Ours may itself compute with PyTorch (device "torch:cpu").
        before["softmax_xp"] = before["PyTorch"]


def _line(batch: int, target: float, seconds: Mapping[str, list[float]]) -> Line:
    """Hold ours against the fastest peer."""
    medians = {name: median_seconds(times) for name, times in seconds.items()}
    cells = {"batch": str(batch)} | {name: milliseconds(value) for name, value in medians.items()}
    record: dict[str, Any] = {"batch": batch, "target": target, "met": None, "seconds": medians}
    speed, met = "skipped", "-"
    peers = [name for name in seconds if name != "softmax_xp"]
    if peers:
        fastest = min(peers, key=medians.__getitem__)
        faster = ratio(seconds[fastest], seconds["softmax_xp"])
        record |= {"fastest_peer": fastest, "times_as_fast": faster._asdict(), "met": faster.median >= target}
        speed, met = times_text(faster), verdict(met=record["met"])
    return Line(cells | {"times as fast (range)": speed, "target": f">= {target}x", "met": met}, record)


class _OurStep:
    """The Trainer's step with its carry, called with one batch after the other."""

    def __init__(self, backend: Backend, X: Any, y: Any, batch: int) -> None:
        self.problem = prepare_problem(
            X,
            y,
            sample_weight=None,
            validation=None,
            classes=None,
            device=backend,
            dtype=None,
            standardize=False,
            loss=sx.CrossEntropy(),
            penalty=None,
        )
        self.optimizer = sx.Adam(_LEARNING_RATE)
        self.settings = Settings(self.optimizer, sx.Constant(), None, None, 1, 1, 0, True, False, (), False)
        dtype, (_, n_features, n_classes) = self.problem.train.dtype, self.problem.shape
        xp, device = backend.xp, backend.device
        params = LinearParams(
            xp.zeros((n_features, n_classes), dtype=dtype, device=device),
            xp.zeros(n_classes, dtype=dtype, device=device),
        )
        self.carry = Carry.start(params, self.settings, self.optimizer)

        self.fused = find_fused_steps(
            self.problem, self.optimizer, self.carry.packed, batch_size=batch, bias=self.carry.bias
        )

    def __call__(self, index: Any) -> None:
        carry = self.carry
        if self.fused is None:
            self.carry, *_ = run_step(carry, index, self.problem, self.settings, self.optimizer)
            return
        taken = self.fused.run(carry.packed, carry.optimizer_state, index)
        self.carry = Carry(taken.packed, carry.bias, taken.optimizer_state, None)


def _next_step(step: Callable[[Any], None], indices: Any) -> None:
    """Take a step on the next batch."""
    step(next(indices))


def _check_agreement(contestants: Mapping[str, Callable[[], Any]], ours: _OurStep, peer: TorchStep) -> None:
    """Take some steps with both; they must stay together."""
    for _ in range(_CHECKED_STEPS):
        for call in contestants.values():
            call()
    weight = to_host(ours.carry.params.weight)
    error = np.abs(to_host(peer.layer.weight).T - weight).max() / np.abs(weight).max()
    assert error < 1e-3, f"PyTorch's step computes something else: relative difference {error:.1e}"


def _synchronise(backend: Backend, torch: Any) -> None:
    """Wait for both libraries."""
    backend.synchronise()
    if torch is not None and "cuda" in backend.name:
        torch.cuda.synchronize()
