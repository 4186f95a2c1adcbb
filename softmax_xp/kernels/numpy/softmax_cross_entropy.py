# SPDX-License-Identifier: BSD-3-Clause
"""The softmax loss and its gradient, written over the logits.

Memory traffic, in units of the logits (a chunk of them stays in the cache): the maximum reads them; the difference, the
exponentials and one factor for each sample each read and write them; the sum reads them. That is 8, and no array of
their size is allocated; the definition allocates two.
"""

__all__ = ["softmax_cross_entropy"]

from typing import Any

import numpy as np


def softmax_cross_entropy(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    sample_weight: np.ndarray | None = None,
    class_weight: np.ndarray | None = None,
    scale: Any = 1.0,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    axis: int = -1,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what :func:`softmax_xp.ops.cross_entropy.softmax_cross_entropy` does; the logits are overwritten.

    Parameters
    ----------
    logits : array of float, shape (n_samples, n_classes), or its transpose with ``axis=0``
        Given up.
    labels : array of int, shape (n_samples,)
        Class numbers.
    sample_weight, class_weight : array of float, optional
        How much each sample, of shape (n_samples,), and each class, of shape (n_classes,), counts.
    scale : float or array of shape (), default: 1.0
        Multiplies the gradient only.
    label_smoothing, temperature : float
        As in the definition.
    axis : {-1, 0}, default: -1
        The axis of the classes.

    Returns
    -------
    value : array of shape (n_samples,)
        In nats, times the sample's weight.
    gradient : array of the shape of ``logits``
        ``logits`` itself. Instead of both, None declines: label smoothing, class weights that are not folded into those
        of the samples, and logits that are not contiguous, or read-only, are left to the definition, and untouched.
    """
    if label_smoothing or class_weight is not None or not (logits.flags.c_contiguous and logits.flags.writeable):
        return None
    if temperature != 1.0:
        np.divide(logits, temperature, out=logits)
        scale = scale / temperature
    np.subtract(logits, np.maximum.reduce(logits, axis=axis, keepdims=True), out=logits)
    # One index into the flat logits picks three times as fast as two into their rows.
    flat, place = logits.reshape(-1), np.arange(labels.shape[0])
    if axis == 0:
        place += labels * labels.shape[0]
    else:
        place *= logits.shape[1]
        place += labels
    at_label = flat.take(place)
    np.exp(logits, out=logits)
    total = np.add.reduce(logits, axis=axis, keepdims=True)
    value = np.log(total.reshape(-1))
    value -= at_label
    row_scale = scale
    if sample_weight is not None:
        value *= sample_weight
        row_scale = sample_weight * scale
    factor = np.divide(row_scale if sample_weight is None else np.expand_dims(row_scale, axis), total, out=total)
    np.multiply(logits, factor, out=logits)
    flat[place] -= row_scale
    return value, logits
