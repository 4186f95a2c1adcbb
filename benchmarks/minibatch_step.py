# SPDX-License-Identifier: BSD-3-Clause
"""One training step (gather, loss, gradient, Adam) against PyTorch eager with its fused Adam.

Ours is what the Trainer calls, a kernel where the device has one; beside what PyTorch's step does it also counts the
hits of the batch. All train one linear layer with a bias, take the batches of the same shuffled order in turn, and must
arrive at the same weights before anything is timed. On a CPU PyTorch takes part twice, with its own choice of threads
and with one, which suits small batches better; the target is held against the faster of the two. What ``torch.compile``
makes of its step must be slower than ours besides. With NumPy, ours takes part a second time where Numba is installed
(``SOFTMAX_XP_KERNELS=numba``).
"""

__all__ = ["SHAPE", "TARGETS", "measure"]

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
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
_COMPILED = "PyTorch, compiled"
_VARIABLE = "SOFTMAX_XP_KERNELS"


def measure(
    device: str,
    effort: Effort,
    shape: tuple[int, int, int] = SHAPE,
    targets: Mapping[int, float] | None = None,
    *,
    compiled: bool = True,
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
    compiled : bool, default: True
        Whether what takes seconds to compile takes part: ``torch.compile`` and Numba.

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
    numba = compiled and backend.name == "cpu" and find_spec("numba") is not None
    lines = []
    for batch, target in (TARGETS if targets is None else targets).items():
        ours = {"softmax_xp": _OurStep(backend, X, y, batch)}
        if numba:
            with _kernels_of_numba():
                ours["softmax_xp, Numba"] = _OurStep(backend, X, y, batch)
        lines.append(_measure_batch(backend, torch, effort, (X, y), batch, target, ours, notes, compiled=compiled))
    notes.append("PyTorch: index_select, nn.Linear, cross_entropy, backward, Adam(fused=True); ours also counts hits")
    if compiled:
        notes.append("compiled: torch.compile of all that but Adam, with PyTorch's own choice of threads")
    title = f"Minibatch step: {n_samples} x {n_features} x {n_classes} float32, Adam, on {backend.name}"
    return Table("minibatch_step", title, lines, notes)


def _measure_batch(
    backend: Backend,
    torch: Any,
    effort: Effort,
    data: tuple[Any, Any],
    batch: int,
    target: float,
    ours: "Mapping[str, _OurStep]",
    notes: list[str],
    *,
    compiled: bool,
) -> Line:
    """Measure one batch size."""
    order = epoch_order(0, 0, data[0].shape[0])
    indices = [order[start : start + batch] for start in range(0, data[0].shape[0] - batch + 1, batch)]
    on_device = [backend.put(index) for index in indices]
    contestants: dict[str, Callable[[], Any]] = {
        name: partial(_next_step, step, cycle(on_device)) for name, step in ours.items()
    }
    if torch is not None:
        peers = _torch_peers(torch, torch_device(backend), data, ours["softmax_xp"].problem.shape[2], compiled=compiled)
        tensors = [torch.from_numpy(index).to(torch_device(backend)) for index in indices]
        contestants |= {name: partial(_next_step, step, cycle(tensors)) for name, step in peers.items()}
        _check_agreement(contestants, {**ours, **peers}, notes)
    set_threads = None if torch is None else torch.set_num_threads
    threads = 1 if torch is None else torch.get_num_threads()
    epoch = ExitStack()
    before = {name: partial(_begin, epoch, ours.get(name), set_threads, threads) for name in contestants}
    if "PyTorch, 1 thread" in contestants:
        before["PyTorch, 1 thread"] = partial(_begin, epoch, None, set_threads, 1)
    try:
        seconds = race(contestants, effort, synchronise=lambda: _synchronise(backend, torch), before=before)
    finally:
        _begin(epoch, None, set_threads, threads)
    return _line(batch, target, seconds)


def _begin(epoch: ExitStack, ours: "_OurStep | None", set_threads: Callable[[int], None] | None, threads: int) -> None:
    """Leave what the contestant before held through its epoch, and enter what ours holds; set PyTorch's threads."""
    epoch.close()
    if set_threads is not None:
        set_threads(threads)  # ours may itself compute with PyTorch (device "torch:cpu")
    if ours is not None and ours.fused is not None:
        epoch.enter_context(ours.fused.epoch())


def _torch_peers(torch: Any, device: str, data: tuple[Any, Any], n_classes: int, *, compiled: bool) -> dict[str, Any]:
    """Return PyTorch's step, on a CPU the same for one thread, and what its compiler makes of it."""
    make = partial(TorchStep, torch, device, *data, n_classes, _LEARNING_RATE)
    peers = {"PyTorch": make()}
    if device == "cpu" and torch.get_num_threads() > 1:
        peers["PyTorch, 1 thread"] = make()
    if compiled:
        peers[_COMPILED] = make(compiled=True)
    return peers


def _line(batch: int, target: float, seconds: Mapping[str, list[float]]) -> Line:
    """Hold each of ours against the fastest peer that is not compiled, and against the compiled one."""
    medians = {name: median_seconds(times) for name, times in seconds.items()}
    cells = {"batch": str(batch)} | {name: milliseconds(value) for name, value in medians.items()}
    record: dict[str, Any] = {"batch": batch, "target": target, "seconds": medians}
    eager = [name for name in seconds if name.startswith("PyTorch") and name != _COMPILED]
    cells["target"] = f">= {target}x"
    for name in [name for name in seconds if name.startswith("softmax_xp")]:
        suffix = name.removeprefix("softmax_xp")
        speed, met, held = "skipped", "-", None
        if eager:
            record["fastest_peer"] = min(eager, key=medians.__getitem__)
            faster = ratio(seconds[record["fastest_peer"]], seconds[name])
            held = faster.median >= target
            record["times_as_fast" + suffix] = faster._asdict()
            if _COMPILED in seconds:
                beside = ratio(seconds[_COMPILED], seconds[name])
                record["times_as_fast_as_compiled" + suffix] = beside._asdict()
                held = held and beside.median > 1.0
            speed, met = times_text(faster), verdict(met=held)
        record["met" + suffix] = held
        cells |= {f"times as fast{suffix} (range)": speed, "met" + suffix: met}
    return Line(cells, record)


@contextmanager
def _kernels_of_numba() -> Iterator[None]:
    """Ask for Numba's kernels."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "numba"
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE)
        if before is not None:
            os.environ[_VARIABLE] = before


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


def _check_agreement(contestants: dict[str, Callable[[], Any]], steps: Mapping[str, Any], notes: list[str]) -> None:
    """Take some steps with each; they must stay together. A compiler that does not work leaves the race."""
    for name, call in list(contestants.items()):
        try:
            for _ in range(_CHECKED_STEPS):
                call()
        except Exception as error:
            if name != _COMPILED:
                raise
            del contestants[name]
            notes.append(f"{name}: skipped, {str(error).strip().splitlines()[0]}")
    weight = to_host(steps["softmax_xp"].carry.params.weight)
    for name in contestants:
        other = _weight_of(steps[name])
        error = np.abs(other - weight).max() / np.abs(weight).max()
        assert error < 1e-3, f"{name}'s step computes something else: relative difference {error:.1e}"


def _weight_of(step: Any) -> Any:
    """Return the weights that a contestant has come to, of shape (n_features, n_classes)."""
    return to_host(step.carry.params.weight) if isinstance(step, _OurStep) else to_host(step.layer.weight).T


def _synchronise(backend: Backend, torch: Any) -> None:
    """Wait for both libraries."""
    backend.synchronise()
    if torch is not None and "cuda" in backend.name:
        torch.cuda.synchronize()
