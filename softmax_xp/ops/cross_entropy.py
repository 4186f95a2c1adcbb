# SPDX-License-Identifier: BSD-3-Clause
"""The softmax loss over logits with labels, and its gradient: what all kernels of that name compute.

With ``z = logits / temperature``, ``p = softmax(z)`` and the smoothed, weighted target ``t`` of a sample,

    t[c]     = class_weight[c] * ((1 - label_smoothing) * [c == label] + label_smoothing / n_classes)
    value    = -sample_weight * sum(t * log(p))
    gradient =  sample_weight * scale * (sum(t) * p - t) / temperature

Nothing of the size of ``t`` is made. What a sample spreads over all classes, ``spread[c] = class_weight[c] *
label_smoothing / n_classes``, is the same for all samples, and ``own = (1 - label_smoothing) * class_weight[label]`` is
one number for each, so that

    sum(t)          = own + sum(spread)
    sum(t * log(p)) = own * shifted[label] + sum(spread * shifted) - sum(t) * log(total)
"""

__all__ = ["own_share", "softmax_cross_entropy", "spread_share"]

from array_api_compat import device

from softmax_xp.backend import array_namespace
from softmax_xp.kernels import find_kernel
from softmax_xp.ops.labels import places, subtract_at
from softmax_xp.ops.softmax import shifted_exponentials
from softmax_xp.typing import Array


def softmax_cross_entropy(
    logits: Array,
    labels: Array,
    *,
    sample_weight: Array | None = None,
    class_weight: Array | None = None,
    scale: Array | float = 1.0,
    label_smoothing: float = 0.0,
    temperature: float = 1.0,
    axis: int = -1,
    overwrite_logits: bool = True,
) -> tuple[Array, Array]:
    """Return each sample's weighted loss, and ``scale`` times the gradient of their sum.

    Call it within :meth:`Backend.scope`: infinite logits subtract to NaN, of which NumPy warns.

    Parameters
    ----------
    logits : array of float, shape (n_samples, n_classes), or its transpose with ``axis=0``
        Scores.
    labels : array of int, shape (n_samples,)
        Class numbers, all of them in range.
    sample_weight : array of float, shape (n_samples,), optional
        How much each sample counts; 0 for one that is ignored.
    class_weight : array of float, shape (n_classes,), optional
        How much each class counts.
    scale : array of shape () or float, default: 1.0
        Multiplies the gradient only.
    label_smoothing : float, default: 0.0
        The share of the target that is spread evenly over all classes, in [0, 1].
    temperature : float, default: 1.0
        The logits are divided by it. Positive.
    axis : {-1, 0}, default: -1
        The axis of the classes.
    overwrite_logits : bool, default: True
        Whether the logits are given up: a kernel then writes the gradient over them, else over a copy.

    Returns
    -------
    value : array of shape (n_samples,)
        In nats, times the sample's weight.
    gradient : array of the shape of ``logits``
        Perhaps ``logits`` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.ops.cross_entropy import softmax_cross_entropy
    >>> value, gradient = softmax_cross_entropy(np.zeros((1, 2)), np.array([1]))
    >>> value, gradient
    (array([0.69314718]), array([[ 0.5, -0.5]]))
    """
    kernel = find_kernel("softmax_cross_entropy", logits)
    if kernel is not None:
        logits = (
            logits if overwrite_logits else array_namespace(logits).asarray(logits, device=device(logits), copy=True)
        )
        answer: tuple[Array, Array] | None = kernel(
            logits,
            labels,
            sample_weight=sample_weight,
            class_weight=class_weight,
            scale=scale,
            label_smoothing=label_smoothing,
            temperature=temperature,
            axis=axis,
        )
        if answer is not None:
            return answer
    if temperature != 1.0:
        logits = logits / temperature
        scale = scale / temperature
    return _by_definition(logits, labels, sample_weight, class_weight, scale, label_smoothing, axis)


def _by_definition(
    logits: Array,
    labels: Array,
    sample_weight: Array | None,
    class_weight: Array | None,
    scale: Array | float,
    label_smoothing: float,
    axis: int,
) -> tuple[Array, Array]:
    """Compute the formulas of the module's docstring at temperature 1."""
    xp = array_namespace(logits)
    _, shifted, gradient, total = shifted_exponentials(logits, axis=axis)
    place = places(labels, axis=axis)
    own = own_share(labels, class_weight, label_smoothing)
    shifted_own = shifted[place]
    value = xp.log(xp.squeeze(total, axis=axis))
    row_scale = scale if sample_weight is None else sample_weight * scale
    if not label_smoothing:
        value = (value - shifted_own) if own is None else own * (value - shifted_own)
        amount = row_scale if own is None else own * row_scale
        row_factor = _as_rows(amount, axis) / total
    else:
        spread = spread_share(class_weight, logits, label_smoothing, axis)
        own = xp.ones_like(value) * (1.0 - label_smoothing) if own is None else own
        mass = own + xp.sum(spread)
        # 0 * -inf is NaN, but a class without a weight asks nothing of its logit.
        entropy = xp.where(own == 0, 0.0, own * shifted_own)
        entropy += xp.sum(xp.where(spread == 0, 0.0, spread * shifted), axis=axis)
        value = mass * value - entropy
        amount = own * row_scale
        row_factor = _as_rows(mass * row_scale, axis) / total
    gradient *= row_factor
    if label_smoothing:
        gradient -= spread * _as_rows(row_scale, axis)
    if sample_weight is not None:
        value = value * sample_weight
    return value, subtract_at(gradient, place, amount, axis=axis)


def own_share(labels: Array, class_weight: Array | None, label_smoothing: float) -> Array | None:
    """Return how much of each sample's target is at its label.

    Parameters
    ----------
    labels : array of int, shape (n_samples,)
        Class numbers.
    class_weight : array of float, shape (n_classes,), or None
        How much each class counts.
    label_smoothing : float
        The share that is spread over all classes.

    Returns
    -------
    array of shape (n_samples,) or None
        ``(1 - label_smoothing) * class_weight[label]``; None without weights of classes.
    """
    if class_weight is None:
        return None
    own = array_namespace(class_weight).take(class_weight, labels, axis=0)
    return own if not label_smoothing else own * (1.0 - label_smoothing)


def spread_share(class_weight: Array | None, logits: Array, label_smoothing: float, axis: int) -> Array:
    """Return what each sample's target gives to each class, ready to meet the logits.

    Parameters
    ----------
    class_weight : array of float, shape (n_classes,), or None
        How much each class counts.
    logits : array of shape (n_samples, n_classes), or its transpose with ``axis=0``
        Whose classes are meant.
    label_smoothing : float
        The share that is spread over all classes.
    axis : {-1, 0}
        The axis of the classes.

    Returns
    -------
    array of shape (1, n_classes) or (n_classes, 1)
        ``class_weight * label_smoothing / n_classes``.
    """
    xp, n_classes = array_namespace(logits), logits.shape[axis]
    if class_weight is None:
        class_weight = xp.ones(n_classes, dtype=logits.dtype, device=device(logits))
    spread = xp.astype(class_weight, logits.dtype, copy=False) * (label_smoothing / n_classes)
    return xp.reshape(spread, (n_classes, 1) if axis == 0 else (1, n_classes))


def _as_rows(amount: Array | float, axis: int) -> Array | float:
    """Make one number for each sample ready to meet the logits."""
    if isinstance(amount, float) or amount.ndim == 0:
        return amount
    return array_namespace(amount).expand_dims(amount, axis=axis)
