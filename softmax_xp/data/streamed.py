# SPDX-License-Identifier: BSD-3-Clause
"""Samples of a source as the ``X`` of an objective: a third kind beside dense and sparse arrays.

A pass over the data asks for its chunks by :func:`chunks_of`. A streamed chunk is a promise, and is read when the
computation asks for it: a pass that has kept the logits of before reads nothing.

What the system's cache holds is best read by the thread that computes: it is then in that core's cache, and a pass
takes as long as over an array. (Read ahead by another thread it took a third longer; measured.) Where reading is slow,
from a disk or through a decoder, one thread reads the next chunks while this one is computed; a chunk that it has not
begun is read by whoever needs it. So it does where chunks go to an accelerator, whose host has nothing else to do.

Buffers go back into use when nobody holds a view of them: see :class:`softmax_xp.data.buffers.Buffers`. A few of them,
of some megabytes each, are all the memory that a pass over any number of samples takes.

Sparse samples come as sparse arrays: see :mod:`softmax_xp.data.sparse_reading`.

The first read of each row checks that it is finite. So the first pass over all rows, which measures the features,
validates the data too.
"""

__all__ = ["StreamedChunk", "StreamedRows", "chunks_of", "is_slow_read", "is_streamed", "loaded", "stream_matrix"]

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from time import perf_counter
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import Backend, backend_of, to_host
from softmax_xp.data.buffers import Buffers
from softmax_xp.data.row_checks import check_entries, check_rows
from softmax_xp.data.source import Source, SparseSource, is_sparse_source, rows_at
from softmax_xp.data.sparse import row_slice
from softmax_xp.data.sparse_reading import SparseReader
from softmax_xp.data.upload import Landing, Uploads, uploads_of
from softmax_xp.typing import Array

