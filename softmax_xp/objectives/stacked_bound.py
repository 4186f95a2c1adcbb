# SPDX-License-Identifier: BSD-3-Clause
"""A proven bound on how far each head is from its minimum, from its value and gradient alone: no further pass.

The dual is that of :mod:`softmax_xp.objectives.certificate`: any probabilities ``q`` of the samples with ``sum_i mass_i
q_i = sum_i t_i`` give, with ``A(q) = sum_i (mass_i q_i - t_i) x_i' / total``,

    f(W, b) - min f <= sum_i mass_i KL(q_i || p_i) / total + sum over weights of (l2 * w + a)**2 / (2 * l2)

That certificate makes such a ``q`` of the probabilities ``p`` by scaling and transport, which takes passes. Here it is
a mixture whose parts are known by their sums,

    q = (1 - s) * ((1 - theta) * p + theta * v) + s * t / mass

1. ``v`` is one distribution for all samples. Let ``r = sum_i (mass_i p_i - t_i) / total`` be the gradient of the
   biases, ``share = sum_i t_i / sum_i mass_i``, and ``mean = sum_i mass_i / total``. The columns of ``(1 - theta) * p +
   theta * v`` have the right sums for ``v = share - (1 - theta) / theta * r / mean``, which is not negative for ``theta
   / (1 - theta) = max(r / (share * mean))``. The smaller ``r``, the smaller ``theta``; for optimal biases ``q = p``.
2. ``A`` is affine in ``q``. At ``p`` it is the gradient less ``l2 * w``; at ``v`` it is ``v`` times the mean features,
   less the mean of ``t_i x_i'``; at ``t / mass`` it is 0.
3. ``KL(q || p)`` is convex in ``q``, 0 at ``p``; at ``v`` its mean is ``sum v log v`` less the mean of ``v . z``, plus
   that of ``logsumexp(z)``, which the loss tells; at ``t / mass`` it is the loss less the entropy of ``t``, at most the
   loss.
4. ``s`` is free: the best one minimises a parabola. It matters where the loss is about as small as the tolerance.

A class that a fold lacks has ``share = 0`` and some probability ``r`` left, as little as its bias allows. That is first
given to the other classes by their shares. It costs at most ``r * (1 + largest -log p)`` on average, by convexity, and
``-log p`` is bounded by the norms of the rows and of the weights.
"""

__all__ = ["stacked_bounds"]

from math import log

from softmax_xp.backend import array_namespace
from softmax_xp.objectives.stacked_heads import Stack
from softmax_xp.typing import Array

# Of sums, as in a single certificate.
_ROUNDINGS = 8.0


def stacked_bounds(stack: Stack, value: Array, points: Array, gradient: Array) -> tuple[Array, Array]:
    """Bound the distance of each head from its minimum.

    Parameters
    ----------
    stack : Stack
        Of n_heads heads, each with a penalty.
    value : array of shape (n_heads,)
        The objectives.
    points : array of shape (n_columns, n_heads, n_rows)
        Where.
    gradient : array of the shape of ``points``
        Of the objectives. The bound is as exact as this is: it is a proof where the widest float was used.

    Returns
    -------
    bound : array of shape (n_heads,)
        In nats.
    weights : array of shape (n_heads,)
        What it would be if the biases were optimal.
    """
    xp = array_namespace(points)
    data = stack.data
    sums = data.sums
    targets = xp.take(sums.targets, stack.folds, axis=1)
    penalty = stack.l2_rows * points
    loss = value - 0.5 * xp.sum(penalty * points, axis=(0, 2))
    slope = gradient - penalty  # A(p), with r as its last row
    n_features = data.n_features
    inverse = 1.0 / stack.l2_rows[:, :n_features]

    def squares(left: Array, right: Array) -> Array:
        return xp.sum(left[:, :, :n_features] * right[:, :, :n_features] * inverse, axis=(0, 2))

    weights = 0.5 * squares(gradient, gradient)
    apart = xp.zeros_like(value)
    if data.fit_intercept:
        slope, apart = _mixed(stack, loss, points, slope, targets)
    both = penalty + slope
    length = squares(slope, slope)
    shift = (squares(both, slope) - (loss - apart)) / xp.where(length > 0, length, xp.ones_like(length))
    shift = xp.clip(shift, 0.0, 1.0)
    left = both - shift[:, None] * slope
    of_weights = 0.5 * squares(left, left)
    bound = (1.0 - shift) * apart + shift * xp.maximum(loss, xp.zeros_like(loss)) + of_weights
    return bound * (1.0 + 1e-12) + _rounding(stack, value, points, of_weights, apart), weights


