# SPDX-License-Identifier: BSD-3-Clause
"""NVIDIA's run-time compiler by itself: machine code for any architecture, without a GPU, a driver or CuPy.

`pip install nvidia-cuda-nvrtc` (CUDA 13: architectures 75 and newer) and `nvidia-cuda-nvrtc-cu12` (50 and newer) bring
one shared library each, which is spoken to with ctypes. The options are those of CuPy.
"""

__all__ = ["Compiled", "Compiler", "find_compiler"]

import ctypes
import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

OPTIONS = ("--std=c++17", "--device-as-default-execution-space", "--ptxas-options=-v")
# Where the wheels put it, by the major version of CUDA.
PLACES = {12: "cuda_nvrtc/lib/libnvrtc.so.12", 13: "cu13/lib/libnvrtc.so.13"}
# ptxas writes one paragraph for each function, with some of these in it.
NUMBERS = {
    "registers": re.compile(r"Used (\d+) registers"),
    "stack": re.compile(r"(\d+) bytes stack frame"),
    "spill_stores": re.compile(r"(\d+) bytes spill stores"),
    "spill_loads": re.compile(r"(\d+) bytes spill loads"),
    "shared": re.compile(r"(\d+) bytes smem"),
}


class Compiled(NamedTuple):
    """What came out of a compilation."""

    code: bytes  # machine code, or PTX for a virtual architecture
    log: str

    def resources(self, entry: str) -> dict[str, int]:
        """Read what a function needs: registers of a thread, and bytes of the rest."""
        text = self.log.partition(f"Compiling entry function '{entry}'")[2].partition("Compiling entry function")[0]
        found = {name: pattern.search(text) for name, pattern in NUMBERS.items()}
        if found["registers"] is None:
            msg = f"The compiler's log does not name the registers of {entry}:\n{self.log}"
            raise LookupError(msg)
        return {name: int(match[1]) if match else 0 for name, match in found.items()}


class Compiler:
    """One loaded NVRTC."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check(self.library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        self.version = f"{major.value}.{minor.value}"

    def architectures(self) -> list[int]:
        """List the compute capabilities, such as 90, that it compiles for."""
        number = ctypes.c_int()
        self._check(self.library.nvrtcGetNumSupportedArchs(ctypes.byref(number)))
        found = (ctypes.c_int * number.value)()
        self._check(self.library.nvrtcGetSupportedArchs(found))
        return list(found)

    def compile(self, text: str, target: str) -> Compiled:
        """Compile for a target: "sm_90" gives machine code, "compute_90" gives PTX.

        Parameters
        ----------
        text : str
            CUDA C++ without includes.
        target : str
            What to compile for.

        Returns
        -------
        Compiled
            The code and the log.

        Raises
        ------
        SyntaxError
            With the compiler's log.
        """
        program = ctypes.c_void_p()
        self._check(self.library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None))
        options = [option.encode() for option in (*OPTIONS, f"-arch={target}")]
        status = self.library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        log = self._read(program, "ProgramLog").decode().rstrip("\0")
        if status:
            msg = f"{self.library.nvrtcGetErrorString(status).decode()} for {target}:\n{log}"
            raise SyntaxError(msg)
        code = self._read(program, "CUBIN" if target.startswith("sm_") else "PTX")
        self._check(self.library.nvrtcDestroyProgram(ctypes.byref(program)))
        return Compiled(code, log)

    def _read(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        content = ctypes.create_string_buffer(size.value)
        self._check(getattr(self.library, f"nvrtcGet{what}")(program, content))
        return content.raw

    def _check(self, status: int) -> None:
        if status:
            raise RuntimeError(self.library.nvrtcGetErrorString(status).decode())


@cache
def find_compiler(major: int) -> Compiler | None:
    """Return the NVRTC of a major version of CUDA that pip has installed, or None.

    Parameters
    ----------
    major : {12, 13}
        Of CUDA.

    Returns
    -------
    Compiler or None
        None where it is not installed, and on systems other than Linux.
    """
    package = find_spec("nvidia") if sys.platform == "linux" else None
    folders = [] if package is None else list(package.submodule_search_locations or ())
    paths = [path for folder in folders if (path := Path(folder) / PLACES[major]).is_file()]
    return Compiler(paths[0]) if paths else None
