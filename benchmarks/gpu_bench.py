# SPDX-License-Identifier: BSD-3-Clause
"""What the sections of the GPU benchmark share: the devices, the sizes, the time that is left, and the results.

A section is a function of a :class:`Bench`. It adds lines to ``bench.table``, and writes the numbers that have a
prediction to ``bench.measured``. Whatever may fail or be missing runs in :meth:`Bench.attempt`, which turns an error
into a note, so that one contestant who stumbles does not end the race.
"""

__all__ = ["FULL", "QUICK", "Bench", "Sizes"]

import gc
import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import time
from typing import Any, NamedTuple, final

from benchmarks.gpu_clock import Clock
from benchmarks.report import Line, Table
from benchmarks.timing import Effort
from benchmarks.torch_peer import torch_beside, torch_device
from softmax_xp.backend import Backend

Shape = tuple[int, int, int]


class Sizes(NamedTuple):
    """How large everything is. Shapes are n_samples, n_features, n_classes."""

    copy_numbers: int  # float32
    square: int
    small: Shape
    batches: tuple[int, ...]  # the first one is the target's
    epochs: int
    large: Shape
    large_rows: int  # to which the large full batch is extrapolated
    many: Shape
    cross_entropy: tuple[tuple[int, int], ...]  # n_samples, n_classes
    checked_rows: int
    rotation_bytes: int  # inputs are rotated through copies of that size: far more than an L2 cache
    effort: Effort


FULL = Sizes(
    copy_numbers=1_000_000_000,
    square=8192,
    small=(60000, 784, 10),
    batches=(128, 50, 512),
    epochs=6,
    large=(163840, 768, 1000),
    large_rows=1_280_000,
    many=(8192, 1024, 250000),
    # One gigabyte of float32 each.
    cross_entropy=((262144, 1000), (65536, 4096), (8192, 32768), (1024, 250000)),
    checked_rows=512,
    rotation_bytes=1 << 28,
    effort=Effort(rounds=7, block_seconds=0.08, settle_seconds=0.04),
)
QUICK = Sizes(
    copy_numbers=100_000,
    square=64,
    small=(620, 20, 10),
    batches=(128, 50),
    epochs=3,
    large=(300, 24, 40),
    large_rows=600,
    many=(64, 16, 500),
    cross_entropy=((64, 1000), (16, 4096)),
    checked_rows=32,
    rotation_bytes=1 << 16,
    effort=Effort(rounds=2, block_seconds=0.0, settle_seconds=0.0),
)


@final
class Bench:
    """The state of a run.

    Parameters
    ----------
    backend : Backend
        Where ours computes; PyTorch takes part on the same device if it can.
    sizes : Sizes
        ``FULL`` or ``QUICK``.
    with_compile : bool
        Whether ``torch.compile`` takes part; it needs a compiler and minutes.
    measured : mapping of str to float, optional
        What an earlier process of this run measured.
    announce : callable, optional
        Called after each new line, so that what was measured outlives a crash.
    """

    def __init__(
        self,
        backend: Backend,
        sizes: Sizes,
        *,
        with_compile: bool,
        measured: Mapping[str, float] | None = None,
        announce: Callable[["Bench"], object] | None = None,
    ) -> None:
        self.backend, self.xp, self.sizes, self.with_compile = backend, backend.xp, sizes, with_compile
        self.torch, self.torch_reason = torch_beside(backend)
        self.torch_device = torch_device(backend)
        self.measured: dict[str, float] = dict(measured or {})
        self.wrong: set[str] = set()
        self.clock = Clock(backend, self.torch, sizes.effort)
        self.table = Table("", "", [])
        self._announce = announce
        self._deadline = float("inf")

    @property
    def is_cuda(self) -> bool:
        """Whether ours computes on a CUDA device, through CuPy or PyTorch."""
        return "cuda" in self.backend.name

    @property
    def uses_cupy(self) -> bool:
        """Whether ours computes through CuPy."""
        return self.backend.name.startswith("cuda")

    def begin(self, name: str, deadline: float) -> None:
        """Start a section, which should end at `deadline`, in seconds of :func:`time.time`."""
        self.table, self._deadline = Table(name, "", []), deadline

    def title(self, text: str) -> None:
        """Say what the section measures."""
        self.table = Table(self.table.name, f"{text}, on {self.backend.name}", self.table.lines, self.table.notes)

    def add(self, cells: Mapping[str, str], **record: Any) -> None:
        """Add a line to the section's table."""
        self.table.lines.append(Line(cells, record))
        if self._announce is not None:
            self._announce(self)

    def note(self, text: str) -> None:
        """Add a note, unless it is there already."""
        if text not in self.table.notes:
            self.table.notes.append(text)

    def seconds_left(self) -> float:
        """Return how much of the section's time is left."""
        return self._deadline - time()

    def attempt(self, name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a function; None and a note where it fails, or where the section has no time left for it."""
        if self.seconds_left() <= 0:
            self.note(f"{name}: skipped, the section's time is spent")
            return None
        try:
            return function(*arguments, **options)
        except Exception as error:  # noqa: BLE001 - the point: whatever one contestant does, the others go on
            self.note(f"{name}: failed, {describe(error)}")
            return None

    def peers(self) -> Any:
        """Return PyTorch, or None and a note saying why it does not take part."""
        if self.torch is None:
            self.note(f"PyTorch: skipped, {self.torch_reason}")
        return self.torch

    def may_compile(self) -> bool:
        """Tell whether torch.compile takes part, with a note where it does not."""
        if not self.with_compile:
            self.note("torch.compile: skipped, it was not asked for (--compile)")
        return self.with_compile

    def release(self) -> None:
        """Give the memory of what was dropped back to the device."""
        gc.collect()
        if self.uses_cupy:
            importlib.import_module("cupy").get_default_memory_pool().free_all_blocks()
        if self.torch is not None and "cuda" in self.torch_device:
            self.torch.cuda.empty_cache()

    def is_healthy(self) -> bool:
        """Tell whether the device still computes: after an illegal access no call of this process succeeds any more."""
        with suppress(Exception):
            self.clock.synchronise()
            ones = self.xp.ones((2, 2), dtype=self.xp.float32, device=self.backend.device)
            total = float(self.xp.sum(ones @ ones))
            if self.torch is not None:
                total += float(self.torch.ones(2, device=self.torch_device).sum())
            return total in {8.0, 10.0}
        return False


def describe(error: BaseException) -> str:
    """Say in one line what went wrong."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