def _rounding(stack: Stack, value: Array, points: Array, of_weights: Array, apart: Array) -> Array:
    """Return what rounding may have taken by way of the value, the slopes and the logits.

    The reasons are those of :mod:`softmax_xp.objectives.certificate`, in scaled coordinates.
    """
    xp = array_namespace(points)
    data, few = stack.data, _ROUNDINGS * xp.finfo(value.dtype).eps
    inverse = xp.sum(1.0 / stack.l2_rows[:, : data.n_features], axis=-1)
    # The mean mass is that of the targets, and of as much probability.
    delta = 2.0 * few * xp.take(data.sums.mass, stack.folds, axis=0) * xp.sqrt(inverse)
    rho = few * data.sums.radius * xp.sqrt(xp.max(xp.sum(points * points, axis=2), axis=0))
    of_slopes = (xp.sqrt(2.0 * of_weights) + 0.5 * delta) * delta
    apart = xp.maximum(apart, xp.zeros_like(apart))
    return few * xp.abs(value) + of_slopes + (xp.sqrt(2.0 * apart) + 0.5 * rho) * rho


def _mixed(stack: Stack, loss: Array, points: Array, slope: Array, targets: Array) -> tuple[Array, Array]:
    """Return ``A`` and the mean KL divergence of probabilities whose columns have the right sums."""
    xp = array_namespace(points)
    sums = stack.data.sums
    mass = xp.take(sums.mass, stack.folds, axis=0)
    features = xp.take(sums.features, stack.folds, axis=0)  # (n_heads, n_rows)
    if is_one_column := points.shape[0] == 1:
        points = xp.concat((xp.zeros_like(points), points), axis=0)
        targets = xp.concat((features[None, :, :] - targets, targets), axis=0)
        slope = xp.concat((-slope, slope), axis=0)
    share = xp.clip(targets[:, :, -1] / mass, 0.0, 1.0)
    slope, residual, apart = _without_absent(stack, points, slope, share)
    residual = residual / mass
    is_present = share > 0
    safe = xp.where(is_present, share, xp.ones_like(share))
    excess = xp.max(xp.where(is_present, residual / safe, xp.zeros_like(share)), axis=0)
    theta = excess / (1.0 + excess)
    # Where nothing is in excess nothing has to move, and v is the shares.
    spread = xp.clip(share - residual / xp.where(excess > 0, excess, xp.ones_like(excess)), 0.0, 1.0)
    spread = spread / xp.sum(spread, axis=0)
    entropy = xp.sum(spread * xp.log(xp.where(spread > 0, spread, xp.ones_like(spread))), axis=0)
    mean_logits = xp.sum(points * features, axis=2)
    mean_logsumexp = loss + xp.sum(points * targets, axis=(0, 2))
    divergence = mass * entropy - xp.sum(spread * mean_logits, axis=0) + mean_logsumexp
    apart = (1.0 - theta) * apart + theta * xp.maximum(divergence, xp.zeros_like(divergence))
    at_spread = spread[:, :, None] * features - targets
    mixed = (1.0 - theta)[:, None] * slope + theta[:, None] * at_spread
    return mixed[1:, :, :] if is_one_column else mixed, apart


def _without_absent(stack: Stack, points: Array, slope: Array, share: Array) -> tuple[Array, Array, Array]:
    """Give the probability of classes that a fold lacks to the others, by their shares; also return what that costs."""
    xp = array_namespace(points)
    absent, residual = xp.astype(share <= 0, share.dtype), slope[:, :, -1]
    lost = xp.sum(absent * residual, axis=0)
    given = xp.sum(absent[:, :, None] * slope, axis=0)
    slope = (1.0 - absent)[:, :, None] * slope + share[:, :, None] * given
    residual = (1.0 - absent) * residual + share * lost
    widest = xp.sqrt(xp.max(xp.sum(points * points, axis=2), axis=0)) * stack.data.sums.radius
    return slope, residual, lost * (1.0 + log(points.shape[0]) + 2.0 * widest)
