# SPDX-License-Identifier: BSD-3-Clause
"""Rows on their way to a CUDA device: read into pinned memory, and copied on a stream of their own.

While the device computes one chunk, the next one is copied, and the one after it is read from the disk. Three things
keep that right:

- A pinned buffer is read into again only when its copy has been made: at most two copies are under way.
- The device's memory is asked for by the computing thread. What that memory held before was used by kernels that stand
  before this moment in the computing stream; the copy waits for it.
- The computing stream waits for the copy before the first kernel that uses the rows.

The host waits for the device only where both buffers are still being copied.
"""

__all__ = ["Landing", "Uploads", "uploads_of"]

import importlib
from collections import deque
from typing import Any, final

from numpy.typing import NDArray

from softmax_xp.backend import Backend
from softmax_xp.typing import Array

# Pinned buffers in turn.
_BUFFERS = 2


def uploads_of(backend: Backend) -> "Uploads | None":
    """Return the way to a CUDA device; None for other backends, to which ``put`` is the way."""
    return Uploads(backend, importlib.import_module("cupy")) if backend.name.startswith("cuda") else None


@final
class Uploads:
    """Copies to one device, on one stream.

    Parameters
    ----------
    backend : Backend
        The device.
    cupy : module
        CuPy.
    """

    def __init__(self, backend: Backend, cupy: Any) -> None:
        self.backend, self.cupy = backend, cupy
        with backend.device:
            self.stream = cupy.cuda.Stream(non_blocking=True)
        self.under_way: deque[tuple[Any, NDArray[Any]]] = deque()  # events, and the rows that must stay until then

    def pinned(self, n_bytes: int) -> memoryview:
        """Return memory of the host from which the device copies by itself."""
        with self.backend.device:
            return memoryview(self.cupy.cuda.alloc_pinned_memory(n_bytes)).cast("B")

    def landing(self, shape: tuple[int, int], dtype: Any) -> "Landing":
        """Return where some rows will go; for the computing thread, in whose stream the memory's past lies."""
        return Landing(self, shape, dtype)

    def note(self, copied: Any, rows: NDArray[Any]) -> None:
        """Keep rows until the event of their copy; wait where too many are under way."""
        self.under_way.append((copied, rows))
        while len(self.under_way) >= _BUFFERS:
            self.under_way.popleft()[0].synchronize()


@final
class Landing:
    """Memory of the device for some rows, and the events before and after they are copied there.

    Parameters
    ----------
    uploads : Uploads
        The way there.
    shape : tuple of int
        ``(some, n_features)``.
    dtype : dtype
        Of the rows.
    """

    def __init__(self, uploads: Uploads, shape: tuple[int, int], dtype: Any) -> None:
        cupy = uploads.cupy
        self.uploads = uploads
        with uploads.backend.device:
            self.array = cupy.empty(shape, dtype=dtype)
            self.free, self.copied = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
            self.free.record(cupy.cuda.get_current_stream())

    def receive(self, rows: NDArray[Any]) -> "Landing":
        """Begin to copy; any thread may do so.

        Parameters
        ----------
        rows : numpy.ndarray of shape (some, n_features)
            In pinned memory.

        Returns
        -------
        Landing
            This one.
        """
        with self.uploads.backend.device:
            self.uploads.stream.wait_event(self.free)
            self.array.set(rows, stream=self.uploads.stream)
            self.copied.record(self.uploads.stream)
            self.uploads.note(self.copied, rows)
        return self

    def arrived(self) -> Array:
        """Return the rows; what the computing stream does from now on waits for them, the host does not."""
        with self.uploads.backend.device:
            self.uploads.cupy.cuda.get_current_stream().wait_event(self.copied)
        return self.array
