# SPDX-License-Identifier: BSD-3-Clause
"""A launcher that runs kernels on the CPU, on NumPy arrays, and is stricter than a GPU.

It compiles a kernel's text with g++ and `cuda_on_cpu.h`, and starts it with the launch parameters that the package
chose. It raises where the arguments are not of the parameters' kind and width, where two arrays overlap, where a
kernel writes next to an array or into a read-only one, and where threads wait for each other for ever. What lies
next to an array of floats is NaN, which spoils the result; what lies next to one of row numbers or labels is a number
so large that using it ends the process.
"""

__all__ = ["COMPILER", "ShimLauncher", "compile_kernels"]

import ctypes
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from softmax_xp.kernels.cuda.source import Kernel, kernel_text

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
COMPILER = shutil.which("g++") if sys.platform == "linux" else None
FLAGS = (
    "-std=c++17",
    "-O1",
    "-fPIC",
    "-w",
    "-U_FORTIFY_SOURCE",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
)
TROUBLES = ("", "threads wait for each other for ever", "too much shared memory", "written past the shared memory")
MARGIN = 512  # bytes on both sides of each array
LARGEST_COPY = 1 << 28  # bytes; a larger array is used where it is
ENTRY = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\(.*?\)\s+)?(\w+)\s*\(\s*(?=\w)")
# The width of a pointer, and of NumPy's scalars, as `shim_parameters` writes them.
LETTERS = {"f": "f", "i": "i", "u": "i", "b": "i"}


@cache
def _folder() -> Path:
    """Return a folder that lasts as long as the process; nothing is kept between runs of the tests."""
    folder = tempfile.TemporaryDirectory(prefix="softmax_xp_shim_")
    _KEPT.append(folder)
    # The header, with the standard library behind it, takes as long as a kernel: it is compiled once for all of them.
    copied = shutil.copy(HEADER, folder.name)
    subprocess.run([COMPILER, *FLAGS, "-x", "c++-header", copied, "-o", f"{copied}.gch"], check=True)
    return Path(folder.name)


_KEPT: list[tempfile.TemporaryDirectory] = []


@cache
def compile_kernels(text: str) -> ctypes.CDLL:
    """Compile a text, all of its kernels together, for the CPU."""
    name = hashlib.sha256(text.encode()).hexdigest()[:20]
    source, library = _folder() / f"{name}.cpp", _folder() / f"{name}.so"
    # What the preprocessor leaves: a text may hold kernels that its macros exclude.
    preprocess = [COMPILER, "-E", "-P", "-x", "c++", "-"]
    left = subprocess.run(preprocess, check=True, capture_output=True, text=True, input=text).stdout
    exports = "".join(f"SHIM_EXPORT({entry})\n" for entry in ENTRY.findall(left))
    source.write_text(f'#include "{HEADER.name}"\n{text}\n{exports}', encoding="utf-8")
    command = [COMPILER, *FLAGS, "-shared", str(source), "-o", str(library)]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[:4000]
    return ctypes.CDLL(str(library))


class _Guarded:
    """A copy of an array's memory between two margins."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.low, self.high = np.lib.array_utils.byte_bounds(array)
        self.size = self.high - self.low
        self.is_copied = self.size <= LARGEST_COPY
        if not self.is_copied:
            return
        self.margin = 0x7F if array.dtype.kind in "iu" and array.dtype.itemsize > 1 else 0xFF
        self.buffer = np.full(self.size + 2 * MARGIN + 256, self.margin, np.uint8)
        # The same place relative to 256 bytes, so that a launcher's decision about alignment holds for the copy.
        start = self.buffer.ctypes.data + MARGIN
        self.offset = MARGIN + (self.low - start) % 256
        ctypes.memmove(self.buffer.ctypes.data + self.offset, self.low, self.size)
        self.before = self.buffer.copy()

    @property
    def pointer(self) -> int:
        """Return where the copy of the array's first element is."""
        if not self.is_copied:
            return self.array.ctypes.data
        return self.buffer.ctypes.data + self.offset + (self.array.ctypes.data - self.low)

    def give_back(self) -> None:
        """Check the margins, and copy back what the kernel wrote."""
        if not self.is_copied:
            return
        for part in (slice(None, self.offset), slice(self.offset + self.size, None)):
            assert (self.buffer[part] == self.margin).all(), "written next to an array"
        if not self.array.flags.writeable:
            assert (self.buffer == self.before).all(), "written into a read-only array"
            return
        ctypes.memmove(self.low, self.buffer.ctypes.data + self.offset, self.size)


class ShimLauncher:
    """Runs kernels as if the CPU were a GPU with few multiprocessors."""

    def __init__(
        self,
        *,
        is_reversed: bool = False,
        shared_bytes_limit: int = 232448,
        n_multiprocessors: int = 3,
        edit: Callable[[str], str] = str,
    ) -> None:
        self.is_reversed = is_reversed
        self.shared_bytes_limit = shared_bytes_limit
        self.n_multiprocessors = n_multiprocessors
        self.edit = edit  # changes the text before it is compiled, to show that a test would notice
        self.launched: list[Kernel] = []
        self.recorded: list[Callable[[], None]] | None = None

    def record(self, work):
        """Collect launches, as a graph does: nothing runs, and the arguments are those of the recording for ever.

        Like a graph it keeps addresses and no references, but here an array that is gone is an error.
        """
        self.recorded = launches = []
        try:
            work()
        finally:
            self.recorded = None
        return lambda: [launch() for launch in launches]

    def run(self, kernel, grid, block, arguments, shared_bytes=0):
        assert isinstance(grid, int)
        assert 0 <= grid < 2**31
        assert isinstance(block, int)
        assert block % 32 == 0
        assert 0 < block <= 1024
        assert shared_bytes <= self.shared_bytes_limit
        if self.recorded is not None:
            held = [weakref.ref(a) if isinstance(a, np.ndarray) else a for a in arguments]
            self.recorded.append(partial(self._replay, kernel, grid, block, held, shared_bytes))
            return
        self.launched.append(kernel)
        if grid == 0:
            return
        library = compile_kernels(self.edit(kernel_text(kernel.file, kernel.defines)))
        parameters, start = library[f"{kernel.entry}_parameters"], library[f"{kernel.entry}_run"]
        parameters.restype = ctypes.c_char_p
        start.argtypes = [ctypes.c_uint, ctypes.c_uint, ctypes.c_size_t, ctypes.c_bool, ctypes.c_void_p]
        self._check_kinds(arguments, parameters().decode())
        guarded = [_Guarded(a) for a in arguments if isinstance(a, np.ndarray) and a.size]
        self._check_apart(guarded)
        copies = iter(guarded)
        values = []
        for argument in arguments:
            if argument is None or (isinstance(argument, np.ndarray) and not argument.size):
                values.append(np.uint64(0))
            elif isinstance(argument, np.ndarray):
                values.append(np.uint64(next(copies).pointer))
            else:
                values.append(argument)
        # Kept in a list: an array of pointers must not outlive what it points to.
        boxes = [np.array(value) for value in values]
        pointers = (ctypes.c_void_p * len(boxes))(*[box.ctypes.data for box in boxes])
        trouble = start(grid, block, shared_bytes, self.is_reversed, pointers)
        assert trouble == 0, TROUBLES[trouble]
        for copy in guarded:
            copy.give_back()

    def _replay(self, kernel, grid, block, held, shared_bytes):
        arguments = [a() if isinstance(a, weakref.ref) else a for a in held]
        is_gone = [isinstance(a, weakref.ref) and a() is None for a in held]
        assert not any(is_gone), "a recorded launch reads or writes an array that nobody keeps"
        self.run(kernel, grid, block, arguments, shared_bytes)

    @staticmethod
    def _check_kinds(arguments, parameters):
        """Compare each argument with its parameter: a GPU would take the wrong bytes without a word."""
        pairs = [parameters[i : i + 2] for i in range(0, len(parameters), 2)]
        kinds = [
            "p8" if a is None or isinstance(a, np.ndarray) else f"{LETTERS[a.dtype.kind]}{a.dtype.itemsize}"
            for a in arguments
        ]
        assert kinds == pairs

    @staticmethod
    def _check_apart(guarded):
        """The kernels promise the compiler that their arrays do not overlap (`__restrict__`)."""
        spans = sorted((copy.low, copy.high) for copy in guarded)
        assert all(before[1] <= after[0] for before, after in pairwise(spans)), "arrays overlap"
