# SPDX-License-Identifier: BSD-3-Clause
"""Two clocks for a device: the host's, around calls and a wait for their end, and the device's own events.

The host's clock is what a user waits for. The device's leaves out what the calls cost the processor: the device is
held busy until all of them are queued, so that they follow one another without a gap. Without CUDA there is only the
host's.
"""

__all__ = ["Clock", "Timed"]

import importlib
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple, final

from benchmarks.timing import Effort, race
from softmax_xp.backend import Backend

_HOLD_SECONDS = 0.02
# At most this many calls are queued behind the hold: a full queue (1024 kernels) would make the host wait.
_MOST_QUEUED = 20
_HOLD_CYCLES = int(_HOLD_SECONDS * 1.8e9)  # at the clock of an H100; exactness does not matter
_HOLD = """
extern "C" __global__ void hold(long long cycles) {
    long long start = clock64();
    while (clock64() - start < cycles) { }
}
"""


class Timed(NamedTuple):
    """Seconds of one call: by the host's clock, and by the device's, which is None without CUDA."""

    host: float
    device: float | None

    @property
    def best(self) -> float:
        """The device's seconds where it has a clock."""
        return self.host if self.device is None else self.device


@final
class Clock:
    """Times calls on one device.

    Parameters
    ----------
    backend : Backend
        Ours; PyTorch, where it takes part, uses the same stream of the same device, the default one.
    torch : module or None
        PyTorch.
    effort : Effort
        How long to measure.
    """

    def __init__(self, backend: Backend, torch: Any, effort: Effort) -> None:
        self._backend, self._torch, self._effort = backend, torch, effort
        self._cupy = importlib.import_module("cupy") if backend.name.startswith("cuda") else None
        self._hold_kernel: Any = None

    @property
    def _has_events(self) -> bool:
        return "cuda" in self._backend.name

    def synchronise(self) -> None:
        """Wait for both libraries."""
        self._backend.synchronise()
        if self._torch is not None and self._has_events:
            self._torch.cuda.synchronize()

    def race(
        self,
        contestants: Mapping[str, Callable[[], object]],
        rounds: int | None = None,
        *,
        on_device: bool = True,
    ) -> dict[str, Timed]:
        """Time contestants side by side.

        Parameters
        ----------
        contestants : mapping of str to callable
            What to call.
        rounds : int, optional
            Instead of the effort's.
        on_device : bool, default: True
            Whether to ask the device's clock as well; what waits for the host all the time need not.

        Returns
        -------
        dict of str to Timed
            Medians, in the order of ``contestants``.
        """
        effort = self._effort
        effort = Effort(rounds or effort.rounds, effort.block_seconds, effort.settle_seconds)
        seconds = race(contestants, effort, synchronise=self.synchronise)
        medians = {name: median(times) for name, times in seconds.items()}
        return {
            name: Timed(medians[name], self.on_device(call, medians[name]) if on_device else None)
            for name, call in contestants.items()
        }

    def on_device(self, call: Callable[[], object], host_seconds: float) -> float | None:
        """Return the seconds of a call by the device's clock.

        Parameters
        ----------
        call : callable
            Queues work and does not wait for it; what waits is timed with its waiting.
        host_seconds : float
            Of a call, to choose how many can be queued while the device is held.

        Returns
        -------
        float or None
            The median of some blocks; None without CUDA.
        """
        number = max(1, min(_MOST_QUEUED, int(0.75 * _HOLD_SECONDS / max(host_seconds, 1e-9))))
        return self._queued([call] * number) if self._has_events else None

    def blocks(self, prepare: Callable[[], object], calls: Sequence[Callable[[], object]]) -> Timed:
        """Time calls that spoil their input, and so can be made only once each after it is made anew.

        Parameters
        ----------
        prepare : callable
            Makes the input of all calls; not timed.
        calls : sequence of callable
            One block.

        Returns
        -------
        Timed
            Of one call: medians over the blocks.
        """
        host = []
        for number in range(self._effort.rounds + 1):
            prepare()
            self.synchronise()
            start = perf_counter()
            for call in calls:
                call()
            self.synchronise()
            if number > 0:  # the first block wakes and compiles
                host.append((perf_counter() - start) / len(calls))
        return Timed(median(host), self._queued(calls, prepare) if self._has_events else None)

    def _queued(self, calls: Sequence[Callable[[], object]], prepare: Callable[[], object] = lambda: None) -> float:
        """Time a block by events, behind a kernel that holds the device until the block is queued."""
        seconds = []
        for _ in range(self._effort.rounds):
            prepare()
            self.synchronise()
            start, end = self._event(), self._event()
            self._hold()
            start.record()
            for call in calls:
                call()
            end.record()
            end.synchronize()
            seconds.append(self._elapsed(start, end) / len(calls))
        return median(seconds)

    def _event(self) -> Any:
        """Make an event of the library that ours computes with; both record on the default stream."""
        return self._torch.cuda.Event(enable_timing=True) if self._cupy is None else self._cupy.cuda.Event()

    def _elapsed(self, start: Any, end: Any) -> float:
        """Return the seconds between two events, which count milliseconds."""
        if self._cupy is None:
            return float(start.elapsed_time(end)) * 1e-3
        return float(self._cupy.cuda.get_elapsed_time(start, end)) * 1e-3

    def _hold(self) -> None:
        """Keep the device busy for a while."""
        if self._cupy is None:
            self._torch.cuda._sleep(_HOLD_CYCLES)
            return
        if self._hold_kernel is None:
            self._hold_kernel = self._cupy.RawKernel(_HOLD, "hold")
        # A Python integer would be passed as a C long, which has 32 bits on Windows.
        self._hold_kernel((1,), (1,), (self._cupy.int64(_HOLD_CYCLES),))
