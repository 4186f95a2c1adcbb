# SPDX-License-Identifier: BSD-3-Clause
"""The text of a kernel: macros, the shared headers, and the ``.cu`` file, in one string without any ``#include``.

The compiler that comes with CuPy finds no files, so ``#include "x.cuh"`` is replaced by the text of that file here,
once each. What varies between kernels of one file (the types of the numbers, how many of them a thread keeps) is a
macro, written in front: one text compiles to one machine code, and a test can compile, or run, the very same text.
"""

__all__ = ["Kernel", "kernel_text", "real_name", "type_name"]

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from softmax_xp.errors import InvalidTypeError

_FOLDER = Path(__file__).parent
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)

# How the kernels call what an array library calls so; `element_types.cuh` has the conversions.
_TYPES = {
    "uint8": "unsigned char",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "float32": "float",
    "float64": "double",
    "int32": "int",
    "int64": "long long",
}


class Kernel(NamedTuple):
    """One function of one ``.cu`` file, with its macros."""

    file: str
    entry: str
    defines: tuple[tuple[str, str | int], ...]


def type_name(dtype: Any) -> str:
    """Return what a kernel calls a dtype.

    Parameters
    ----------
    dtype : dtype
        Of an array.

    Returns
    -------
    str
        A type of C, or of ``element_types.cuh``.

    Raises
    ------
    InvalidTypeError
        For a dtype that no kernel reads.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.kernels.cuda.source import type_name
    >>> type_name(np.dtype("uint8"))
    'unsigned char'
    """
    name = str(dtype)
    if name not in _TYPES:
        msg = f"`dtype` must be one of {', '.join(_TYPES)}; got {name}. Pass the array converted with astype."
        raise InvalidTypeError(msg)
    return _TYPES[name]


def real_name(dtype: Any) -> str:
    """Return the float in which numbers of a dtype are computed: float64 for float64, float32 for all others.

    Parameters
    ----------
    dtype : dtype
        Of an array.

    Returns
    -------
    str
        ``"float32"`` or ``"float64"``.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.kernels.cuda.source import real_name
    >>> real_name(np.dtype("float16"))
    'float32'
    """
    return "float64" if str(dtype) == "float64" else "float32"


@cache
def kernel_text(file: str, defines: tuple[tuple[str, str | int], ...]) -> str:
    """Return everything that the compiler needs to see.

    Parameters
    ----------
    file : str
        The name of a ``.cu`` file beside this module.
    defines : tuple of (str, str or int)
        Macros and their values.

    Returns
    -------
    str
        CUDA C++ without includes.

    Examples
    --------
    >>> from softmax_xp.kernels.cuda.source import kernel_text
    >>> text = kernel_text("softmax_cross_entropy.cu", (("REAL", "float"), ("VECTOR", 1)))
    >>> text.splitlines()[0]
    '#define REAL float'
    """
    seen: set[str] = set()

    def included(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return ""
        seen.add(name)
        # `#pragma once` belongs to files; in the main text it would draw a warning.
        return expanded(name).replace("#pragma once\n", "")

    def expanded(name: str) -> str:
        return _INCLUDE.sub(included, (_FOLDER / name).read_text(encoding="utf-8"))

    return "".join(f"#define {name} {value}\n" for name, value in defines) + expanded(file)
