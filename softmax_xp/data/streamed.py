# SPDX-License-Identifier: BSD-3-Clause
"""Samples of a source as the ``X`` of an objective: a third kind beside dense and sparse arrays.

A pass over the data asks for its chunks by :func:`chunks_of`. A streamed chunk is a promise, and is read when the
computation asks for it: a pass that has kept the logits of before reads nothing.

What the system's cache holds is best read by the thread that computes: it is then in that core's cache, and a pass
takes as long as over an array. (Read ahead by another thread it took a third longer; measured.) Where reading is slow,
from a disk or through a decoder, one thread reads the next chunks while this one is computed; a chunk that it has not
begun is read by whoever needs it. So it does where chunks go to an accelerator, whose host has nothing else to do.

Buffers go back into use when nobody holds a view of them: see :class:`_Buffers`. A few of them, of some megabytes each,
are all the memory that a pass over any number of samples takes.

The first read of each row checks that it is finite. So the first pass over all rows, which measures the features,
validates the data too.
"""

__all__ = ["StreamedChunk", "StreamedRows", "chunks_of", "is_streamed", "loaded", "stream_matrix"]

import mmap
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod
from threading import Lock
from time import perf_counter
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import Backend, backend_of, to_host
from softmax_xp.data.source import Source, rows_at
from softmax_xp.data.upload import Landing, Uploads, uploads_of
from softmax_xp.errors import InvalidValueError
from softmax_xp.typing import Array

# Chunks that are read ahead of those that are computed.
_AHEAD = 2
# A chunk whose read took longer than this, and than this speed, came from a disk or through a decoder.
_PAUSE_SECONDS, _CACHED_BYTES_PER_SECOND = 2e-4, 1e9
# Buffers that wait for their next use; beyond these they go back to the system.
_MOST_WAITING = 8
# Every so manieth row, of which a solver makes its estimates again and again, is kept up to this size.
_SAMPLE_BYTES = 1 << 26


def is_streamed(X: Any) -> bool:
    """Tell whether ``X`` is a :class:`StreamedRows`."""
    return isinstance(X, StreamedRows)


