# SPDX-License-Identifier: BSD-3-Clause
"""One step of an optimizer over all parameters, in one pass, on CUDA: see ``update.cu``."""

__all__ = ["update", "update_kernels"]

from collections.abc import Iterator, Sequence

import numpy as np
from array_api_compat import device

from softmax_xp.backend import array_namespace
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.kernels.cuda.program import Launcher, launcher_of
from softmax_xp.kernels.cuda.source import Kernel, type_name
from softmax_xp.kernels.rules import RULES, rule_number
from softmax_xp.typing import Array

_MOST_ACCUMULATORS = 4
_THREADS = 256
# Blocks for each multiprocessor: as many threads as it can hold, 2048 at most, so that their loads overlap.
_BLOCKS = 8


def _kernel(rule: str, dtype: str) -> Kernel:
    layout = RULES[rule]
    return Kernel(
        "update.cu",
        "update",
        (
            ("REAL", type_name(dtype)),
            ("RULE", rule_number(rule)),
            ("N_ACCUMULATORS", len(layout.accumulators)),
            ("N_SCALARS", len(layout.scalars)),
        ),
    )


def update_kernels() -> Iterator[Kernel]:
    """Yield every kernel that :func:`update` can ask for.

    Yields
    ------
    Kernel
        One for each rule and float.
    """
    for rule in RULES:
        for dtype in ("float32", "float64"):
            yield _kernel(rule, dtype)


def update(
    rule: str,
    params: Array,
    grads: Array,
    accumulators: Sequence[Array],
    scalars: Array,
    *,
    step: int = 0,
    launcher: Launcher | None = None,
) -> tuple[Array, tuple[Array, ...]]:
    """Apply a rule to every parameter. Nothing here waits for the device, and no argument is written to.

    Parameters
    ----------
    rule : str
        A key of :data:`softmax_xp.kernels.rules.RULES`.
    params : array of float32 or float64
        Of any shape, in C order.
    grads : array of the shape and dtype of ``params``
        In C order.
    accumulators : sequence of arrays of the shape and dtype of ``params``
        What the rule remembers, in C order.
    scalars : array of float, shape (n_steps, n_scalars)
        The rule's numbers for each step, of the dtype of ``params``, on the device, in C order.
    step : int, default: 0
        Which row of ``scalars`` to use.
    launcher : Launcher, optional
        What runs the kernel; by default CuPy.

    Returns
    -------
    params : array of the shape and dtype of ``params``
        After the step. Fresh.
    accumulators : tuple of arrays
        Likewise.

    Raises
    ------
    InvalidTypeError
        For parameters of another dtype, or of another library than CuPy without a launcher.
    InvalidValueError
        For an unknown rule, a wrong number of accumulators, or shapes, dtypes or memory orders that do not fit.
    """
    rule_number(rule)  # an error with the names of the rules
    if str(params.dtype) not in {"float32", "float64"}:
        msg = f"`params` must be float32 or float64; got {params.dtype}. Pass a converted copy."
        raise InvalidTypeError(msg)
    layout = RULES[rule]
    if len(accumulators) != len(layout.accumulators):
        names = ", ".join(layout.accumulators) or "none"
        msg = f"`accumulators` must be those of {rule!r}, {names}; got {len(accumulators)}."
        raise InvalidValueError(msg)
    if scalars.ndim != 2 or scalars.shape[1] != len(layout.scalars) or not 0 <= step < scalars.shape[0]:
        msg = f"`scalars` must have shape (more than {step}, {len(layout.scalars)}); got {tuple(scalars.shape)}."
        raise InvalidValueError(msg)
    shaped = [("params", params), ("grads", grads), *(("accumulators", array) for array in accumulators)]
    for name, array in (*shaped, ("scalars", scalars)):
        has_shape = name == "scalars" or array.shape == params.shape
        if not (has_shape and array.dtype == params.dtype and array.flags.c_contiguous):
            msg = (
                f"`{name}` must have shape {tuple(params.shape)}, {params.dtype} and C order; "
                f"got shape {tuple(array.shape)} and {array.dtype}. Pass a converted copy."
            )
            raise InvalidValueError(msg)
    launcher = launcher_of(params, "params") if launcher is None else launcher
    xp, place = array_namespace(params), device(params)
    outputs = [xp.empty(params.shape, dtype=params.dtype, device=place) for _ in range(1 + len(accumulators))]
    missing = [None] * (_MOST_ACCUMULATORS - len(accumulators))
    arguments = (grads, np.int64(params.size), scalars, np.int64(step), params, *accumulators, *missing)
    grid = min(-(-params.size // _THREADS), _BLOCKS * launcher.n_multiprocessors)
    launcher.run(_kernel(rule, str(params.dtype)), grid, _THREADS, (*arguments, *outputs, *missing))
    return outputs[0], tuple(outputs[1:])
