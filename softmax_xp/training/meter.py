# SPDX-License-Identifier: BSD-3-Clause
"""What the steps of an epoch leave behind, and the few moments when the host reads it."""

__all__ = ["Meter"]

from math import fsum, isfinite
from typing import NamedTuple, final

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
    over its samples, whatever the batch sizes, and the first bad sample gives away the step that went wrong.

    Parameters
    ----------
    backend : Backend
        Where the steps run.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._pending: list[_Batch] = []
        self._steps_read = 0
        self._loss = self._weight = self._hits = self._counted = 0.0

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
        values = self._joined([batch.value for batch in pending])
        hits = self._joined([batch.hits for batch in pending])
        total = float(values.sum(dtype="float64"))  # host: one read for many steps
        if not isfinite(total):
            for step, start in enumerate(_starts(lengths)):
                if not isfinite(float(values[start : start + lengths[step]].sum(dtype="float64"))):
                    return self._steps_read + step
        self._loss = fsum((self._loss, total))
        if pending[0].weight is None:
            self._weight += len(values)
        else:
            self._weight += float(self._joined([batch.weight for batch in pending]).sum(dtype="float64"))
        if pending[0].sample_weight is None:
            self._hits += float(hits.sum())
            self._counted += len(values)
        else:
            counted = self._joined([batch.sample_weight for batch in pending]).astype("float64")
            self._hits += float(counted[hits].sum())
            self._counted += float(counted.sum())
        self._steps_read += len(lengths)
        return None

    @property
    def loss(self) -> float:
        """Mean loss of what was read, in nats."""
        return self._loss / self._weight if self._weight else 0.0

    @property
    def accuracy(self) -> float:
        """Weighted share of hits in what was read."""
        return self._hits / self._counted if self._counted else 0.0

    def _joined(self, arrays: list[Array]) -> Array:
        """Join device arrays and read them."""
        return to_host(arrays[0] if len(arrays) == 1 else self._backend.xp.concat(arrays))


def _lengths(batch: _Batch) -> list[int]:
    """Return the samples of each step."""
    n_samples = batch.value.shape[0]
    return [min(batch.size, n_samples - start) for start in range(0, n_samples, batch.size)]


def _starts(lengths: list[int]) -> list[int]:
    """Return where each of some consecutive pieces begins."""
    starts, position = [], 0
    for length in lengths:
        starts.append(position)
        position += length
    return starts
