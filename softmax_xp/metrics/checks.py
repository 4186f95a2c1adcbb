# SPDX-License-Identifier: BSD-3-Clause
"""What the metrics ask of their arguments. Each check reads the device once: a metric is read by people anyway."""

__all__ = ["check_class_numbers", "check_logits", "check_weight"]

from softmax_xp.backend import array_namespace, backend_of, scalar
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.ops.labels import as_index
from softmax_xp.typing import Array


def check_class_numbers(labels: Array, n_classes: int, *, name: str = "labels") -> Array:
    """Raise unless ``labels`` are class numbers.

    Parameters
    ----------
    labels : array of int, shape (n_samples,)
        What to check.
    n_classes : int
        Labels must lie in ``0 .. n_classes - 1``.
    name : str, default="labels"
        What to call them in messages.

    Returns
    -------
    array of int, shape (n_samples,)
        In the dtype of indices, see :func:`softmax_xp.ops.labels.as_index`.
    """
    xp = array_namespace(labels)
    if not xp.isdtype(labels.dtype, "integral"):
        msg = f"`{name}` must hold integer class numbers; got {labels.dtype}. Pass the codes of encode_labels."
        raise InvalidTypeError(msg)
    if labels.ndim != 1 or labels.shape[0] == 0:
        msg = f"`{name}` must have shape (n_samples,) and not be empty; got {tuple(labels.shape)}."
        raise InvalidValueError(msg)
    low, high = scalar(xp.min(labels)), scalar(xp.max(labels))  # host: once for a metric
    if low < 0 or high >= n_classes:
        msg = f"`{name}` must lie in 0 .. {n_classes - 1}; got class numbers from {low:g} to {high:g}."
        raise InvalidValueError(msg)
    return as_index(labels)


def check_logits(labels: Array, logits: Array) -> Array:
    """Raise unless there is a row of logits for each label, on one device; return the checked labels."""
    backend_of(logits, labels, names=("logits", "labels"))
    if logits.ndim != 2 or logits.shape[1] == 0:
        msg = f"`logits` must have shape (n_samples, n_classes); got {tuple(logits.shape)}."
        raise InvalidValueError(msg)
    labels = check_class_numbers(labels, logits.shape[1])
    if logits.shape[0] != labels.shape[0]:
        msg = f"`logits` must have a row for each of the {labels.shape[0]} labels; got shape {tuple(logits.shape)}."
        raise InvalidValueError(msg)
    return labels


def check_weight(sample_weight: Array | None, labels: Array) -> None:
    """Raise unless there is one weight for each label, on its device, and they have a positive sum."""
    if sample_weight is None:
        return
    backend_of(labels, sample_weight, names=("labels", "sample_weight"))
    if sample_weight.shape != labels.shape:
        msg = (
            f"`sample_weight` must have shape {tuple(labels.shape)}, one weight for each sample; "
            f"got {tuple(sample_weight.shape)}."
        )
        raise InvalidValueError(msg)
    xp = array_namespace(sample_weight)
    low, total = scalar(xp.min(sample_weight)), scalar(xp.sum(sample_weight))  # host: once for a metric
    if not (low >= 0.0 and 0.0 < total < float("inf")):
        msg = f"`sample_weight` must not be negative, with a finite positive sum; got minimum {low:g}, sum {total:g}."
        raise InvalidValueError(msg)
