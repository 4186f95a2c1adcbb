# SPDX-License-Identifier: BSD-3-Clause
"""Memory into which chunks are read, one after the other."""

__all__ = ["Buffers"]

import mmap
import weakref
from math import prod
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.upload import Uploads

# Buffers that wait for their next use; beyond these they go back to the system.
_MOST_WAITING = 8


@final
class Buffers:
    """Memory for chunks, which is used again once nobody holds a view of it.

    Each array that is lent is the base of all views of it, so it lives as long as the last of them, whoever holds it.
    What the system gives for large arrays is new memory each time, and to touch that first costs as much as the read.

    Parameters
    ----------
    uploads : Uploads or None
        Gives pinned memory, where there are uploads.
    """

    def __init__(self, uploads: Uploads | None) -> None:
        self.uploads = uploads
        self.waiting: list[Any] = []

    def lease(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array of any content.

        Parameters
        ----------
        shape : tuple of int
            None of them 0.
        dtype : numpy.dtype
            Of the array.

        Returns
        -------
        numpy.ndarray
            C-ordered.
        """
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
