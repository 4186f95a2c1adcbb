# SPDX-License-Identifier: BSD-3-Clause
"""CuPy's launcher, held to CuPy's interface by a stand-in that records what it is asked for."""

import ast
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError
from softmax_xp.kernels.cuda import program
from softmax_xp.kernels.cuda.program import CuPyLauncher, launcher_of
from softmax_xp.kernels.cuda.source import Kernel, kernel_text

KERNEL = Kernel("softmax_cross_entropy.cu", "row_read_twice", (("REAL", "float"),))


class Function:
    """A compiled function: its calls, and how much shared memory it was allowed."""

    def __init__(self, name):
        self.name, self.calls, self.max_dynamic_shared_size_bytes = name, [], None

    def __call__(self, grid, block, arguments, *, shared_mem):
        self.calls.append((grid, block, arguments, shared_mem))


class Device:
    attributes = {"MaxSharedMemoryPerBlockOptin": 232448, "MultiProcessorCount": 132}  # noqa: RUF012

    def __init__(self, device_id):
        self.id = device_id

    def __enter__(self):
        cupy = sys.modules["cupy"]
        cupy.entered.append(self.id)
        return self

    def __exit__(self, *_):
        return None


@pytest.fixture
def cupy(monkeypatch):
    module = ModuleType("cupy")
    module.entered, module.modules, module.functions = [], [], []
    module.cuda = SimpleNamespace(Device=Device)

    class RawModule:
        def __init__(self, *, code, options):
            module.modules.append((code, options))

        def get_function(self, name):
            module.functions.append(Function(name))
            return module.functions[-1]

    module.RawModule = RawModule
    monkeypatch.setitem(sys.modules, "cupy", module)
    program._cupy_launcher.cache_clear()
    yield module
    program._cupy_launcher.cache_clear()


def test_a_kernel_is_compiled_once_and_runs_on_its_device(cupy):
    launcher = CuPyLauncher(1)
    for _ in range(2):
        launcher.run(KERNEL, 3, 64, (np.int32(1), None), 100)
    assert cupy.modules == [(kernel_text(KERNEL.file, KERNEL.defines), ("--std=c++17",))]
    (function,) = cupy.functions
    assert function.name == "row_read_twice"
    assert function.calls == [((3,), (64,), (1, 0), 100)] * 2
    null = function.calls[0][2][1]
    assert null.dtype.itemsize == 8  # as wide as a pointer
    assert set(cupy.entered) == {1}


def test_more_shared_memory_than_usual_is_asked_for_once_and_never_lowered(cupy):
    launcher = CuPyLauncher(0)
    asked = []
    for shared_bytes in (48 * 1024, 49 * 1024, 49 * 1024, 60 * 1024, 50 * 1024):
        launcher.run(KERNEL, 1, 32, (), shared_bytes)
        asked.append(cupy.functions[0].max_dynamic_shared_size_bytes)
    assert asked == [None, 49 * 1024, 49 * 1024, 60 * 1024, 60 * 1024]


def test_no_blocks_is_no_launch(cupy):
    CuPyLauncher(0).run(KERNEL, 0, 32, ())
    assert not cupy.functions


def test_each_device_has_one_launcher(cupy):
    first = type("ndarray", (), {"__module__": "cupy"})()
    first.device = Device(0)
    second = type("ndarray", (), {"__module__": "cupy._core"})()
    second.device = Device(1)
    assert launcher_of(first, "X") is launcher_of(first, "X")
    assert launcher_of(first, "X") is not launcher_of(second, "X")
    assert launcher_of(first, "X").shared_bytes_limit == 232448
    assert launcher_of(first, "X").n_multiprocessors == 132


class Stream:
    """A stream that can be captured."""

    log = []  # noqa: RUF012

    def __init__(self, *, non_blocking):
        assert non_blocking  # the other kind cannot be captured beside the default stream

    def __enter__(self):
        self.log.append("enter")

    def __exit__(self, *_):
        self.log.append("exit")

    def begin_capture(self):
        self.log.append("begin")

    def end_capture(self):
        self.log.append("end")
        return SimpleNamespace(launch=lambda stream: self.log.append(f"launch on {stream}"))


def test_a_graph_is_captured_on_its_own_stream_and_launched_on_the_callers(cupy):
    cupy.cuda.Stream, cupy.cuda.get_current_stream = Stream, lambda: "the caller's"
    Stream.log = []
    replay = CuPyLauncher(1).record(lambda: Stream.log.append("work"))
    assert Stream.log == ["enter", "begin", "work", "end", "exit"]
    replay()
    replay()
    assert Stream.log[5:] == ["launch on the caller's"] * 2


def test_a_stream_leaves_capture_mode_after_an_error(cupy):
    cupy.cuda.Stream, Stream.log = Stream, []

    def work():
        msg = "not while capturing"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="not while capturing"):
        CuPyLauncher(0).record(work)
    assert Stream.log == ["enter", "begin", "end", "exit"]


def test_arrays_of_another_library_are_refused():
    with pytest.raises(InvalidTypeError, match=r"`X` must be an array of CuPy; got ndarray\. Pass cupy\.asarray\(X\)"):
        launcher_of(np.zeros(1), "X")


READING = {"item", "tolist", "get", "asnumpy", "synchronize", "to_host", "scalar", "nonzero", "any", "all", "tobytes"}
# Numbers of the host that these functions convert: shapes, addresses, attributes of the device.
CONVERSIONS_OF_HOST_NUMBERS = {
    "int(n_samples)",
    "int(bias)",
    "int(bias is not None)",
    "int(self._bias)",
    "int(matrix.strides[0] // itemsize)",
    "int(n_classes)",
    "int(array.device.id)",
    "int(self._shared_bytes_limit)",
    "int(self._n_multiprocessors)",
    "int(array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr)",
}


@pytest.mark.parametrize("path", sorted(Path(program.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_launchers_never_wait_for_the_device(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    found = [
        ast.unparse(call)
        for call in calls
        if (isinstance(call.func, ast.Attribute) and call.func.attr in READING and not _is_of_a_dictionary(call))
        or (isinstance(call.func, ast.Name) and call.func.id in {"bool", "float", "int"})
    ]
    assert set(found) <= CONVERSIONS_OF_HOST_NUMBERS


def _is_of_a_dictionary(call):
    """`get` with a key and a default is the dictionaries' own."""
    return call.func.attr == "get" and len(call.args) == 2
