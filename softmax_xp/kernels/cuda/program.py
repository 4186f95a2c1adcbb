# SPDX-License-Identifier: BSD-3-Clause
"""Compile and start kernels: what a launcher must do, and the one that does it with CuPy.

The functions beside the kernels decide on grids, arguments and scratch memory and hand all that to a
:class:`Launcher`, so that the tests can run the very same decisions, and the very same text, without a GPU.
This is the one module of the kernels that names CuPy.
"""

__all__ = ["CuPyLauncher", "Launcher", "launcher_of"]

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol, final

import numpy as np

from softmax_xp.errors import InvalidTypeError
from softmax_xp.kernels.cuda.source import Kernel, kernel_text
from softmax_xp.typing import Array

# More than this must be asked for, function by function.
_SHARED_BYTES_UNASKED = 48 * 1024

# No fast mathematics: the kernels are held to the accuracy of the definition.
_OPTIONS = ("--std=c++17",)


class Launcher(Protocol):
    """Something that can run kernels on arrays."""

    @property
    def shared_bytes_limit(self) -> int:
        """The most shared memory that a block can have, in bytes."""
        ...

    @property
    def n_multiprocessors(self) -> int:
        """How many blocks, one each, run at the same time at least."""
        ...

    def run(self, kernel: Kernel, grid: int, block: int, arguments: Sequence[Any], shared_bytes: int = 0) -> None:
        """Start a kernel, and do not wait for it.

        Parameters
        ----------
        kernel : Kernel
            What to run.
        grid : int
            How many blocks; with 0 nothing is to be done.
        block : int
            How many threads in each: a multiple of 32.
        arguments : sequence
            Arrays, NumPy scalars of the exact width of the parameter, and None for a null pointer.
        shared_bytes : int, default: 0
            Shared memory of each block, in bytes.
        """
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Turn the launches of ``work`` into one, without executing them.

        Parameters
        ----------
        work : callable
            Calls :meth:`run`, and neither allocates memory nor waits.

        Returns
        -------
        callable
            Executes the launches, with the arguments that they had, on the stream that is current when it is called.

        Raises
        ------
        RuntimeError
            Where something in ``work`` cannot be recorded.
        """
        ...


@final
class CuPyLauncher:
    """Runs kernels on the current stream of a CUDA device.

    Parameters
    ----------
    device_id : int
        The device's number.
    """

    def __init__(self, device_id: int) -> None:
        self._device_id = device_id
        self._modules: dict[Any, Any] = {}
        self._functions: dict[Kernel, Any] = {}
        self._shared_bytes: dict[Kernel, int] = {}
        attributes = self._device().attributes
        self._shared_bytes_limit = attributes["MaxSharedMemoryPerBlockOptin"]
        self._n_multiprocessors = attributes["MultiProcessorCount"]

    @property
    def shared_bytes_limit(self) -> int:
        """The most shared memory that a block can have, in bytes."""
        return int(self._shared_bytes_limit)

    @property
    def n_multiprocessors(self) -> int:
        """How many blocks, one each, run at the same time at least."""
        return int(self._n_multiprocessors)

    def run(self, kernel: Kernel, grid: int, block: int, arguments: Sequence[Any], shared_bytes: int = 0) -> None:
        """Start a kernel on the current stream."""
        if grid == 0:
            return
        # Null as a number of a pointer's width: CuPy's own None has meant different things in different versions.
        values = tuple(np.uint64(0) if argument is None else argument for argument in arguments)
        with self._device():
            function = self._function(kernel)
            if shared_bytes > max(_SHARED_BYTES_UNASKED, self._shared_bytes.get(kernel, 0)):
                function.max_dynamic_shared_size_bytes = shared_bytes
                self._shared_bytes[kernel] = shared_bytes
            function((grid,), (block,), values, shared_mem=shared_bytes)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture a CUDA graph on a stream of its own, because the default stream cannot be captured.

        The graph is launched on the caller's stream: it waits for what was started there before, and what comes after
        waits for it, so no events are needed.
        """
        import cupy

        with self._device():
            stream = cupy.cuda.Stream(non_blocking=True)
            with stream:
                stream.begin_capture()
                try:
                    work()
                finally:
                    # Also after an error: a stream must not stay in capture mode.
                    graph = stream.end_capture()

        def replay() -> None:
            with self._device():
                graph.launch(cupy.cuda.get_current_stream())

        return replay

    def _device(self) -> Any:
        import cupy

        return cupy.cuda.Device(self._device_id)

    def _function(self, kernel: Kernel) -> Any:
        """Compile at the first use; CuPy keeps the machine code in a folder of the user's too."""
        if kernel not in self._functions:
            import cupy

            text = kernel.file, kernel.defines
            if text not in self._modules:
                self._modules[text] = cupy.RawModule(code=kernel_text(*text), options=_OPTIONS)
            self._functions[kernel] = self._modules[text].get_function(kernel.entry)
        return self._functions[kernel]


@cache
def _cupy_launcher(device_id: int) -> CuPyLauncher:
    return CuPyLauncher(device_id)


def launcher_of(array: Array, name: str) -> Launcher:
    """Return what runs kernels where an array lives.

    Parameters
    ----------
    array : array
        Of CuPy.
    name : str
        How the error calls it.

    Returns
    -------
    Launcher
        One for each device.

    Raises
    ------
    InvalidTypeError
        For an array of another library.
    """
    if type(array).__module__.partition(".")[0] != "cupy":
        msg = f"`{name}` must be an array of CuPy; got {type(array).__name__}. Pass cupy.asarray({name})."
        raise InvalidTypeError(msg)
    return _cupy_launcher(int(array.device.id))
