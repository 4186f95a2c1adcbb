# SPDX-License-Identifier: BSD-3-Clause
"""Loss and gradient of a linear softmax model with few classes, reading the data once: see ``full_batch.cu``."""

__all__ = ["full_batch_kernels", "linear_cross_entropy", "supports_full_batch"]

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import device

from softmax_xp.backend import array_namespace
from softmax_xp.errors import InvalidValueError
from softmax_xp.kernels.cuda.arguments import as_vector, in_real, row_stride_of
from softmax_xp.kernels.cuda.program import Launcher, launcher_of
from softmax_xp.kernels.cuda.source import Kernel, type_name
from softmax_xp.typing import Array

_FILE = "full_batch.cu"
_ELEMENTS = ("uint8", "float16", "bfloat16", "float32", "float64")
_MOST_CLASSES = 32
_MOST_THREADS = 256
_MOST_ROWS = 4
# Of the 255 registers of a thread these are for numbers that the kernel keeps; the rest is for addresses and
# intermediate results.
_NUMBER_REGISTERS = 202
# With so few that half the register file will do, a multiprocessor holds two blocks: one computes while one waits.
_TWO_BLOCKS_REGISTERS = 98
# Beyond, the addresses of that many features take more registers than the sums.
_MOST_FEATURES = 24
# As in full_batch.cu.
_REDUCE_SHARES = 8


