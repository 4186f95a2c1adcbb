# SPDX-License-Identifier: BSD-3-Clause
"""What the losses make of labels, soft targets and weights, once for a fit."""

__all__ = ["checked_class_weight", "prepare_targets", "soft_target"]

from collections.abc import Sequence
from math import isfinite
from typing import Any

from array_api_compat import device

from softmax_xp.backend import array_namespace, as_array
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.losses.contract import Targets
from softmax_xp.ops.labels import as_index, check_labels, one_hot
from softmax_xp.typing import Array


def checked_class_weight(class_weight: Sequence[float] | None) -> tuple[float, ...] | None:
    """Return the class weights as a tuple, which compares, hashes and pickles; an array would not compare to one bool.

    Parameters
    ----------
    class_weight : sequence of float or None
        One weight for each class.

    Returns
    -------
    tuple of float or None
        The same numbers.

    Raises
    ------
    InvalidValueError
        For weights that are negative, not finite or all 0.
    """
    if class_weight is None:
        return None
    weights = tuple(float(weight) for weight in class_weight)  # host: a hyperparameter, once
    if not all(isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        msg = f"`class_weight` must hold finite weights >= 0, not all of them 0; got {weights}."
        raise InvalidValueError(msg)
    return weights


def prepare_targets(
    targets: Array,
    n_classes: int,
    *,
    dtype: Any,
    sample_weight: Array | None = None,
    class_weight: Sequence[float] | None = None,
    ignore_index: int | None = None,
) -> Targets:
    """Fold labels or soft targets, weights and ignored samples into one record.

    Parameters
    ----------
    targets : array
        Class numbers of shape (n_samples,), or soft targets of shape (n_samples, n_classes).
    n_classes : int
        How many classes there are.
    dtype : dtype
        The float of the logits.
    sample_weight : array of float, shape (n_samples,), optional
        How much each sample counts.
    class_weight : sequence of float, optional
        One weight for each class.
    ignore_index : int, optional
        The label of samples that do not count.

    Returns
    -------
    Targets
        On the device of ``targets``.

    Raises
    ------
    InvalidTypeError
        For soft targets together with ``ignore_index``, which is a label.
    InvalidValueError
        For labels out of range, or arrays whose shapes do not fit.
    """
    targets = as_array(targets)
    xp = array_namespace(targets)
    if targets.ndim not in {1, 2}:
        msg = f"`targets` must have shape (n_samples,) or (n_samples, n_classes); got {tuple(targets.shape)}."
        raise InvalidValueError(msg)
    by_class = None
    if class_weight is not None:
        if len(class_weight) != n_classes:
            msg = f"`class_weight` must hold {n_classes} weights, one for each class; got {len(class_weight)}."
            raise InvalidValueError(msg)
        by_class = xp.asarray(class_weight, dtype=dtype, device=device(targets))
    if sample_weight is not None:
        if sample_weight.shape != (targets.shape[0],):
            msg = f"`sample_weight` must have shape ({targets.shape[0]},); got {tuple(sample_weight.shape)}."
            raise InvalidValueError(msg)
        sample_weight = xp.astype(sample_weight, dtype, copy=False)
    if targets.ndim == 2:
        if ignore_index is not None:
            msg = f"`ignore_index` must be None with soft targets, which have no labels; got {ignore_index}."
            raise InvalidTypeError(msg)
        return _prepare_soft(targets, n_classes, dtype, sample_weight, by_class)
    return _prepare_labels(targets, n_classes, dtype, sample_weight, by_class, ignore_index)


def _prepare_labels(
    labels: Array,
    n_classes: int,
    dtype: Any,
    sample_weight: Array | None,
    class_weight: Array | None,
    ignore_index: int | None,
) -> Targets:
    """Prepare class numbers, whose mean divides by the sample weights times the class weights."""
    xp = array_namespace(labels)
    labels = as_index(labels)
    check_labels(labels, labels.shape[0], n_classes, ignore_index=ignore_index)
    if ignore_index is not None:
        counts = labels != ignore_index
        labels = xp.where(counts, labels, 0)
        counted = xp.astype(counts, dtype)
        sample_weight = counted if sample_weight is None else sample_weight * counted
    weight = sample_weight
    if class_weight is not None:
        weight = xp.take(class_weight, labels, axis=0)
        weight = weight if sample_weight is None else weight * sample_weight
    return Targets(labels, None, weight, sample_weight, class_weight)


def _prepare_soft(
    targets: Array, n_classes: int, dtype: Any, sample_weight: Array | None, class_weight: Array | None
) -> Targets:
    """Prepare soft targets, whose mean divides by the sample weights alone."""
    xp = array_namespace(targets)
    if targets.shape[1] != n_classes:
        msg = f"`targets` must have {n_classes} columns, one for each class; got shape {tuple(targets.shape)}."
        raise InvalidValueError(msg)
    distribution = xp.astype(targets, dtype, copy=False)
    return Targets(xp.argmax(distribution, axis=1), distribution, sample_weight, sample_weight, class_weight)


def soft_target(targets: Targets, n_classes: int, *, dtype: Any, axis: int = -1, label_smoothing: float = 0.0) -> Array:
    """Return the smoothed target of each sample times its weights, with zeros written out.

    Parameters
    ----------
    targets : Targets
        From :func:`prepare_targets`.
    n_classes : int
        How many classes there are.
    dtype : dtype
        Of the result.
    axis : {-1, 0}, default: -1
        Where the classes go.
    label_smoothing : float, default: 0.0
        The share that is spread evenly over all classes.

    Returns
    -------
    array of shape (n_samples, n_classes) or (n_classes, n_samples)
        ``sample_weight * class_weight * ((1 - label_smoothing) * target + label_smoothing / n_classes)``. Not for
        writing: without weights it may be the soft targets themselves.
    """
    xp = array_namespace(targets.labels)
    if targets.distribution is None:
        target = one_hot(targets.labels, n_classes, dtype=dtype, axis=axis)
    else:
        target = xp.astype(targets.distribution.T if axis == 0 else targets.distribution, dtype, copy=False)
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / n_classes
    if targets.class_weight is not None:
        by_class = xp.astype(targets.class_weight, dtype, copy=False)
        target = target * (by_class[:, None] if axis == 0 else by_class)
    if targets.sample_weight is not None:
        target = target * xp.expand_dims(xp.astype(targets.sample_weight, dtype, copy=False), axis=axis)
    return target
