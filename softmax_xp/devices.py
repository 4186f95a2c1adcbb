# SPDX-License-Identifier: BSD-3-Clause
"""``device=`` strings, and what is usable on this machine.

Device strings
--------------
``"auto"``
    CUDA where CuPy sees a GPU, else the CPU; the choice is logged once.
``"cpu"``
    NumPy.
``"cuda"``, ``"cuda:1"``
    CuPy, on the current or the numbered GPU.
``"torch:cpu"``, ``"torch:cuda:0"``, ``"torch:mps"``
    PyTorch, on the device named after the colon.
``"jax"``, ``"jax:cpu:0"``
    JAX, on its default device or on the named one.
``None``
    Follow the array that is passed in, whatever namespace of the Array API standard it has.

Adding a library is one entry in :data:`LIBRARIES`.
"""

__all__ = ["LIBRARIES", "DeviceReport", "available_devices", "device_reports", "get_backend"]

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, final

from softmax_xp.backend import Backend, as_array, backend_of, backend_on
from softmax_xp.errors import DeviceUnavailableError, InvalidValueError

logger = logging.getLogger("softmax_xp")


def _numpy_backend(rest: str) -> Backend:
    """Build the backend of ``"cpu"``."""
    if rest:
        msg = f"`device` must be 'cpu' without a number for NumPy; got 'cpu:{rest}'."
        raise InvalidValueError(msg)
    return backend_on(importlib.import_module("array_api_compat.numpy"), "cpu")


def _cuda_backend(rest: str) -> Backend:
    """Build the backend of ``"cuda"`` or ``"cuda:1"``."""
    install = "pip install 'softmax-xp[cuda13]' (or 'softmax-xp[cuda12]' for a CUDA 12 driver)"
    try:
        cupy = importlib.import_module("cupy")
    except (ImportError, OSError) as error:  # OSError: a shared library of it is broken
        msg = f"`device` 'cuda' needs CuPy, which cannot be imported ({error})."
        raise DeviceUnavailableError(msg, install=install) from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        index = int(rest) if rest else (cupy.cuda.runtime.getDevice() if count else 0)
    except ValueError:
        msg = f"`device` must be 'cuda' or 'cuda:<number>'; got 'cuda:{rest}'."
        raise InvalidValueError(msg) from None
    except cupy.cuda.runtime.CUDARuntimeError as error:
        msg = f"`device` 'cuda' needs an NVIDIA driver and a GPU; CuPy {cupy.__version__} found none ({error})."
        raise DeviceUnavailableError(msg) from None
    if not 0 <= index < count:
        msg = f"`device` must name one of the {count} CUDA devices; got 'cuda:{index}'."
        raise DeviceUnavailableError(msg)
    _probe_cublas(cupy, index)
    return backend_on(importlib.import_module("array_api_compat.cupy"), cupy.cuda.Device(index))


@cache
def _probe_cublas(cupy: Any, index: int) -> None:
    """Multiply two small matrices once: a visible GPU does not mean that cuBLAS and NVRTC are installed."""
    try:
        with cupy.cuda.Device(index):
            ones = cupy.ones((2, 2), dtype=cupy.float32)
            (ones @ ones + 1).get()
    except (ImportError, RuntimeError) as error:
        msg = f"`device` 'cuda' needs the CUDA libraries that CuPy calls; one is missing ({error})."
        major = cupy.cuda.runtime.runtimeGetVersion() // 1000
        raise DeviceUnavailableError(msg, install=f"pip install 'softmax-xp[cuda{major}]'") from None


def _torch_backend(rest: str) -> Backend:
    """Build the backend of ``"torch:cpu"``, ``"torch:cuda:0"`` or ``"torch:mps"``."""
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:  # OSError: a shared library of it is broken
        msg = f"`device` 'torch:{rest}' needs PyTorch, which cannot be imported ({error})."
        raise DeviceUnavailableError(msg, install="pip install 'softmax-xp[torch]'") from None
    try:
        # A tensor made there tells both whether the device works and its full name: cuda becomes cuda:0.
        device = torch.empty(0, device=rest or "cpu").device
    except (RuntimeError, AssertionError) as error:
        msg = f"`device` 'torch:{rest}' cannot be used by PyTorch {torch.__version__}: {_first_sentence(error)}."
        raise DeviceUnavailableError(msg) from None
    return backend_on(importlib.import_module("array_api_compat.torch"), device)


def _first_sentence(error: Exception) -> str:
    """Shorten PyTorch's paragraphs to what a terminal line holds."""
    return str(error).partition("\n")[0].partition(". ")[0]


