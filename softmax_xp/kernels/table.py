# SPDX-License-Identifier: BSD-3-Clause
"""The one table of kernels, and the switch that turns them off."""

__all__ = ["KERNELS", "enabled", "find_kernel"]

import importlib
import os
from collections.abc import Callable
from functools import cache
from typing import Any

from softmax_xp.errors import InvalidValueError
from softmax_xp.typing import Array

# (name, library of the arrays) -> where it is. Imported at the first use, so that nobody pays for another's device.
# "numba" stands for NumPy's arrays too, where the environment asks for it.
KERNELS: dict[tuple[str, str], str] = {
    ("linear_cross_entropy", "cupy"): "softmax_xp.kernels.cuda.contract:linear_cross_entropy",
    ("linear_steps", "cupy"): "softmax_xp.kernels.cuda.contract:make_linear_steps",
    ("linear_steps", "numba"): "softmax_xp.kernels.numpy.compiled_steps:make_linear_steps",
    ("linear_steps", "numpy"): "softmax_xp.kernels.numpy.linear_steps:make_linear_steps",
    ("softmax_cross_entropy", "cupy"): "softmax_xp.kernels.cuda.contract:softmax_cross_entropy",
    ("softmax_cross_entropy", "numpy"): "softmax_xp.kernels.numpy.softmax_cross_entropy:softmax_cross_entropy",
    ("update", "cupy"): "softmax_xp.kernels.cuda.contract:update",
}

_CHOICES = ("", "0", "1", "numba")


def enabled() -> bool:
    """Tell whether kernels are in use: unless ``SOFTMAX_XP_KERNELS`` is 0.

    With ``SOFTMAX_XP_KERNELS=numba``, those that Numba compiles come before NumPy's. They are never taken unasked:
    their first use compiles for some seconds (later ones read the result from a file), and they round differently.

    Returns
    -------
    bool
        Read from the environment at each call, so that a test or a notebook may switch in between.

    Examples
    --------
    >>> from softmax_xp.kernels import enabled
    >>> enabled()
    True
    """
    return _choice() != "0"


def find_kernel(name: str, array: Array) -> Callable[..., Any] | None:
    """Return the kernel of that name for the library that ``array`` belongs to.

    Parameters
    ----------
    name : str
        First part of a key of :data:`KERNELS`.
    array : array
        Of any library.

    Returns
    -------
    callable or None
        None where there is no such kernel, or kernels are turned off.

    Raises
    ------
    InvalidValueError
        If the environment asks for something that there is not.
    MissingDependencyError
        If it asks for Numba, which is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.kernels import find_kernel
    >>> find_kernel("softmax_cross_entropy", np.zeros(1)).__module__
    'softmax_xp.kernels.numpy.softmax_cross_entropy'
    """
    choice, library = _choice(), type(array).__module__.partition(".")[0]
    if choice == "0":
        return None
    address = KERNELS.get((name, "numba")) if (choice, library) == ("numba", "numpy") else None
    address = address or KERNELS.get((name, library))
    return None if address is None else _load(address)


def _choice() -> str:
    """Return what the environment says."""
    choice = os.environ.get("SOFTMAX_XP_KERNELS", "1")
    if choice not in _CHOICES:
        msg = f"`SOFTMAX_XP_KERNELS` must be 0, 1 or numba; got {choice!r}. Unset it for the kernels of each device."
        raise InvalidValueError(msg)
    return choice


@cache
def _load(address: str) -> Callable[..., Any]:
    """Import a kernel."""
    module, _, function = address.partition(":")
    kernel: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return kernel