@final
class StreamedRows:
    """The rows of a source, on their way to where they are computed.

    Parameters
    ----------
    source : Source
        Where they are read from.
    backend : Backend
        Where they go.
    largest : float, default: inf
        The largest size that an entry may have, where the float of the computation is narrower than that of the source.
    """

    def __init__(self, source: Source, backend: Backend, largest: float = np.inf) -> None:
        self.source, self.backend, self.largest = source, backend, largest
        self.shape: tuple[int, int] = source.shape
        self.dtype: Any = backend.put(np.empty(0, dtype=source.dtype)).dtype
        self.uploads: Uploads | None = uploads_of(backend)
        self._buffers = _Buffers(self.uploads)
        # One byte for each sample: whether it has been looked at.
        self.cache: Any = None  # blocks for minibatches, see :mod:`softmax_xp.data.shuffled`
        self._sample: tuple[int, NDArray[Any]] | None = None
        self._checked = np.full(self.shape[0], source.dtype.kind != "f")

    def __repr__(self) -> str:
        """Show what and how large, never the rows."""
        return f"StreamedRows({self.source.name!r}, shape={self.shape}, dtype={self.source.dtype})"

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    def over(self, source: Source) -> "StreamedRows":
        """Return other rows on the way to the same place.

        Parameters
        ----------
        source : Source
            Where they are read from.

        Returns
        -------
        StreamedRows
            Unchecked.
        """
        return StreamedRows(source, self.backend, self.largest)

    def read(self, part: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Read some rows into memory of the host.

        Parameters
        ----------
        part : slice or array of int, shape (some,)
            Which.

        Returns
        -------
        numpy.ndarray of shape (some, n_features)
            Not to be written to, since its memory is used again.

        Raises
        ------
        InvalidValueError
            For NaN, infinity, and what is too large for the float of the computation.
        """
        n_samples, n_features = self.shape
        numbers = range(*part.indices(n_samples)) if isinstance(part, slice) else part
        rows = self._buffers.lease((len(numbers), n_features), self.source.dtype)
        if isinstance(numbers, range) and numbers.step == 1:
            self.source.read_into(numbers.start, rows)
        else:
            rows_at(self.source, np.asarray(numbers), rows)
        if not self._checked[part].all():
            self._check(rows, numbers)
            self._checked[part] = True
        rows.flags.writeable = False
        return rows

    def sample(self, every: int) -> NDArray[Any] | None:
        """Return each such row, in memory of the host; None where they would be too large to keep.

        Parameters
        ----------
        every : int
            From the first row on.

        Returns
        -------
        numpy.ndarray of shape (some, n_features) or None
            The last sample is kept, since solvers ask for the same one again: read one by one its rows cost as much as
            all rows.
        """
        n_samples, n_features = self.shape
        if -(-n_samples // every) * n_features * self.source.dtype.itemsize > _SAMPLE_BYTES:
            return None
        kept = self._sample
        if kept is None or kept[0] != every:
            kept = self._sample = every, self.read(slice(0, n_samples, every))
        return kept[1]

    def take(self, index: Array, every: int = 1) -> Array:
        """Return some rows on the device.

        Parameters
        ----------
        index : array of int, shape (some,)
            Their numbers, counted in steps of ``every``.
        every : int, default: 1
            Of a sample.

        Returns
        -------
        array of shape (some, n_features)
            A copy.
        """
        numbers = to_host(index).astype(np.int64, copy=False)
        sample = self.sample(every) if every > 1 else None
        if sample is not None:
            return self.backend.put(sample[numbers])
        return self.backend.put(self.read(every * numbers))

    def _check(self, rows: NDArray[Any], numbers: Sequence[int] | NDArray[np.int64]) -> None:
        """Refuse entries that are not finite, or too large."""
        allowed = np.isfinite(rows)
        if self.largest < np.inf:
            allowed &= np.abs(rows) <= self.largest
        if allowed.all():
            return
        place = int(np.argmin(allowed.all(axis=1)))
        column = int(np.argmin(allowed[place]))
        value, name = float(rows[place, column]), self.source.name
        where = f"row {numbers[place]}, column {column} of {name} (in the chunk of rows {numbers[0]} to {numbers[-1]})"
        if np.isfinite(value):
            msg = f"`X` must fit float32; got {value:g} at {where}. Scale it, or pass dtype='float64'."
            raise InvalidValueError(msg)
        advice = "Remove these samples or fill in the values" if np.isnan(value) else "Scale the features"
        got = "NaN" if np.isnan(value) else f"{value:g}"
        count = int(rows.size - np.count_nonzero(allowed))
        msg = f"`X` must be finite; got {got} at {where}, {count} such values in this chunk. {advice} first."
        raise InvalidValueError(msg)


def stream_matrix(source: Source, backend: Backend | None = None, dtype_name: str = "float64") -> StreamedRows:
    """Return the rows of a source on their way to a device.

    Parameters
    ----------
    source : Source
        The samples.
    backend : Backend, optional
        Where to; by default the host.
    dtype_name : str, default: "float64"
        The float of the computation, which all entries must fit.

    Returns
    -------
    StreamedRows
        Its rows are checked as they are read.
    """
    narrows = dtype_name == "float32" and source.dtype == np.float64
    largest = float(np.finfo(np.float32).max) if narrows else np.inf
    return StreamedRows(source, backend_of(np.empty(0)) if backend is None else backend, largest)


@final
class StreamedChunk:
    """The promise of some rows."""

    __slots__ = ("_number", "_reading", "shape")

    def __init__(self, reading: "_Reading", number: int, shape: tuple[int, int]) -> None:
        self._reading, self._number, self.shape = reading, number, shape

    def get(self) -> Array:
        """Return the rows on the device, and see to the next ones: array of shape (some, n_features)."""
        return self._reading.get(self._number)


def loaded(rows: Any) -> Array:
    """Return rows that are there: those of a promise, all rows of a streamed ``X``, and others as they are.

    Parameters
    ----------
    rows : array, sparse array, StreamedChunk or StreamedRows
        Any kind of rows.

    Returns
    -------
    array, or sparse array
        The rows, in the dtype in which they are stored.
    """
    if isinstance(rows, StreamedChunk):
        return rows.get()
    return rows.backend.put(rows.read(slice(0, rows.shape[0]))) if isinstance(rows, StreamedRows) else rows


def chunks_of(X: StreamedRows, parts: Sequence[slice]) -> Iterator[StreamedChunk | Array]:
    """Yield a promise of each part of the rows, in order.

    Parameters
    ----------
    X : StreamedRows
        The rows.
    parts : sequence of slice
        Which rows each chunk has. All have one step, and begin at a multiple of it.

    Yields
    ------
    StreamedChunk
        To be asked in about this order. Of a small sample the rows themselves.
    """
    every = parts[0].step or 1
    sample = X.sample(every) if every > 1 else None
    if sample is not None:
        for part in parts:
            yield X.backend.put(sample[part.start // every : -(-part.stop // every)])
        return
    reading = _Reading(X, parts)
    try:
        for number, part in enumerate(parts):
            yield StreamedChunk(reading, number, (len(range(*part.indices(X.shape[0]))), X.shape[1]))
    except GeneratorExit:  # the pass was given up: nobody wants what is being read ahead
        reading.give_up()
        raise


class _Reading:
    """One pass over a source, and its reading thread, which lives no longer: none is left for a fork to meet."""

    def __init__(self, rows: StreamedRows, parts: Sequence[slice]) -> None:
        self.rows, self.parts = rows, parts
        self.lock = Lock()
        self.pool: ThreadPoolExecutor | None = None
        self.closed = len(parts) < 2  # nothing to read ahead
        self.waiting: dict[int, Future[NDArray[Any] | Landing]] = {}
        self.begun = 0
        self.is_slow = rows.uploads is not None

    def get(self, number: int) -> Array:
        """Return a part; see to those after it."""
        with self.lock:
            future = self.waiting.pop(number, None)
            self.begun = max(self.begun, number + 1)
            while self.is_slow and not self.closed and self.begun < min(number + 1 + _AHEAD, len(self.parts)):
                self.pool = self.pool or ThreadPoolExecutor(1, thread_name_prefix="softmax_xp-read")
                self.waiting[self.begun] = self.pool.submit(
                    self._read, self.parts[self.begun], self._landing(self.begun)
                )
                self.begun += 1
            if self.pool is not None and self.begun >= len(self.parts):
                self.pool.shutdown(wait=False)  # after what it has to do
        # What the thread has not begun is not waited for.
        if future is None or future.cancel():
            found = self._read(self.parts[number], self._landing(number))
        else:
            found = future.result()
        return found.arrived() if isinstance(found, Landing) else self.rows.backend.put(found)

    def give_up(self) -> None:
        """Read no more ahead; what is asked for all the same is read by whoever asks."""
        with self.lock:
            self.closed = True
            if self.pool is not None:
                self.pool.shutdown(wait=False, cancel_futures=True)

    def _landing(self, number: int) -> Landing | None:
        """Return where a part goes on an accelerator."""
        rows = self.rows
        if rows.uploads is None:
            return None
        n_rows = len(range(*self.parts[number].indices(rows.shape[0])))
        return rows.uploads.landing((n_rows, rows.shape[1]), rows.dtype)

    def _read(self, part: slice, landing: Landing | None) -> NDArray[Any] | Landing:
        """Read a part, and send it on its way; this is what the thread does."""
        start = perf_counter()
        rows = self.rows.read(part)
        # Whatever the last read took, the next one is expected to take.
        seconds = perf_counter() - start
        self.is_slow = landing is not None or seconds > _PAUSE_SECONDS + rows.nbytes / _CACHED_BYTES_PER_SECOND
        return rows if landing is None else landing.receive(rows)


class _Buffers:
    """Memory for chunks, which is used again once nobody holds a view of it.

    Each array that is lent is the base of all views of it, so it lives as long as the last of them, whoever holds it.
    What the system gives for large arrays is new memory each time, and to touch that first costs as much as the read.
    """

    def __init__(self, uploads: Uploads | None) -> None:
        self.uploads = uploads
        self.waiting: list[Any] = []

    def lease(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array of any content."""
        n_bytes = prod(shape) * dtype.itemsize
        raw = self._find(n_bytes)
        lease = np.frombuffer(raw, dtype=dtype, count=prod(shape))
        weakref.finalize(lease, self._give_back, raw).atexit = False
        return lease.reshape(shape)

    def _find(self, n_bytes: int) -> Any:
        # Taken out before it is looked at: other threads come at any moment.
        while self.waiting:
            try:
                raw = self.waiting.pop()
            except IndexError:
                break
            if n_bytes <= len(raw):
                return raw
        return mmap.mmap(-1, n_bytes) if self.uploads is None else self.uploads.pinned(n_bytes)

    def _give_back(self, raw: Any) -> None:
        if len(self.waiting) < _MOST_WAITING:
            self.waiting.append(raw)
