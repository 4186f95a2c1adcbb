# SPDX-License-Identifier: BSD-3-Clause
"""The mean negative logarithm of the probability of the right class."""

__all__ = ["log_loss"]

from softmax_xp.metrics.checks import check_logits, check_weight
from softmax_xp.metrics.mean import mean_over_samples
from softmax_xp.ops.labels import places
from softmax_xp.ops.softmax import log_softmax
from softmax_xp.typing import Array


def log_loss(labels: Array, logits: Array, *, sample_weight: Array | None = None) -> Array:
    """Return the cross-entropy of the labels: ``mean(-log_softmax(logits)[n, labels[n]])``.

    It is finite for finite logits, where the logarithm of an underflown probability is not, and no probability is
    clipped.

    Parameters
    ----------
    labels : array of int, shape (n_samples,)
        Class numbers.
    logits : array of shape (n_samples, n_classes)
        Logits or log-probabilities, not probabilities.
    sample_weight : array of shape (n_samples,), optional
        How much each sample counts.

    Returns
    -------
    array of shape ()
        In nats; float64 on CPUs.

    Raises
    ------
    DeviceMismatchError
        When the arrays live on different devices.
    InvalidTypeError
        For labels that are not integers, or logits that are not real.
    InvalidValueError
        For shapes that do not fit, labels that are no classes, or weights that are negative or all zero.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.metrics import log_loss
    >>> float(log_loss(np.array([0, 1]), np.array([[0.0, 0.0], [1000.0, 0.0]])))
    500.34657359027995
    """
    labels = check_logits(labels, logits)
    check_weight(sample_weight, labels)
    return mean_over_samples(-log_softmax(logits)[places(labels)], sample_weight)