def _jax_backend(rest: str) -> Backend:
    """Build the backend of ``"jax"`` or ``"jax:cpu:0"``."""
    try:
        jax = importlib.import_module("jax")
    except (ImportError, OSError) as error:  # OSError: a shared library of it is broken
        msg = f"`device` 'jax' needs JAX, which cannot be imported ({error})."
        raise DeviceUnavailableError(msg, install="pip install 'softmax-xp[jax]'") from None
    platform, _, index = rest.partition(":")
    try:
        device = jax.devices(platform or None)[int(index or 0)]
    except (RuntimeError, ValueError, IndexError) as error:
        msg = f"`device` 'jax:{rest}' is not one of JAX's devices {jax.devices()}: {error}."
        raise DeviceUnavailableError(msg) from None
    return backend_on(importlib.import_module("jax.numpy"), device)


# Device prefix -> (library, the builder for what follows the colon, the strings to try in a listing).
LIBRARIES: dict[str, tuple[str, Callable[[str], Backend], tuple[str, ...]]] = {
    "cpu": ("numpy", _numpy_backend, ("cpu",)),
    "cuda": ("cupy", _cuda_backend, ("cuda",)),
    "torch": ("torch", _torch_backend, ("torch:cpu", "torch:cuda", "torch:mps")),
    "jax": ("jax", _jax_backend, ("jax",)),
}


@cache
def _auto() -> Backend:
    """Choose once between CUDA and the CPU, and log the choice."""
    try:
        backend = _cuda_backend("")
    except DeviceUnavailableError as error:
        backend = _numpy_backend("")
        logger.info("device='auto' chose 'cpu': %s", error.reason)
    else:
        logger.info("device='auto' chose %r.", backend.name)
    return backend


def get_backend(device: str | Backend | None = "auto", *, like: Any = None) -> Backend:
    """Turn a ``device`` argument into a :class:`Backend`.

    Parameters
    ----------
    device : str, Backend or None, default: "auto"
        One of the strings of this module's docstring. None follows ``like``.
    like : array, optional
        The array that None follows; NumPy where it is no array of the standard.

    Returns
    -------
    Backend
        Ready to use.

    Raises
    ------
    DeviceUnavailableError
        When the device was named and cannot be used; the message names the missing piece and how to get it.
    InvalidValueError
        For a string that names no device.

    Examples
    --------
    >>> import softmax_xp as sx
    >>> sx.get_backend("cpu").name
    'cpu'
    >>> sx.get_backend("gpu")
    Traceback (most recent call last):
    ...
    softmax_xp.errors.InvalidValueError: `device` must be 'auto', None or start with one of 'cpu', 'cuda', 'torch', \
'jax'; got 'gpu'. Use 'cuda' for an NVIDIA GPU.
    """
    if isinstance(device, Backend):
        return device
    if device is None:
        return backend_of(as_array([] if like is None else like))
    prefix, _, rest = device.partition(":") if isinstance(device, str) else ("", "", "")
    if device == "auto":
        return _auto()
    if prefix not in LIBRARIES:
        hint = " Use 'cuda' for an NVIDIA GPU." if prefix == "gpu" else ""
        known = ", ".join(map(repr, LIBRARIES))
        msg = f"`device` must be 'auto', None or start with one of {known}; got {device!r}.{hint}"
        raise InvalidValueError(msg)
    return LIBRARIES[prefix][1](rest)


@final
@dataclass(frozen=True, slots=True)
class DeviceReport:
    """One line of ``softmax-xp devices``: a device string, and whether and why (not) it can be used here."""

    device: str
    library: str
    usable: bool
    reason: str
    install: str


def device_reports() -> tuple[DeviceReport, ...]:
    """Try every device string and report on each. This imports every installed array library."""
    reports = []
    for library, build, candidates in LIBRARIES.values():
        for candidate in candidates:
            try:
                name = build(candidate.partition(":")[2]).name
            except DeviceUnavailableError as error:
                reports.append(DeviceReport(candidate, library, False, error.reason, error.install))
            else:
                version = getattr(importlib.import_module(library), "__version__", "")
                reports.append(DeviceReport(name, library, True, f"{library} {version}", ""))
    return tuple(reports)


def available_devices() -> tuple[str, ...]:
    """Return the device strings that work on this machine.

    Returns
    -------
    tuple of str
        At least ``"cpu"``; ``softmax-xp devices`` also says what is missing for the others.

    Examples
    --------
    >>> import softmax_xp as sx
    >>> "cpu" in sx.available_devices()
    True
    """
    return tuple(report.device for report in device_reports() if report.usable)
