# SPDX-License-Identifier: BSD-3-Clause
"""What the steps of an epoch leave behind, and the few moments when the host reads it."""

__all__ = ["Meter"]

from collections.abc import Mapping
from itertools import groupby
from math import fsum, inf, isfinite
from typing import Any, NamedTuple, final

from softmax_xp.backend import Backend, to_host
from softmax_xp.losses import Targets
from softmax_xp.typing import Array


class _Batch(NamedTuple):
    """The leavings of one batch, or of several in a row, still on the device."""

    size: int  # samples of each batch but the last
    value: Array  # (batch,) weighted losses
    hits: Array  # (batch,) bool
    weight: Array | None  # (batch,) what the loss divides by
    sample_weight: Array | None  # (batch,) what the accuracy divides by


@final
class Meter:
    """Running loss and accuracy of an epoch.

    A step appends references to arrays that it made anyway: no reduction, no copy, no synchronisation. At a reading
    they are joined, moved to the host in one piece and summed there in float64, so the loss of an epoch is the mean
    over its samples, whatever the batch sizes, and the first bad sample gives away the step that went wrong. The sums
    of the steps are added exactly: readings, which a progress bar or a checkpoint makes now and then, change no bit.

    Parameters
    ----------
    backend : Backend
        Where the steps run.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._pending: list[_Batch] = []
        self._steps_read = 0
        # Exact sums, as few numbers that add up to each: so it does not matter when, and how often, they are read.
        self._sums = {name: list[float]() for name in ("loss", "weight", "hits", "counted")}

    def add(self, value: Array, hits: Array, targets: Targets, batch_size: int | None = None) -> None:
        """Take the leavings of a step, or of several steps that have ``batch_size`` samples each."""
        size = value.shape[0] if batch_size is None else batch_size
        self._pending.append(_Batch(size, value, hits, targets.weight, targets.sample_weight))

    def read(self) -> int | None:
        """Bring everything pending to the host. This is the host synchronisation of a training run.

        Returns
        -------
        int or None
            The first step, counted within the epoch, whose loss is not finite.
        """
        pending, self._pending = self._pending, []
        if not pending:
            return None
        lengths = [length for batch in pending for length in _lengths(batch)]
        hits = self._joined([batch.hits for batch in pending])
        losses = _step_sums(self._joined([batch.value for batch in pending]), lengths)
        if not all(map(isfinite, losses)):
            return self._steps_read + next(step for step, loss in enumerate(losses) if not isfinite(loss))
        self._add("loss", losses)
        if pending[0].weight is None:
            self._add("weight", [sum(lengths)])
        else:
            self._add("weight", _step_sums(self._joined([batch.weight for batch in pending]), lengths))
        if pending[0].sample_weight is None:
            self._add("hits", [float(hits.sum())])
            self._add("counted", [sum(lengths)])
        else:
            counted = self._joined([batch.sample_weight for batch in pending])
            self._add("hits", _step_sums(counted * hits, lengths))
            self._add("counted", _step_sums(counted, lengths))
        self._steps_read += len(lengths)
        return None

    def _add(self, name: str, numbers: list[float]) -> None:
        """Add to one of the sums, exactly."""
        self._sums[name] = _exact_sum([*self._sums[name], *numbers])

    def _sum(self, name: str) -> float:
        """Return one of the sums, rounded once."""
        return self._sums[name][0] if self._sums[name] else 0.0

    def state(self) -> dict[str, Any]:
        """Return what was read, for a checkpoint; nothing may be pending."""
        return {"steps_read": self._steps_read, **self._sums}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""
        self._steps_read = state["steps_read"]
        self._sums = {name: list(state[name]) for name in self._sums}

    @property
    def loss(self) -> float:
        """Mean loss of what was read, in nats."""
        return self._sum("loss") / self._sum("weight") if self._sum("weight") else 0.0

    @property
    def accuracy(self) -> float:
        """Weighted share of hits in what was read."""
        return self._sum("hits") / self._sum("counted") if self._sum("counted") else 0.0

    def _joined(self, arrays: list[Array]) -> Array:
        """Join device arrays and read them."""
        return to_host(arrays[0] if len(arrays) == 1 else self._backend.xp.concat(arrays))


def _lengths(batch: _Batch) -> list[int]:
    """Return the samples of each step."""
    n_samples = batch.value.shape[0]
    return [min(batch.size, n_samples - start) for start in range(0, n_samples, batch.size)]


def _step_sums(values: Any, lengths: list[int]) -> list[float]:
    """Add up each of some consecutive pieces in float64, in an order that depends on its length alone."""
    sums, start = list[float](), 0
    for length, alike in groupby(lengths):
        stop = start + length * len(list(alike))
        sums += values[start:stop].astype("float64").reshape((-1, length)).sum(axis=1).tolist()
        start = stop
    return sums


def _exact_sum(numbers: list[float]) -> list[float]:
    """Return few numbers with the same sum, before any rounding; the first is that sum, rounded.

    Each further one is what the ones before it leave, until nothing is left.
    """
    few = list[float]()
    try:
        while rest := fsum([*numbers, *(-number for number in few)]):
            few.append(rest)
    except OverflowError:
        return [inf]
    return few
