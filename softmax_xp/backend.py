# SPDX-License-Identifier: BSD-3-Clause
"""The one room that knows array libraries: where arrays live, how they get there, and host reads.

A :class:`Backend` is a namespace of the Array API standard and a device in it. ``softmax_xp.devices`` turns
``device=`` strings into one; :func:`backend_of` reads it off arrays.
"""

__all__ = [
    "Backend",
    "Capabilities",
    "array_namespace",
    "as_array",
    "backend_of",
    "backend_on",
    "scalar",
    "scalars",
    "to_host",
]

import importlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, final

import numpy as np
from array_api_compat import array_namespace as _find_namespace
from array_api_compat import device as device_of
from array_api_compat import is_array_api_obj

from softmax_xp.blas import HostScope, blas_threads
from softmax_xp.errors import DeviceMismatchError, InvalidTypeError, InvalidValueError
from softmax_xp.threads import UNLIMITED, Limits, ordered_map, ordered_sum
from softmax_xp.typing import Array, Namespace


class Capabilities(NamedTuple):
    """What a backend can do, so that nobody asks "is it CuPy?".

    Parameters
    ----------
    float64 : bool
        Whether float64 exists there (not on Apple's MPS, nor in JAX unless ``jax_enable_x64`` is set).
    default_float : str
        The float that integers become: ``"float64"`` on a CPU, ``"float32"`` on accelerators.
    scatter : bool
        Whether ``x[rows, columns] -= values`` works with integer arrays. The standard does not ask for it.
    row_chunks : bool
        Whether cutting the rows into chunks that stay in the processor's cache pays, as on CPUs.
    """

    float64: bool = True
    default_float: str = "float64"
    scatter: bool = False
    row_chunks: bool = True


