# SPDX-License-Identifier: BSD-3-Clause
"""Softmax cross-entropy and its gradient in one pass over the logits, on CUDA: see ``softmax_cross_entropy.cu``."""

__all__ = ["softmax_cross_entropy", "softmax_cross_entropy_kernels"]

from collections.abc import Iterator

import numpy as np
from array_api_compat import device

from softmax_xp.backend import array_namespace
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.kernels.cuda.arguments import address, as_vector, in_real, row_stride_of
from softmax_xp.kernels.cuda.program import Launcher, launcher_of
from softmax_xp.kernels.cuda.source import Kernel, real_name, type_name
from softmax_xp.typing import Array

_FILE = "softmax_cross_entropy.cu"
_ITEMSIZES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
_WIDEST_LOAD = 16  # bytes that one thread reads at once
_REGISTER_CLASSES = 1024
_REGISTER_THREADS = 128
_SCRATCH_NUMBERS = 4 * 32  # in front of the row in shared memory


def _kernel(entry: str, dtype: str, label: str, vector: int, **shape: int) -> Kernel:
    """Put the macros in their one order, because equal kernels must compare equal."""
    types = (("ELEMENT", type_name(dtype)), ("REAL", type_name(real_name(dtype))), ("LABEL", type_name(label)))
    return Kernel(_FILE, entry, (*types, ("VECTOR", vector), *sorted(shape.items())))


def _register_shape(n_classes: int, vector: int) -> dict[str, int]:
    """Return over how many threads a row is spread, and how many logits each keeps: powers of two that hold it."""
    lanes = 32
    while lanes > 8 and lanes // 2 * vector >= n_classes:
        lanes //= 2
    items = vector
    while lanes * items < n_classes:
        items *= 2
    return {"LANES": lanes, "ITEMS": items}


