# SPDX-License-Identifier: BSD-3-Clause
"""The linear model's two matrix products, in the layout that the class count asks for.

With few classes a row of logits is short, and reductions over a short last axis are slow in NumPy: the maximum of
10 scores takes 43 ns a row, and 2 ns over the first axis of the transpose. So on CPUs the logits of few classes are
transposed once, to ``(n_classes, n_samples)`` with the classes on axis 0, before the loss sees them. Many classes,
and accelerators, keep one row for each sample.
"""

__all__ = ["along_axis", "chunk_rows", "class_axis", "linear_logits", "params_gradient", "row_slices"]

from collections.abc import Iterator

from softmax_xp.backend import Backend, array_namespace
from softmax_xp.typing import Array, LinearParams

# Measured on 2 cores: a sample of 10 classes takes 100 ns in columns and 160 in rows, of 64 the same, of 128 more.
_CLASS_MAJOR_LIMIT = 48
# Bytes of one chunk's logits and of its rows of X on a CPU. The rows then stay in the shared L3 cache between the two
# products; smaller chunks were slower: each product has a fixed cost, and so has each call. The logits, which meet ten
# operations, stay in the L2; four times as many, where features are few, made a pass take twice as long.
_CPU_LOGITS_BYTES, _CPU_ROWS_BYTES = 1 << 19, 1 << 22
# An accelerator wants large products; the bound keeps temporaries small beside the data. With many classes the weight
# and its gradient are read and written anew for each chunk, which asks for thousands of rows as long as they take no
# more than sixteen times as much.
_ACCELERATOR_BYTES = 1 << 28
_ACCELERATOR_ROWS, _ACCELERATOR_MORE = 4096, 16
# Each chunk adds a part as large as the weight to the gradient: with 384 features and 1000 classes, 256 rows took 5 %
# longer than 512, and those 3 % longer than 1024, whose logits no longer fit into a second cache of 2 MB.
_LEAST_CHUNK_ROWS = 512
# But fewer rows where the logits of that many take more than these bytes, as those of a million classes do.
_LARGE_LOGITS_BYTES, _FEWEST_ROWS = 1 << 28, 16


def class_axis(n_classes: int, backend: Backend) -> int:
    """Return 0 where logits are best held class-major, else -1."""
    return 0 if backend.capabilities.row_chunks and n_classes <= _CLASS_MAJOR_LIMIT else -1


def chunk_rows(n_features: int, n_classes: int, itemsize: int, backend: Backend, *, copies: int = 4) -> int:
    """Return how many rows one chunk of a full pass over the data should have.

    Parameters
    ----------
    n_features, n_classes : int
        Columns of the data and of the logits.
    itemsize : int
        Bytes of a number.
    backend : Backend
        Where they live.
    copies : int, default: 4
        How many arrays of the size of the logits live at once; on accelerators memory is scarce.

    Returns
    -------
    int
        At least 1. A memory budget may ask for fewer, see :mod:`softmax_xp.ops.memory`.

    Examples
    --------
    >>> from softmax_xp import get_backend
    >>> from softmax_xp.ops.linear import chunk_rows
    >>> [chunk_rows(784, n_classes, 4, get_backend("cpu")) for n_classes in (10, 1000, 1_000_000)]
    [1337, 512, 67]
    """
    least = min(_LEAST_CHUNK_ROWS, max(_LARGE_LOGITS_BYTES // (n_classes * itemsize), _FEWEST_ROWS))
    if backend.capabilities.row_chunks:
        rows = min(_CPU_LOGITS_BYTES // (n_classes * itemsize), _CPU_ROWS_BYTES // (n_features * itemsize))
        return max(rows, least)
    rows = _ACCELERATOR_BYTES // ((n_features + 4 * n_classes) * itemsize)
    most = _ACCELERATOR_MORE * _ACCELERATOR_BYTES // ((n_features + copies * n_classes) * itemsize)
    return max(rows, min(most, _ACCELERATOR_ROWS), least)


def row_slices(n_samples: int, rows: int) -> Iterator[slice]:
    """Yield slices of at most ``rows`` rows that cover ``n_samples`` in order."""
    for start in range(0, n_samples, rows):
        yield slice(start, min(start + rows, n_samples))


def linear_logits(params: LinearParams, X: Array) -> Array:
    """Return ``X @ weight + bias``.

    Parameters
    ----------
    params : LinearParams
        Weight of shape (n_features, n_classes) and bias of shape (n_classes,) or None.
    X : array of shape (n_samples, n_features)
        Of the dtype of ``params``.

    Returns
    -------
    array of shape (n_samples, n_classes)
        Fresh.
    """
    logits = X @ params.weight
    if params.bias is not None:
        logits += params.bias
    return logits


def along_axis(logits: Array, axis: int) -> Array:
    """Return ``logits`` with its classes on ``axis``, and contiguous along the samples where that is 0.

    Parameters
    ----------
    logits : array of shape (n_samples, n_classes)
        One row for each sample.
    axis : {-1, 0}
        Where the classes should go.

    Returns
    -------
    array of shape (n_samples, n_classes) or (n_classes, n_samples)
        ``logits`` itself, or a transposed copy.
    """
    if axis == -1:
        return logits
    # Flattening a transposed view is the standard's one way to force a copy in its order. The copy costs a tenth of
    # what it saves; asking the matrix product for the transpose instead costs a third of that product.
    return array_namespace(logits).reshape(array_namespace(logits).reshape(logits.T, (-1,)), logits.shape[::-1])


def params_gradient(gradient: Array, X: Array, *, bias: bool, axis: int = -1) -> LinearParams:
    """Carry a gradient from the logits to the parameters, by the chain rule.

    Parameters
    ----------
    gradient : array of shape (n_samples, n_classes) or (n_classes, n_samples)
        With respect to the logits.
    X : array of shape (n_samples, n_features)
        What the logits were computed from.
    bias : bool
        Whether the model has one.
    axis : {-1, 0}, default: -1
        Where the classes are in ``gradient``.

    Returns
    -------
    LinearParams
        ``X.T @ gradient`` and the gradient's sum over samples.
    """
    weight = X.T @ (gradient.T if axis == 0 else gradient)
    return LinearParams(weight, array_namespace(gradient).sum(gradient, axis=axis + 1) if bias else None)
