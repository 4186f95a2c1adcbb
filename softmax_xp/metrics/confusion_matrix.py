# SPDX-License-Identifier: BSD-3-Clause
"""How often each class is taken for each other class."""

__all__ = ["confusion_matrix"]

from array_api_compat import device

from softmax_xp.backend import backend_of
from softmax_xp.errors import InvalidValueError
from softmax_xp.metrics.checks import check_class_numbers, check_weight
from softmax_xp.typing import Array


def confusion_matrix(labels: Array, predicted: Array, n_classes: int, *, sample_weight: Array | None = None) -> Array:
    """Count the samples of each pair of classes: ``matrix[i, j] = sum(labels == i and predicted == j)``.

    Parameters
    ----------
    labels : array of int, shape (n_samples,)
        True class numbers.
    predicted : array of int, shape (n_samples,)
        Predicted class numbers.
    n_classes : int
        How many classes there are; some may be missing from both arrays.
    sample_weight : array of shape (n_samples,), optional
        What to add up instead of counting.

    Returns
    -------
    array of shape (n_classes, n_classes)
        Rows are the true classes, columns the predicted ones. Integers, or with weights float64 on CPUs.

    Raises
    ------
    DeviceMismatchError
        When the arrays live on different devices.
    InvalidTypeError
        For labels that are not integers.
    InvalidValueError
        For shapes that do not fit, labels that are no classes, or weights that are negative or all zero.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.metrics import confusion_matrix
    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1, 0],
           [1, 1]])
    """
    if n_classes < 1:
        msg = f"`n_classes` must be at least 1; got {n_classes}."
        raise InvalidValueError(msg)
    backend = backend_of(labels, predicted, names=("labels", "predicted"))
    xp = backend.xp
    if labels.shape != predicted.shape:
        msg = f"`predicted` must have the shape of `labels`, {tuple(labels.shape)}; got {tuple(predicted.shape)}."
        raise InvalidValueError(msg)
    labels = check_class_numbers(labels, n_classes)
    check_weight(sample_weight, labels)
    cells = labels * n_classes + check_class_numbers(predicted, n_classes, name="predicted")
    every = xp.arange(n_classes * n_classes, dtype=cells.dtype, device=device(cells))
    # The standard has no bincount. In sorted order each cell is a run, and searching finds where it starts and ends.
    order = xp.argsort(cells)
    runs = xp.take(cells, order)
    first, last = xp.searchsorted(runs, every, side="left"), xp.searchsorted(runs, every, side="right")
    if sample_weight is None:
        return xp.reshape(last - first, (n_classes, n_classes))
    floating = backend.float_dtype(sample_weight.dtype)
    weight = xp.take(xp.astype(sample_weight, floating), order)
    up_to = xp.cumulative_sum(weight, dtype=backend.sum_dtype(floating), include_initial=True)
    return xp.reshape(xp.take(up_to, last) - xp.take(up_to, first), (n_classes, n_classes))