class _Shape(NamedTuple):
    """How a block divides its work; see the macros in full_batch.cu."""

    threads: int
    features: int
    rows: int
    blocks: int

    def shared_bytes(self, n_classes: int, itemsize: int) -> int:
        """Return what a block shares: the weights, and the logits of a few rows."""
        values = self.rows * n_classes
        return (n_classes * self.threads * self.features + (self.threads // 32 + 1) * values) * itemsize


def _shape(n_weights: int, n_classes: int, dtype: str, X_dtype: str) -> _Shape | None:
    """Divide the features among threads, and take as many rows at once as the registers allow; None if not even one."""
    words = 2 if dtype == "float64" else 1
    element_words = 2 if X_dtype == "float64" else 1
    features = -(-n_weights // _MOST_THREADS)
    if features > _MOST_FEATURES:
        return None
    for rows in range(min(_MOST_ROWS, _MOST_CLASSES // n_classes), 0, -1):
        sums = 1 << (rows * n_classes - 1).bit_length()
        registers = words * (features * n_classes + rows * features + sums) + element_words * rows * features
        registers += features // 2  # for addresses
        if registers <= _NUMBER_REGISTERS:
            threads = max(32 * _MOST_ROWS, -(-n_weights // features // 32) * 32)
            threads = min(_MOST_THREADS, threads + 32 * (threads * features < n_weights))
            return _Shape(threads, features, rows, 2 if registers <= _TWO_BLOCKS_REGISTERS else 1)
    return None


def _kernel(entry: str, X_dtype: str, label: str, dtype: str, n_classes: int, shape: _Shape, bias: bool) -> Kernel:  # noqa: FBT001
    """Put the macros in their one order, because equal kernels must compare equal."""
    return Kernel(
        _FILE,
        entry,
        (
            ("ELEMENT", type_name(X_dtype)),
            ("LABEL", type_name(label)),
            ("REAL", type_name(dtype)),
            ("CLASSES", n_classes),
            ("ROWS", shape.rows),
            ("FEATURES", shape.features),
            ("THREADS", shape.threads),
            ("BLOCKS", shape.blocks),
            ("BIAS", int(bias)),
        ),
    )


def full_batch_kernels() -> Iterator[Kernel]:
    """Yield kernels of every kind that :func:`linear_cross_entropy` can ask for, the largest of each among them.

    Yields
    ------
    Kernel
        Each dtype, and pairs of numbers of features and classes up to the limits.
    """
    sizes = [(785, 10, X_dtype, "float32") for X_dtype in ("uint8", "float16", "bfloat16", "float32")]
    sizes += [(785, 10, "float64", "float64"), (65, 3, "float32", "float32"), (30, 1, "float32", "float32")]
    # Of each number of classes the most features.
    for n_classes, dtypes in ((3, ("float32",)), (10, ("float32", "float64")), (16, ("float32",)), (32, ("float32",))):
        for dtype in dtypes:
            most = [n for n in range(256, 8193, 256) if _shape(n, n_classes, dtype, dtype) is not None]
            sizes.append((most[-1], n_classes, dtype, dtype))
    for n_weights, n_classes, X_dtype, dtype in sizes:
        shape = _shape(n_weights, n_classes, dtype, X_dtype)
        if shape is not None:
            for entry in ("partial_gradients", "reduce_partials"):
                yield _kernel(entry, X_dtype, "int64", dtype, n_classes, shape, bias=True)


def supports_full_batch(
    *, n_features: int, n_classes: int, bias: bool, X_dtype: Any, dtype: Any, shared_bytes_limit: int
) -> bool:
    """Tell whether the registers and the shared memory of a multiprocessor allow a problem.

    Parameters
    ----------
    n_features : int
        Of the data.
    n_classes : int
        How many classes there are.
    bias : bool
        Whether the model has one.
    X_dtype : dtype
        Of the data.
    dtype : dtype
        The float of the weights.
    shared_bytes_limit : int
        The launcher's.

    Returns
    -------
    bool
        Whether :func:`linear_cross_entropy` can be called with it.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.kernels.cuda.full_batch import supports_full_batch
    >>> float32 = np.dtype("float32")
    >>> problem = {"bias": True, "X_dtype": float32, "dtype": float32, "shared_bytes_limit": 232448}
    >>> supports_full_batch(n_features=784, n_classes=10, **problem)
    True
    >>> supports_full_batch(n_features=2048, n_classes=32, **problem)
    False
    """
    if str(X_dtype) not in _ELEMENTS or str(dtype) not in {"float32", "float64"}:
        return False
    if not 1 <= n_classes <= _MOST_CLASSES or n_features < 1:
        return False
    shape = _shape(n_features + int(bias), n_classes, str(dtype), str(X_dtype))
    if shape is None:
        return False
    return shape.shared_bytes(n_classes, 8 if str(dtype) == "float64" else 4) <= shared_bytes_limit


def linear_cross_entropy(
    weight: Array,
    bias: Array | None,
    X: Array,
    labels: Array,
    *,
    sample_weight: Array | None = None,
    class_weight: Array | None = None,
    scale: Array | float = 1.0,
    shift: Array | None = None,
    feature_scale: Array | None = None,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    launcher: Launcher | None = None,
) -> tuple[Array, Array, Array | None]:
    """Return each sample's loss, and ``scale`` times the gradient of their sum. Nothing here waits for the device.

    Parameters
    ----------
    weight : array of shape (n_features, n_classes)
        Of float32 or float64, in which everything is computed. C order.
    bias : array of shape (n_classes,) or None
        Of the dtype of ``weight``.
    X : array of shape (n_samples, n_features)
        Of uint8, float16, bfloat16, float32 or float64; converted where it is used. The elements of a row must be
        neighbours in memory.
    labels : array of int, shape (n_samples,)
        Classes, each in [0, n_classes), which nobody checks here.
    sample_weight : array of float, shape (n_samples,), optional
        How much each sample counts; 0 for one that does not.
    class_weight : array of float, shape (n_classes,), optional
        How much each class counts.
    scale : array of shape () or float, default: 1.0
        Multiplies the gradient only. An array is read by the device.
    shift : array of float, shape (n_features,), optional
        Subtracted from each feature.
    feature_scale : array of float, shape (n_features,), optional
        Multiplies each feature after the shift.
    label_smoothing : float, default: 0.0
        The share of the target that is spread evenly over all classes, in [0, 1].
    temperature : float, default: 1.0
        The logits are divided by it. Positive.
    launcher : Launcher, optional
        What runs the kernels; by default CuPy.

    Returns
    -------
    values : array of shape (n_samples,)
        In nats, times the sample's weight.
    weight_gradient : array of shape (n_features, n_classes)
        Fresh.
    bias_gradient : array of shape (n_classes,) or None
        None without a bias.

    Raises
    ------
    InvalidTypeError
        For an ``X`` of another library than CuPy without a launcher.
    InvalidValueError
        For shapes that do not fit, or a problem that :func:`supports_full_batch` denies.
    """
    launcher = launcher_of(X, "X") if launcher is None else launcher
    shape = _checked_shape(weight, bias, X, launcher.shared_bytes_limit)
    _check_lengths(X.shape[0], labels=labels, sample_weight=sample_weight)
    _check_lengths(weight.shape[1], class_weight=class_weight, bias=bias)
    _check_lengths(X.shape[1], shift=shift, feature_scale=feature_scale)
    xp, place, real = array_namespace(weight), device(weight), getattr(np, str(weight.dtype))
    n_samples, (n_features, n_classes) = X.shape[0], weight.shape
    n_weights = n_features + int(bias is not None)
    # As many blocks as run at the same time, each of which takes every so many rows.
    grid = max(1, min(shape.blocks * launcher.n_multiprocessors, -(-n_samples // shape.rows)))
    values = xp.empty((n_samples,), dtype=real, device=place)
    partials = xp.empty((grid, n_weights, n_classes), dtype=real, device=place)
    weight_gradient = xp.empty(weight.shape, dtype=real, device=place)
    bias_gradient = None if bias is None else xp.empty(bias.shape, dtype=real, device=place)
    if str(labels.dtype) not in {"int32", "int64"}:
        labels = xp.astype(labels, xp.int64)
    is_number = isinstance(scale, float | int | np.generic)
    first, second = (
        _kernel(entry, str(X.dtype), str(labels.dtype), str(weight.dtype), n_classes, shape, bias is not None)
        for entry in ("partial_gradients", "reduce_partials")
    )
    arguments = (
        *(X, np.int64(row_stride_of(X, "X")), as_vector(labels)),
        *(in_real(array, real) for array in (sample_weight, class_weight, shift, feature_scale)),
        *(weight, in_real(bias, real), real(label_smoothing), real(1.0 / temperature)),
        *(np.int64(n_samples), np.int32(n_features), partials, values),
    )
    launcher.run(first, grid, shape.threads, arguments, shape.shared_bytes(n_classes, weight.dtype.itemsize))
    sizes = np.int64(n_features * n_classes), np.int64((n_weights - n_features) * n_classes)
    scales = (None, real(scale)) if is_number else (in_real(scale, real), real(1.0))
    arguments = (partials, np.int32(grid), *sizes, *scales, weight_gradient, bias_gradient)
    shared_bytes = _REDUCE_SHARES * 32 * weight.dtype.itemsize
    launcher.run(second, -(-n_weights * n_classes // 32), _REDUCE_SHARES * 32, arguments, shared_bytes)
    return values, weight_gradient, bias_gradient


def _checked_shape(weight: Array, bias: Array | None, X: Array, shared_bytes_limit: int) -> _Shape:
    """Refuse what the kernel cannot hold, and return how to divide the rest."""
    if weight.ndim != 2 or X.ndim != 2 or X.shape[1] != weight.shape[0] or not weight.flags.c_contiguous:
        msg = (
            "`weight` must have shape (n_features, n_classes), in C order, with the features of `X`; "
            f"got {tuple(weight.shape)} and an `X` of shape {tuple(X.shape)}. Pass a copy."
        )
        raise InvalidValueError(msg)
    n_features, n_classes = weight.shape
    types = {"X_dtype": X.dtype, "dtype": weight.dtype}
    limits = {"bias": bias is not None, "shared_bytes_limit": shared_bytes_limit, **types}
    if not supports_full_batch(n_features=n_features, n_classes=n_classes, **limits):
        msg = (
            "`weight` must be small enough for the registers, in a float that the kernel computes in; got shape "
            f"{tuple(weight.shape)} of {weight.dtype} for {X.dtype}. Use matrix products."
        )
        raise InvalidValueError(msg)
    shape = _shape(n_features + int(bias is not None), n_classes, str(weight.dtype), str(X.dtype))
    assert shape is not None  # noqa: S101 - as `supports_full_batch` said
    return shape


def _check_lengths(length: int, **vectors: Array | None) -> None:
    """Compare lengths that a kernel cannot see."""
    for name, vector in vectors.items():
        if vector is not None and vector.shape != (length,):
            msg = f"`{name}` must have shape ({length},), one for each; got {tuple(vector.shape)}."
            raise InvalidValueError(msg)