# Chunks that are read ahead of those that are computed.
_AHEAD = 2
# A chunk whose read took longer than this, and than this speed, came from a disk or through a decoder.
_PAUSE_SECONDS, _CACHED_BYTES_PER_SECOND = 2e-4, 1e9
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
    engine : object, optional
        Whoever goes over the data in other processes, see :mod:`softmax_xp.objectives.remote`.
    """

    def __init__(self, source: Source, backend: Backend, largest: float = np.inf, engine: Any = None) -> None:
        self.source, self.backend, self.largest, self.engine = source, backend, largest, engine
        self.shape: tuple[int, int] = source.shape
        self.dtype: Any = backend.put(np.empty(0, dtype=source.dtype)).dtype
        self._sparse = SparseReader(cast("SparseSource", source), backend) if is_sparse_source(source) else None
        self.uploads: Uploads | None = uploads_of(backend)
        self._buffers = Buffers(self.uploads)
        self.cache: Any = None  # blocks for minibatches, see :mod:`softmax_xp.data.shuffled`
        self._sample: tuple[int, Any] | None = None
        # One byte for each sample: whether it has been looked at.
        self._checked = np.full(self.shape[0], source.dtype.kind != "f")

    def __repr__(self) -> str:
        """Show what and how large, never the rows."""
        return f"StreamedRows({self.source.name!r}, shape={self.shape}, dtype={self.source.dtype})"

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    @property
    def is_sparse(self) -> bool:
        """Whether chunks are sparse arrays."""
        return self._sparse is not None

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Where the rows of sparse samples begin among the entries, as SciPy calls it; shape (n_samples + 1,)."""
        assert self._sparse is not None  # noqa: S101 - who asks knows that they are sparse
        return self._sparse.limits

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

    def put(self, rows: Any) -> Any:
        """Bring rows that were read to where they are computed: array, or sparse array, of shape (some, n_features)."""
        return self.backend.put(rows) if self._sparse is None else self._sparse.put(rows)

    def read(self, part: slice | NDArray[np.int64]) -> Any:
        """Read some rows into memory of the host.

        Parameters
        ----------
        part : slice or array of int, shape (some,)
            Which.

        Returns
        -------
        numpy.ndarray, or scipy.sparse.csr_array, of shape (some, n_features)
            Not to be written to, since its memory is used again.

        Raises
        ------
        InvalidValueError
            For NaN, infinity, and what is too large for the float of the computation.
        """
        n_samples, n_features = self.shape
        numbers = range(*part.indices(n_samples)) if isinstance(part, slice) else part
        if self._sparse is not None:
            entries = self._sparse.read(numbers)
            if not self._checked[part].all():
                check_entries(entries, numbers, self.source.name, self.largest)
                self._checked[part] = True
            return entries
        rows = self._buffers.lease((len(numbers), n_features), self.source.dtype)
        if isinstance(numbers, range) and numbers.step == 1:
            self.source.read_into(numbers.start, rows)
        else:
            rows_at(self.source, np.asarray(numbers), rows)
        if not self._checked[part].all():
            check_rows(rows, numbers, self.source.name, self.largest)
            self._checked[part] = True
        rows.flags.writeable = False
        return rows

    def sample(self, every: int) -> Any:
        """Return each such row, in memory of the host; None where they would be too large to keep.

        Parameters
        ----------
        every : int
            From the first row on.

        Returns
        -------
        numpy.ndarray, or scipy.sparse.csr_array, of shape (some, n_features), or None
            The last sample is kept, since solvers ask for the same one again: read one by one its rows cost as much as
            all rows.
        """
        n_samples, n_features = self.shape
        if self._sparse is None:
            n_bytes = -(-n_samples // every) * n_features * self.source.dtype.itemsize
        else:
            n_bytes = int(np.diff(self._sparse.limits)[::every].sum()) * _entry_bytes(self.source.dtype)
        if n_bytes > _SAMPLE_BYTES:
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
        array, or sparse array, of shape (some, n_features)
            A copy.
        """
        numbers = to_host(index).astype(np.int64, copy=False)
        sample = self.sample(every) if every > 1 else None
        if sample is not None:
            return self.put(sample[numbers])
        return self.put(self.read(every * numbers))


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
        """Return the rows on the device, and see to the next ones: array, or sparse array, (some, n_features)."""
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
    return rows.put(rows.read(slice(0, rows.shape[0]))) if isinstance(rows, StreamedRows) else rows


def chunks_of(X: StreamedRows, parts: Sequence[slice]) -> Iterator[StreamedChunk | Array]:
    """Yield a promise of each part of the rows, in order.

    Parameters
    ----------
    X : StreamedRows
        The rows.
    parts : sequence of slice
        Which rows each chunk has. All have one step. Those of dense samples begin at a multiple of it.

    Yields
    ------
    StreamedChunk
        To be asked in about this order. Of a small sample the rows themselves.
    """
    every = parts[0].step or 1
    sample = X.sample(every) if every > 1 and all(part.start % every == 0 for part in parts) else None
    if sample is not None:
        for part in parts:
            some = slice(part.start // every, -(-part.stop // every))
            yield X.put(row_slice(sample, some) if X.is_sparse else sample[some])
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
        self.waiting: dict[int, Future[Any]] = {}
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
        return found.arrived() if isinstance(found, Landing) else self.rows.put(found)

    def give_up(self) -> None:
        """Read no more ahead; what is asked for all the same is read by whoever asks."""
        with self.lock:
            self.closed = True
            if self.pool is not None:
                self.pool.shutdown(wait=False, cancel_futures=True)

    def _landing(self, number: int) -> Landing | None:
        """Return where a part goes on an accelerator; the arrays of a sparse one are copied when they are used."""
        rows = self.rows
        if rows.uploads is None or rows.is_sparse:
            return None
        n_rows = len(range(*self.parts[number].indices(rows.shape[0])))
        return rows.uploads.landing((n_rows, rows.shape[1]), rows.dtype)

    def _read(self, part: slice, landing: Landing | None) -> Any:
        """Read a part, and send it on its way; this is what the thread does."""
        start = perf_counter()
        rows = self.rows.read(part)
        # Whatever the last read took, the next one is expected to take.
        seconds = perf_counter() - start
        n_bytes = rows.data.shape[0] * _entry_bytes(rows.dtype) if self.rows.is_sparse else rows.nbytes
        self.is_slow = self.rows.uploads is not None or is_slow_read(n_bytes, seconds)
        return rows if landing is None else landing.receive(rows)


def is_slow_read(n_bytes: int, seconds: float) -> bool:
    """Tell whether what was read came from a disk or through a decoder, so that reading ahead pays.

    Parameters
    ----------
    n_bytes : int
        How much was read.
    seconds : float
        How long it took.

    Returns
    -------
    bool
        False for what the system's cache held.

    Examples
    --------
    >>> is_slow_read(1 << 20, 1e-4), is_slow_read(1 << 20, 1e-2)
    (False, True)
    """
    return seconds > _PAUSE_SECONDS + n_bytes / _CACHED_BYTES_PER_SECOND


def _entry_bytes(dtype: np.dtype[Any]) -> int:
    """Return the bytes of an entry of sparse samples, with its column."""
    return 4 + dtype.itemsize