@final
@dataclass(frozen=True, slots=True)
class Backend:
    """A namespace, a device in it, and how data gets there and back.

    Parameters
    ----------
    name : str
        The device string that :func:`get_backend` turns into this value, such as ``"cuda:0"``.
    xp : namespace
        The array-api-compat namespace.
    device : object
        The device, in the namespace's own terms.
    capabilities : Capabilities
        What the namespace can do on that device.

    Examples
    --------
    >>> from softmax_xp import get_backend
    >>> backend = get_backend("cpu")
    >>> backend
    Backend(name='cpu')
    >>> backend.capabilities.default_float
    'float64'
    """

    name: str
    xp: Namespace = field(repr=False)
    device: Any = field(repr=False)
    capabilities: Capabilities = field(repr=False, default=Capabilities())

    def owns(self, array: object) -> bool:
        """Tell whether ``array`` already lives in this namespace and on this device."""
        return is_array_api_obj(array) and array_namespace(array) is self.xp and device_of(array) == self.device

    def put(self, array: Any, dtype: Any = None) -> Array:
        """Bring ``array`` to this backend, without a copy where it is there already.

        Parameters
        ----------
        array : array_like
            An array of any library, or a sequence.
        dtype : dtype of ``xp``, optional
            Convert to it. A narrowing conversion happens before the transfer.

        Returns
        -------
        array
            In ``self.xp``, on ``self.device``.
        """
        array = as_array(array)
        if not self.owns(array):
            host = to_host(array)
            if not host.dtype.isnative:  # big-endian files: only NumPy can read them
                host = host.astype(host.dtype.newbyteorder("="))
            if dtype is not None and np.dtype(_dtype_name(dtype)).itemsize < host.dtype.itemsize:
                host = host.astype(_dtype_name(dtype))
            array = self._from_numpy(host)
        if dtype is not None and array.dtype != dtype:
            with self.scope():
                array = self.xp.astype(array, dtype)
        return array

    def _from_numpy(self, host: np.ndarray) -> Array:
        """Bring a NumPy array here, sharing its memory where the library can."""
        if host.dtype.name == "float64" and not self.capabilities.float64:
            host = host.astype(np.float32)
        if any(stride < 0 for stride in host.strides):  # PyTorch has none
            host = np.ascontiguousarray(host)
        with warnings.catch_warnings():
            # PyTorch warns that writing to a read-only array is undefined; this package never writes to its inputs.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)
            return self.xp.asarray(host, device=self.device)

    def float_dtype(self, dtype: Any = None) -> Any:
        """Return the float in which data of ``dtype`` is computed.

        float32 and float64 stay; float16 and bfloat16 become float32; integers and bool become float64 on a
        CPU and float32 on accelerators.

        Parameters
        ----------
        dtype : dtype or str, optional
            A dtype of any library or its name. None means the default float.

        Returns
        -------
        dtype
            ``xp.float32`` or ``xp.float64``.

        Raises
        ------
        InvalidTypeError
            For complex numbers, strings and other kinds that are no real numbers.
        InvalidValueError
            For float64 on a backend that has none.
        """
        name = self.capabilities.default_float if dtype is None else _dtype_name(dtype)
        if name in {"float16", "bfloat16"}:
            name = "float32"
        elif name == "bool" or name.startswith(("int", "uint")):
            name = self.capabilities.default_float
        if name not in {"float32", "float64"}:
            msg = f"`dtype` must be a real number type; got {name}. Pass float32 or float64."
            raise InvalidTypeError(msg)
        if name == "float64" and not self.capabilities.float64:
            hint = ", or call jax.config.update('jax_enable_x64', True) first" if self.name.startswith("jax") else ""
            msg = f"`dtype` must be float32 on device {self.name!r}; got float64. Pass dtype='float32'{hint}."
            raise InvalidValueError(msg)
        return getattr(self.xp, name)

    def sum_dtype(self, dtype: Any) -> Any:
        """Return the dtype in which sums over many samples accumulate: float64 on CPUs, elsewhere ``dtype`` itself."""
        return self.xp.float64 if self.capabilities.default_float == "float64" else dtype

    def scope(self) -> AbstractContextManager[Any]:
        """Make this device current, hold the number of BLAS's threads, and silence floating-point warnings.

        CuPy puts new arrays on the current device, not on that of the operands. Callers look for NaN themselves.
        """
        silent = np.errstate(over="ignore", invalid="ignore", divide="ignore")
        if not self.name.startswith("cuda"):
            return HostScope(silent) if self.name == "cpu" else silent
        stack = ExitStack()
        stack.enter_context(silent)
        stack.enter_context(self.device)
        return stack

    def map_chunks(
        self, function: Callable[[Any], Any], chunks: Iterable[Any], limits: Limits = UNLIMITED
    ) -> Iterator[Any]:
        """Yield ``function(chunk)`` in the order of the chunks; on NumPy the cores work on several at once."""
        return ordered_map(function, chunks, threads=self._threads(limits))

    def sum_chunks(
        self, function: Callable[[Any], tuple[Any, ...]], chunks: Iterable[Any], limits: Limits = UNLIMITED
    ) -> tuple[Any, ...]:
        """Return the sum of ``function(chunk)`` over at least one chunk, place by place; None stays None.

        ``function`` returns arrays, which are given up, numbers and None. On NumPy the cores work on several chunks at
        once and add in a fixed order: see :func:`softmax_xp.threads.ordered_sum`.
        """
        lanes = limits.lanes if self.name == "cpu" else 1
        return ordered_sum(function, chunks, threads=self._threads(limits), lanes=lanes)

    def _threads(self, limits: Limits) -> int:
        return min(blas_threads(), limits.at_once) if self.name == "cpu" else 0

    def synchronise(self) -> None:
        """Wait until the device has finished."""
        prefix = self.name.partition(":")[0]
        if prefix == "cuda":
            with self.device:
                importlib.import_module("cupy").cuda.get_current_stream().synchronize()
        elif self.name.startswith("torch:cuda"):
            importlib.import_module("torch").cuda.synchronize(self.device)
        elif prefix == "jax":
            self.xp.zeros(1, device=self.device).block_until_ready()


_NAMESPACES: dict[type, Namespace] = {}


def array_namespace(array: Array) -> Namespace:
    """Return what ``array_api_compat.array_namespace`` does; remembered, as a step asks it a dozen times.

    Parameters
    ----------
    array : array
        Of any library of the standard; a TypeError follows for what is none.

    Returns
    -------
    namespace
        That of array-api-compat.
    """
    kind = type(array)
    xp = _NAMESPACES.get(kind)
    if xp is None:
        xp = _NAMESPACES[kind] = _find_namespace(array)
    return xp


def _dtype_name(dtype: Any) -> str:
    """Name any library's dtype as the standard does: ``"float32"``."""
    if isinstance(dtype, str):
        return dtype
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        return str(dtype).rpartition(".")[2]  # torch.float32, array_api_strict.float32


def as_array(array: Any) -> Array:
    """Return ``array`` itself, or NumPy's reading of a sequence or data frame; a memory map becomes a plain view."""
    return array if is_array_api_obj(array) and not isinstance(array, np.ndarray) else np.asarray(array)


