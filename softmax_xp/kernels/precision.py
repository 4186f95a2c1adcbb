# SPDX-License-Identifier: BSD-3-Clause
"""How exactly matrix products of float32 arrays are computed.

=============  ====================================  ====================  =================================
``compute``    significand of the factors            relative error        speed on a H100 (data sheet)
=============  ====================================  ====================  =================================
``float32``    24 bits, exact products               1e-7 and the sum's    67 TFLOP/s
``tf32``       11 bits, sums in float32              about 3e-4            495 TFLOP/s
``bfloat16``   8 bits, sums in float32               about 3e-3            989 TFLOP/s
=============  ====================================  ====================  =================================

Arrays stay float32 in all three, and everything but the products is computed in float32. CPUs and GPUs without such
units compute exactly whatever is asked, so the same code runs everywhere. The setting belongs to the library, thus to
the whole process: while one thread computes with TF32, another does so too.
"""

__all__ = ["COMPUTE", "can_be_rough", "check_compute", "products"]

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from softmax_xp.backend import Backend
from softmax_xp.errors import InvalidValueError

COMPUTE = ("float32", "tf32", "bfloat16")


class _Switch(NamedTuple):
    """How a library is asked for its setting and told another one."""

    read: Callable[[], Any]
    write: Callable[[Any], Any]
    values: tuple[Any, ...]  # in the order of COMPUTE


def _cupy() -> _Switch:
    core, dtype = importlib.import_module("cupy._core"), "float32"
    # Numbers of an enumeration that CuPy keeps to itself: DEFAULT, TF32 and BF16. On GPUs older than the Ampere
    # generation it warns and takes the default.
    return _Switch(lambda: core.get_compute_type(dtype), lambda value: core.set_compute_type(dtype, value), (1, 7, 6))


def _torch() -> _Switch:
    torch = importlib.import_module("torch")
    values = ("highest", "high", "medium")
    return _Switch(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, values)


def _jax() -> _Switch:
    config: Any = importlib.import_module("jax").config

    def write(value: Any) -> None:
        config.update("jax_default_matmul_precision", value)

    return _Switch(lambda: config.jax_default_matmul_precision, write, ("float32", "tensorfloat32", "bfloat16"))


_SWITCHES = {"cuda": _cupy, "torch": _torch, "jax": _jax}


def check_compute(compute: Any) -> None:
    """Refuse what is not in the module's table.

    Parameters
    ----------
    compute : object
        What the user passed.

    Raises
    ------
    InvalidValueError
        For anything but a name of the table.

    Examples
    --------
    >>> from softmax_xp.kernels.precision import check_compute
    >>> check_compute("tf32")
    """
    if not (isinstance(compute, str) and compute in COMPUTE):
        msg = f"`compute` must be one of {', '.join(map(repr, COMPUTE))}; got {compute!r}."
        raise InvalidValueError(msg)


def can_be_rough(backend: Backend) -> bool:
    """Tell whether a backend's library has such a setting at all.

    Parameters
    ----------
    backend : Backend
        Where products are computed.

    Returns
    -------
    bool
        False for NumPy, which computes exactly.

    Examples
    --------
    >>> from softmax_xp import get_backend
    >>> from softmax_xp.kernels.precision import can_be_rough
    >>> can_be_rough(get_backend("cpu"))
    False
    """
    return backend.name.partition(":")[0] in _SWITCHES


@contextmanager
def products(backend: Backend, compute: str) -> Iterator[None]:
    """Compute products of float32 arrays so exactly and no more, for the time of a ``with`` block.

    Parameters
    ----------
    backend : Backend
        Whose library is told.
    compute : {"float32", "tf32", "bfloat16"}
        See the module's table.

    Yields
    ------
    None
        Meanwhile. Afterwards the library has its own setting again.

    Examples
    --------
    >>> from softmax_xp import get_backend
    >>> from softmax_xp.kernels.precision import products
    >>> with products(get_backend("cpu"), "tf32"):  # NumPy has one way only
    ...     pass
    """
    make = _SWITCHES.get(backend.name.partition(":")[0])
    if make is None:
        yield
        return
    switch = make()
    before, wanted = switch.read(), switch.values[COMPUTE.index(compute)]
    if before == wanted:
        yield
        return
    switch.write(wanted)
    try:
        yield
    finally:
        switch.write(before)
