# SPDX-License-Identifier: BSD-3-Clause
"""The array libraries, devices and kinds of memory on which the tests run: the values of the fixture `backend`."""

__all__ = ["NAMES", "TestBackend", "load"]

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, final

import numpy as np


@final
@dataclass(frozen=True, slots=True)
class TestBackend:
    """One namespace of the Array API standard, on one device, with the way there and back.

    Parameters
    ----------
    name : str
        One of NAMES.
    xp : namespace
        The array-api-compat namespace, thus the same object as `array_namespace(backend.asarray(x))`.
    device : object
        Of the namespace's own type; every array from `asarray` lives there.
    asarray : callable
        Copies a NumPy array (or a list, or a number) to the namespace and device, and keeps the dtype.
    to_numpy : callable
        Copies an array of the namespace to a NumPy array of the same dtype.
    float64 : bool
        Whether float64 exists there.
    """

    __test__: ClassVar[bool] = False  # the name starts like a class of tests; it is none

    name: str
    xp: Any
    device: Any
    asarray: Callable[[Any], Any]
    to_numpy: Callable[[Any], np.ndarray]
    float64: bool = True

    def __repr__(self) -> str:
        return f"TestBackend({self.name!r})"


def _numpy() -> TestBackend:
    return TestBackend("numpy", import_module("array_api_compat.numpy"), "cpu", np.array, np.array)


def _numpy_readonly() -> TestBackend:
    """NumPy whose arrays refuse to be written to: `x += y` on a caller's array fails, as in `numpy.memmap`."""

    def asarray(values: Any) -> np.ndarray:
        array = np.array(values)
        array.flags.writeable = False
        return array

    return TestBackend("numpy-readonly", import_module("array_api_compat.numpy"), "cpu", asarray, np.array)


def _strict(name: str, device_name: str) -> TestBackend:
    strict = _library("array_api_strict")
    device = strict.Device(device_name)
    # Only the CPU device may be read by NumPy: the other one stands for a GPU.
    cpu = strict.Device("CPU_DEVICE")
    return TestBackend(
        name,
        strict,
        device,
        lambda values: strict.asarray(np.array(values), device=device),
        lambda array: np.array(array.to_device(cpu)),
    )


def _torch() -> TestBackend:
    torch = _library("torch")
    device = torch.device("cpu")
    return TestBackend(
        "torch",
        import_module("array_api_compat.torch"),
        device,
        # np.array copies first: PyTorch would share the memory, and warn where that is read-only.
        lambda values: torch.asarray(np.array(values), device=device),
        lambda tensor: np.array(tensor.detach().cpu().numpy()),
    )


def _jax() -> TestBackend:
    # Read when jax is first imported. Without the first, float64 arrays silently become float32 ones;
    # without the second, jax looks for accelerators.
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jax = _library("jax")
    device = jax.devices("cpu")[0]
    return TestBackend(
        "jax",
        import_module("jax.numpy"),
        device,
        lambda values: jax.device_put(np.array(values), device),
        np.array,
        float64=bool(jax.config.jax_enable_x64),
    )


def _cupy() -> TestBackend:
    cupy = _library("cupy")
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        msg = f"CuPy is installed and sees no CUDA device: {error}"
        raise LookupError(msg) from error
    if count == 0:
        msg = "CuPy is installed and sees no CUDA device"
        raise LookupError(msg)
    return TestBackend("cupy", import_module("array_api_compat.cupy"), cupy.cuda.Device(0), cupy.array, cupy.asnumpy)


_LOADERS: dict[str, Callable[[], TestBackend]] = {
    "numpy": _numpy,
    "numpy-readonly": _numpy_readonly,
    "strict": lambda: _strict("strict", "CPU_DEVICE"),
    "strict-device1": lambda: _strict("strict-device1", "device1"),
    "torch": _torch,
    "jax": _jax,
    "cupy": _cupy,
}

NAMES = tuple(_LOADERS)


def load(name: str) -> TestBackend:
    """Make a backend for the tests.

    Parameters
    ----------
    name : str
        One of NAMES.

    Returns
    -------
    TestBackend
        Ready for use.

    Raises
    ------
    LookupError
        Where its library or its device is missing; the message is the reason to skip with.
    """
    return _LOADERS[name]()


def _library(name: str) -> Any:
    """Import an optional library; a broken one raises its own error, because that is no reason to skip."""
    if find_spec(name) is None:
        msg = f"{name} is not installed"
        raise LookupError(msg)
    return import_module(name)
