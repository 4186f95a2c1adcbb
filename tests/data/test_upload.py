# SPDX-License-Identifier: BSD-3-Clause
"""The order of copies and kernels, on a CuPy that is NumPy and keeps a log.

A copy is not made when it is asked for, but when somebody waits for it: what is read into a pinned buffer too early
then shows in the rows.
"""

import ctypes
import sys
from contextlib import AbstractContextManager
from types import SimpleNamespace

import numpy as np
import pytest

from softmax_xp.backend import Backend, Capabilities
from softmax_xp.data import streamed, upload
from softmax_xp.data.source import ArraySource
from softmax_xp.data.streamed import StreamedRows, chunks_of
from softmax_xp.data.upload import Uploads, uploads_of
from softmax_xp.devices import get_backend

X = np.arange(60, dtype=np.float32).reshape(20, 3)
PARTS = [slice(start, start + 4) for start in range(0, 20, 4)]


class Device(str, AbstractContextManager):
    __slots__ = ()

    def __exit__(self, *details):
        return None


class Stream:
    """Work that is done when somebody waits for it."""

    def __init__(self, name, log):
        self.name, self.log, self.queue = name, log, []

    def wait_event(self, event):
        self.log.append((self.name, "waits for", event.name))
        self.queue.append(event.finish)

    def finish(self):
        while self.queue:
            self.queue.pop(0)()


class Event:
    numbers = 0

    def __init__(self, log):
        self.log, self.until, self.name = log, None, None

    def record(self, stream):
        Event.numbers += 1
        self.name = f"{stream.name} {Event.numbers}"
        self.until = list(stream.queue)
        stream.queue.clear()

    def finish(self):
        work, self.until = self.until, []
        for step in work:
            step()

    def synchronize(self):
        self.log.append(("host", "waits for", self.name))
        self.finish()


class DeviceArray(np.ndarray):
    """Memory of the device, to which rows are copied late."""

    def set(self, rows, stream):
        assert not rows.flags.owndata
        # The device knows an address, and keeps nothing alive.
        address, n_bytes, shape, dtype = rows.ctypes.data, rows.nbytes, rows.shape, rows.dtype

        def copy():
            found = np.frombuffer((ctypes.c_char * n_bytes).from_address(address), dtype=dtype).reshape(shape)
            np.copyto(self.view(np.ndarray), found)

        stream.queue.append(copy)


class LateCupy:
    def __init__(self):
        self.log, self.pinned = [], []
        Event.numbers = 0
        self.computing = Stream("computing", self.log)
        self.cuda = SimpleNamespace(
            Stream=lambda non_blocking: Stream("copying", self.log),
            Event=lambda disable_timing: Event(self.log),
            get_current_stream=lambda: self.computing,
            alloc_pinned_memory=self.allocate,
        )

    def allocate(self, n_bytes):
        self.pinned.append(bytearray(n_bytes))
        return self.pinned[-1]

    def empty(self, shape, dtype):
        return np.full(shape, -1, dtype=dtype).view(DeviceArray)


@pytest.fixture
def cupy(monkeypatch):
    late = LateCupy()
    monkeypatch.setitem(sys.modules, "cupy", late)
    return late


def on_device(source=None):
    backend = Backend("cuda:0", get_backend("cpu").xp, Device("cpu"), Capabilities(True, "float32", row_chunks=False))
    return StreamedRows(source or ArraySource(X), backend)


def test_other_backends_need_no_uploads():
    assert uploads_of(get_backend("cpu")) is None


def test_rows_arrive_whole_though_copies_are_late(cupy):
    rows = on_device()
    assert isinstance(rows.uploads, Uploads)
    for part, chunk in zip(PARTS, chunks_of(rows, PARTS), strict=True):
        array = chunk.get()
        cupy.computing.finish()  # what a kernel would wait for
        np.testing.assert_array_equal(array, X[part])


def test_two_pinned_buffers_take_turns_and_one_is_being_read(cupy):
    rows = on_device(ArraySource(np.tile(X, (50, 1))))
    for chunk in chunks_of(rows, [slice(start, start + 4) for start in range(0, 1000, 4)]):
        chunk.get()
        cupy.computing.finish()
    assert len(cupy.pinned) <= upload._BUFFERS + streamed._AHEAD
    assert len(rows.uploads.under_way) < upload._BUFFERS


def test_a_copy_waits_for_the_past_of_its_memory_and_the_computation_for_the_copy(cupy):
    rows = on_device()
    chunk = next(chunks_of(rows, PARTS[:1]))
    chunk.get()
    free, copied = "computing 1", "copying 2"
    assert cupy.log == [("copying", "waits for", free), ("computing", "waits for", copied)]


def test_the_host_waits_for_the_older_of_two_copies(cupy):
    rows = on_device()
    for part in PARTS[:3]:
        next(chunks_of(rows, [part])).get()
    assert [entry for entry in cupy.log if entry[0] == "host"] == [
        ("host", "waits for", "copying 2"),
        ("host", "waits for", "copying 4"),
    ]
