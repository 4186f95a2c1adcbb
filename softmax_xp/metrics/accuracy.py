# SPDX-License-Identifier: BSD-3-Clause
"""The share of samples that are classified right."""

__all__ = ["accuracy"]

from softmax_xp.backend import array_namespace, backend_of
from softmax_xp.metrics.checks import check_logits, check_weight
from softmax_xp.metrics.mean import mean_over_samples
from softmax_xp.typing import Array


def accuracy(labels: Array, logits: Array, *, sample_weight: Array | None = None) -> Array:
    """Return the share of samples whose largest logit is at their label: ``mean(argmax(logits) == labels)``.

    A tie goes to the lowest class.

    Parameters
    ----------
    labels : array of int, shape (n_samples,)
        Class numbers.
    logits : array of shape (n_samples, n_classes)
        Logits, probabilities or their logarithms: only their order counts.
    sample_weight : array of shape (n_samples,), optional
        How much each sample counts.

    Returns
    -------
    array of shape ()
        Between 0 and 1; float64 on CPUs.

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
    >>> from softmax_xp.metrics import accuracy
    >>> float(accuracy(np.array([0, 1]), np.array([[2.0, 1.0], [3.0, 0.0]])))
    0.5
    """
    labels = check_logits(labels, logits)
    check_weight(sample_weight, labels)
    xp, backend = array_namespace(logits), backend_of(logits)
    hits = xp.astype(xp.argmax(logits, axis=-1) == labels, backend.float_dtype())
    return mean_over_samples(hits, sample_weight)