def to_host(array: Any) -> np.ndarray:
    """Read an array of any library into NumPy. This is a host synchronisation, by name.

    Parameters
    ----------
    array : array_like
        An array of any library on any device, or a sequence.

    Returns
    -------
    numpy.ndarray
        A view where the memory is shared (NumPy itself, PyTorch on the CPU), else a copy.

    Examples
    --------
    >>> from softmax_xp.backend import to_host
    >>> to_host([1.0, 2.0])
    array([1., 2.])
    """
    library = type(array).__module__.partition(".")[0]
    if library == "cupy":
        return np.asarray(array.get())
    if library == "torch":
        host = array.detach().cpu()
        # NumPy has no bfloat16, and float32 holds each of its values.
        return np.asarray((host.float() if str(host.dtype) == "torch.bfloat16" else host).numpy())
    if library == "array_api_strict":
        return np.array(array.to_device(importlib.import_module(library).Device("CPU_DEVICE")))
    host = np.asarray(array)
    # JAX brings a bfloat16 of its own, on which half of NumPy fails. (The kind comes first: names are slow to make.)
    return host.astype(np.float32) if host.dtype.kind == "V" and host.dtype.name == "bfloat16" else host


def scalar(array: Array) -> float:
    """Read one number from a device. This is a host synchronisation, by name.

    Parameters
    ----------
    array : array of shape ()
        The number.

    Returns
    -------
    float
        Its value.
    """
    return float(to_host(array))


def scalars(*arrays: Array) -> list[float]:
    """Read several numbers from a device in one host synchronisation.

    Parameters
    ----------
    *arrays : array of shape ()
        The numbers, of floats that the dtype of the first one can hold.

    Returns
    -------
    list of float
        Their values.
    """
    first = arrays[0]
    if isinstance(first, np.ndarray | np.generic):
        return [float(array) for array in arrays]  # here a stack costs more than reading
    xp = array_namespace(first)
    values: list[float] = to_host(xp.stack([xp.astype(array, first.dtype, copy=False) for array in arrays])).tolist()
    return values


def backend_on(xp: Namespace, device: Any) -> Backend:
    """Build the backend of a namespace and one of its devices.

    Parameters
    ----------
    xp : namespace
        As array-api-compat gives it.
    device : object
        A device in the namespace's own terms.

    Returns
    -------
    Backend
        Its capabilities are known for NumPy, CuPy, PyTorch and JAX, and the standard's minimum for others.
    """
    library = xp.__name__.removeprefix("array_api_compat.").partition(".")[0]
    if library == "numpy":
        return Backend("cpu", xp, device, Capabilities(scatter=True))
    if library == "cupy":
        return Backend(f"cuda:{device.id}", xp, device, Capabilities(True, "float32", scatter=True, row_chunks=False))
    if library == "torch":
        on_cpu = device.type == "cpu"
        wide = device.type != "mps"
        default = "float64" if on_cpu else "float32"
        return Backend(f"torch:{device}", xp, device, Capabilities(wide, default, scatter=True, row_chunks=on_cpu))
    if library == "jax":
        wide = bool(importlib.import_module("jax").config.jax_enable_x64)
        # Every new chunk shape is a new compilation in JAX, so it gets whole arrays.
        capabilities = Capabilities(wide, "float64" if wide else "float32", row_chunks=False)
        return Backend(f"jax:{device.platform}:{device.id}", xp, device, capabilities)
    return Backend(f"{library}:{device}", xp, device)


@cache
def _host_backend() -> Backend:
    """Build NumPy's backend once; steps ask for it often."""
    return backend_on(_find_namespace(np.empty(0)), "cpu")


def backend_of(*arrays: Any, names: tuple[str, ...] = ()) -> Backend:
    """Return the backend on which all of ``arrays`` live.

    Parameters
    ----------
    *arrays : array
        Arrays of one namespace on one device.
    names : tuple of str, optional
        What to call them in an error.

    Returns
    -------
    Backend
        Theirs.

    Raises
    ------
    DeviceMismatchError
        When two of them live in different places; the message names both.
    """
    first, *others = arrays
    if not others and type(first) is np.ndarray:
        return _host_backend()
    xp, device = array_namespace(first), device_of(first)
    for position, other in enumerate(others, start=1):
        if array_namespace(other) is not xp or device_of(other) != device:
            first_name, other_name = (names[0], names[position]) if names else ("the first array", "another")
            here, there = backend_on(xp, device).name, backend_of(other).name
            msg = (
                f"`{other_name}` must be on the device of `{first_name}`, {here!r}; got {there!r}. "
                f"Pass both on one device, for example get_backend({here!r}).put({other_name})."
            )
            raise DeviceMismatchError(msg)
    return backend_on(xp, device)
