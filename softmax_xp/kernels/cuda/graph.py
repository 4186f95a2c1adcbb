# SPDX-License-Identifier: BSD-3-Clause
"""Runs of minibatch steps as CUDA graphs: recorded once, then started as a whole.

A step is two launches of a few microseconds each, and starting them from Python takes longer than that. A graph is a
recorded sequence of launches with all of their arguments, which the driver starts at once.

What is in the arguments stays as it was recorded, so whatever changes from run to run must lie in device memory at
fixed addresses: the order of the rows and the table of the rule's numbers are copied into arrays that the recording
owns. A graph holds addresses and no references; the recording keeps every array alive that it was made with.

Nothing is executed while a graph is recorded, and what is recorded must neither allocate memory nor compile. So the
first run of its kind is launched step by step, which does all of that, and the second is recorded.
"""

__all__ = ["RecordedSteps"]

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple, final

from array_api_compat import device

from softmax_xp.backend import array_namespace
from softmax_xp.kernels.cuda.arguments import address
from softmax_xp.kernels.cuda.linear_steps import LinearSteps
from softmax_xp.typing import Array

logger = logging.getLogger("softmax_xp")

# Training that keeps the parameters of the last good step apart alternates between two sets of arrays; twice that.
_MOST_RECORDINGS = 4

_Key = tuple[int, ...]


class _Recording(NamedTuple):
    """A graph, and every array whose address is in it."""

    replay: Callable[[], None]
    order: Array
    scalars: Array
    values: Array
    hits: Array
    kept: tuple[Array, ...]


@final
class RecordedSteps:
    """Takes the steps of :class:`~softmax_xp.kernels.cuda.linear_steps.LinearSteps`, all of a run in one launch.

    Parameters
    ----------
    steps : LinearSteps
        What to record.
    """

    def __init__(self, steps: LinearSteps) -> None:
        self._steps = steps
        self._is_possible = True
        self._seen: set[_Key] = set()
        self._recordings: OrderedDict[_Key, _Recording] = OrderedDict()

    def run(
        self, packed: Array, accumulators: Sequence[Array], order: Array, *, batch_size: int, scalars: Array
    ) -> tuple[Array, Array]:
        """Take as many steps as it takes to use each row of ``order`` once, in place.

        Everything happens on the caller's current stream, in the order of the calls, and nothing waits for the device.

        Parameters
        ----------
        packed : array of shape (n_features + 1, n_classes) or (n_features, n_classes)
            Weight and, below it, bias. C order. Overwritten.
        accumulators : sequence of arrays of the shape of ``packed``
            What the rule remembers. C order. Overwritten.
        order : array of int, shape (n_rows,)
            Row numbers of ``X``, on the device, each in range, which nobody checks here.
        batch_size : int
            How many rows a step takes; the last may take fewer.
        scalars : array of float, shape (n_steps, n_scalars)
            The rule's numbers for each step, on the device. C order.

        Returns
        -------
        values : array of shape (n_rows,)
            Each row's weighted loss before its step, in nats. Fresh.
        hits : array of bool, shape (n_rows,)
            Whether its first largest logit was at the label. Fresh.

        Raises
        ------
        InvalidValueError
            For shapes, dtypes or memory orders that do not fit.
        """
        key = self._key(packed, accumulators, order, batch_size, scalars)
        recording = self._recordings.get(key, None)
        if recording is None:
            if key not in self._seen or not self._is_possible:
                self._seen.add(key)
                return self._steps.run(packed, accumulators, order, batch_size=batch_size, scalars=scalars)
            recording = self._record(packed, accumulators, order, batch_size, scalars)
            if recording is None:
                return self._steps.run(packed, accumulators, order, batch_size=batch_size, scalars=scalars)
            self._recordings[key] = recording
            while len(self._recordings) > _MOST_RECORDINGS:
                # The driver keeps what it needs of a graph that still runs; the arrays' memory may go to others only in
                # the order of the stream.
                self._recordings.popitem(last=False)
        self._recordings.move_to_end(key)
        recording.order[...] = order
        recording.scalars[...] = scalars
        recording.replay()
        xp = array_namespace(packed)
        # The recording's own will be overwritten by the next run.
        return xp.asarray(recording.values, copy=True), xp.asarray(recording.hits, copy=True)

    @staticmethod
    def _key(
        packed: Array, accumulators: Sequence[Array], order: Array, batch_size: int, scalars: Array
    ) -> tuple[int, ...]:
        """Name all that a recording depends on: sizes, and addresses of what is overwritten in place."""
        places = [address(array) for array in (packed, *accumulators)]
        return (*places, *packed.shape, *order.shape, batch_size, *scalars.shape)

    def _record(
        self, packed: Array, accumulators: Sequence[Array], order: Array, batch_size: int, scalars: Array
    ) -> _Recording | None:
        """Record a run, or say once why that is impossible here."""
        xp, place = array_namespace(packed), device(packed)
        own_order = xp.empty(order.shape, dtype=xp.int64, device=place)
        own_scalars = xp.empty(scalars.shape, dtype=packed.dtype, device=place)
        values = xp.empty(order.shape, dtype=packed.dtype, device=place)
        hits = xp.empty(order.shape, dtype=xp.bool, device=place)
        scratch = self._steps.prepare(packed, batch_size)

        def work() -> None:
            self._steps.start(packed, accumulators, own_order, values, hits, batch_size=batch_size, scalars=own_scalars)

        try:
            replay = self._steps.launcher.record(work)
        except RuntimeError as error:  # which CuPy's own errors are
            self._is_possible = False
            logger.warning("Steps are launched one by one, because they could not be recorded as a graph: %s", error)
            return None
        return _Recording(replay, own_order, own_scalars, values, hits, (packed, *accumulators, *scratch))
