# SPDX-License-Identifier: BSD-3-Clause
"""The progress bar of a fit."""

__all__ = ["ProgressBar"]

import importlib
from time import perf_counter
from typing import Any, final

from softmax_xp.training.meter import Meter

# Seconds between looks at the device. Each look waits for the steps under way, so they are few.
_REPORTING_INTERVAL = 0.25


@final
class ProgressBar:
    """A tqdm bar over the samples of all epochs, with loss and accuracy; nothing at all where it is off.

    Parameters
    ----------
    total : int
        Samples of the whole fit.
    enabled : bool
        Whether to show it.
    """

    def __init__(self, total: int, *, enabled: bool) -> None:
        self._bar: Any = None
        self._pending = 0
        self._due = perf_counter() + _REPORTING_INTERVAL
        if enabled:
            tqdm = importlib.import_module("tqdm.auto").tqdm
            self._bar = tqdm(total=total, unit=" samples", unit_scale=True, dynamic_ncols=True)

    def begin_at(self, n_samples: int) -> None:
        """Count what an earlier run has done."""
        self._pending += n_samples

    def step(self, n_samples: int, epoch: int, meter: Meter) -> int | None:
        """Count a step; once in a while read the meter and redraw. Returns what :meth:`Meter.read` returns."""
        if self._bar is None:
            return None
        self._pending += n_samples
        if perf_counter() < self._due:
            return None
        bad_step = meter.read()
        self.show(epoch, meter.loss, meter.accuracy)
        return bad_step

    def show(self, epoch: int, loss: float, accuracy: float) -> None:
        """Redraw."""
        if self._bar is None:
            return
        self._bar.set_description(f"epoch {epoch + 1}", refresh=False)
        self._bar.set_postfix({"loss": f"{loss:.4f}", "accuracy": f"{accuracy:.4f}"}, refresh=False)
        self._bar.update(self._pending)
        self._pending = 0
        self._due = perf_counter() + _REPORTING_INTERVAL

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._bar is not None:
            self._bar.update(self._pending)
            self._bar.close()