def softmax_cross_entropy_kernels() -> Iterator[Kernel]:
    """Yield every kernel that :func:`softmax_cross_entropy` can ask for.

    Yields
    ------
    Kernel
        With labels of 64 bits, and one with labels of 32: their width changes a single load.
    """
    for dtype, itemsize in _ITEMSIZES.items():
        for vector in (1, _WIDEST_LOAD // itemsize):
            shapes = {tuple(_register_shape(1 << k, vector).items()) for k in range(11)}
            for shape in sorted(shapes):
                yield _kernel("row_in_registers", dtype, "int64", vector, **dict(shape))
            for entry in ("row_in_shared_memory", "row_read_twice"):
                yield _kernel(entry, dtype, "int64", vector)
    yield _kernel("row_in_registers", "float32", "int32", 1, **_register_shape(10, 1))


def softmax_cross_entropy(
    logits: Array,
    labels: Array,
    *,
    sample_weight: Array | None = None,
    class_weight: Array | None = None,
    scale: Array | float = 1.0,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    launcher: Launcher | None = None,
) -> tuple[Array, Array, Array]:
    """Return the loss of each row, whether it hits, and the gradient, which takes the place of the logits.

    With ``p = softmax(logits / temperature)`` and
    ``t[c] = class_weight[c] * ((1 - label_smoothing) * (c == label) + label_smoothing / n_classes)``,

        value    = -sample_weight * sum(t * log(p))
        gradient =  sample_weight * (sum(t) * p - t) / temperature * scale

    Nothing here waits for the device.

    Parameters
    ----------
    logits : array of float, shape (n_samples, n_classes)
        Scores: float16, bfloat16, float32 or float64. The elements of a row must be neighbours in memory; the rows
        may lie apart. Overwritten.
    labels : array of int, shape (n_samples,)
        Classes, each in [0, n_classes), which nobody checks here.
    sample_weight : array of float, shape (n_samples,), optional
        How much each sample counts; 0 for one that does not.
    class_weight : array of float, shape (n_classes,), optional
        How much each class counts.
    scale : array of shape () or float, default: 1.0
        Multiplies the gradient only. An array is read by the device.
    label_smoothing : float, default: 0.0
        The share of the target that is spread evenly over all classes, in [0, 1].
    temperature : float, default: 1.0
        The logits are divided by it. Positive.
    launcher : Launcher, optional
        What runs the kernel; by default CuPy.

    Returns
    -------
    value : array of shape (n_samples,)
        In nats: float64 for float64 logits, else float32.
    hits : array of bool, shape (n_samples,)
        Whether the first largest logit is at the label.
    gradient : array of the shape of ``logits``
        ``logits`` itself.

    Raises
    ------
    InvalidTypeError
        For logits of another dtype, or of another library than CuPy without a launcher.
    InvalidValueError
        For shapes that do not fit, or rows whose elements are not neighbours.
    """
    n_samples, n_classes = _checked_shape(logits, labels, sample_weight, class_weight)
    launcher = launcher_of(logits, "logits") if launcher is None else launcher
    xp, dtype = array_namespace(logits), str(logits.dtype)
    real = getattr(np, real_name(dtype))
    if str(labels.dtype) not in {"int32", "int64"}:
        labels = xp.astype(labels, xp.int64)
    scale_on_device, scale_number = (
        (None, scale) if isinstance(scale, float | int | np.generic) else (in_real(scale, real), 1.0)
    )
    value = xp.empty((n_samples,), dtype=real, device=device(logits))
    hits = xp.empty((n_samples,), dtype=xp.bool, device=device(logits))
    row_stride = row_stride_of(logits, "logits")
    arguments = (
        logits,
        as_vector(labels),
        in_real(sample_weight, real),
        in_real(class_weight, real),
        scale_on_device,
        real(scale_number),
        real(label_smoothing),
        real(1.0 / temperature),
        np.int64(n_samples),
        np.int32(n_classes),
        np.int64(row_stride),
        value,
        hits,
    )
    vector = _vector(logits, n_classes, row_stride)
    launch = _plan(n_samples, n_classes, dtype, str(labels.dtype), vector, launcher.shared_bytes_limit)
    launcher.run(*launch[:3], arguments, launch[3])
    return value, hits, logits


def _plan(
    n_samples: int, n_classes: int, dtype: str, label: str, vector: int, shared_bytes_limit: int
) -> tuple[Kernel, int, int, int]:
    """Choose the kernel, and how many blocks, threads and bytes of shared memory it gets."""
    if n_classes <= _REGISTER_CLASSES:
        shape = _register_shape(n_classes, vector)
        rows_of_a_block = _REGISTER_THREADS // shape["LANES"]
        kernel = _kernel("row_in_registers", dtype, label, vector, **shape)
        return kernel, -(-n_samples // rows_of_a_block), _REGISTER_THREADS, 0
    # Several loads for each thread hide the memory's latency better than one; 8 warps at least can share a row.
    real_bytes = 8 if dtype == "float64" else 4
    block = min(4096 // real_bytes, max(256, -(-n_classes // (vector * 4) // 32) * 32))
    scratch_bytes = _SCRATCH_NUMBERS * real_bytes
    row_bytes = scratch_bytes + n_classes * real_bytes
    # Half of what a multiprocessor has: a second block loads its row while the first one computes.
    if row_bytes <= shared_bytes_limit // 2:
        return _kernel("row_in_shared_memory", dtype, label, vector), n_samples, block, row_bytes
    return _kernel("row_read_twice", dtype, label, vector), n_samples, block, scratch_bytes


def _vector(logits: Array, n_classes: int, row_stride: int) -> int:
    """Return how many elements a thread may read at once: all that every row's start, and length, are multiples of."""
    vector = _WIDEST_LOAD // _ITEMSIZES[str(logits.dtype)]
    is_aligned = address(logits) % _WIDEST_LOAD == 0 and row_stride % vector == 0 and n_classes % vector == 0
    return vector if is_aligned else 1


def _checked_shape(
    logits: Array, labels: Array, sample_weight: Array | None, class_weight: Array | None
) -> tuple[int, int]:
    """Compare what a kernel cannot: it would read past an array's end."""
    if str(logits.dtype) not in _ITEMSIZES:
        msg = f"`logits` must be float16, bfloat16, float32 or float64; got {logits.dtype}. Pass them with astype."
        raise InvalidTypeError(msg)
    if logits.ndim != 2 or logits.shape[1] == 0:
        msg = f"`logits` must have shape (n_samples, n_classes), with a class at least; got {tuple(logits.shape)}."
        raise InvalidValueError(msg)
    n_samples, n_classes = logits.shape
    for name, array, length in (
        ("labels", labels, n_samples),
        ("sample_weight", sample_weight, n_samples),
        ("class_weight", class_weight, n_classes),
    ):
        if array is not None and array.shape != (length,):
            msg = f"`{name}` must have shape ({length},), one for each; got {tuple(array.shape)}."
            raise InvalidValueError(msg)
    return int(n_samples), int(n_classes)
