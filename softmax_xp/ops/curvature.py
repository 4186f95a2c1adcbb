# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise mathematics that the losses of convex solvers share: sigmoid, curvature and relative entropy.

``axis`` is the axis of the classes: -1 for ``(n_samples, n_classes)``, 0 for the class-major ``(n_classes,
n_samples)``.
"""

__all__ = [
    "Sigmoid",
    "relative_entropy_terms",
    "sigmoid_and_complement",
    "softmax_curvature_product",
]

from math import log
from typing import NamedTuple

from softmax_xp.backend import array_namespace, backend_of
from softmax_xp.typing import Array

# Where |q - p| <= (q + p) / 8 the series of the inverse hyperbolic tangent is summed: 8 terms in squares of at most
# 1/64 leave 3e-17. Elsewhere q * log(q / p) and q - p cancel too little to matter: 25 roundings at the limit.
_NEAR = 0.125
_SERIES = tuple(1.0 / (2 * term + 3) for term in range(8))
_LIFT, _LOG_LIFT = 2.0**64, 64 * log(2.0)


class Sigmoid(NamedTuple):
    """The two probabilities of one logit; each has its full relative accuracy in both tails."""

    sigmoid: Array  # 1 / (1 + exp(-z))
    complement: Array  # 1 / (1 + exp(z)), which is 1 - sigmoid
    log_tail: Array  # log1p(exp(-abs(z))): softplus(z) less max(z, 0)


def sigmoid_and_complement(z: Array) -> Sigmoid:
    """Return ``sigmoid(z)``, ``1 - sigmoid(z)`` and the curved part of ``softplus(z)``, from one exponential.

    Parameters
    ----------
    z : array of float
        Logits of any size.

    Returns
    -------
    Sigmoid
        Fresh arrays of the shape of ``z``.
    """
    xp = array_namespace(z)
    small = xp.exp(-xp.abs(z))
    log_tail = xp.log1p(small)
    large = 1.0 / (small + 1.0)
    small *= large
    positive = z >= 0
    return Sigmoid(xp.where(positive, large, small), xp.where(positive, small, large), log_tail)


def softmax_curvature_product(p: Array, direction: Array, *, axis: int = -1) -> Array:
    """Return ``(diag(p) - p p') direction`` for each sample.

    Parameters
    ----------
    p : array of shape (n_samples, n_classes) or (n_classes, n_samples)
        Probabilities.
    direction : array of the shape of ``p``
        In the logits.
    axis : {-1, 0}, default: -1
        Where the classes are.

    Returns
    -------
    array of the shape of ``p``
        Fresh.
    """
    xp = array_namespace(p)
    product = direction - xp.sum(p * direction, axis=axis, keepdims=True)
    product *= p
    return product


def relative_entropy_terms(q: Array, p: Array, difference: Array, log_p: Array | None = None) -> Array:
    """Return ``q * log(q / p) - q + p`` of each pair, whose sum over a distribution is ``KL(q || p)``.

    Each term is at least 0, and 0 only for ``q = p``. The formula itself cancels near ``q = p``. With ``total = q + p``
    and ``y = (q - p) / total`` it is

        total * ((1 + y) * atanh(y) - y) = total * y**2 * (1 + y * (1 + y) * (1/3 + y**2/5 + y**4/7 + ...))

    in which nothing cancels; small ``y`` take the series.

    Parameters
    ----------
    q, p : array of float
        Not negative.
    difference : array of the shape of ``q``
        ``q - p``, from the caller, who may know it better than by subtracting.
    log_p : array of the shape of ``q``, optional
        ``log(p)``, looked at where ``p`` has underflowed.

    Returns
    -------
    array of the shape of ``q``
        In nats. ``p`` where ``q`` is 0; infinity where ``p`` alone is 0, unless ``log_p`` knows better.
    """
    xp = array_namespace(q)
    with backend_of(q).scope():  # what each branch makes of the other's numbers is thrown away
        total = q + p
        smallest = xp.finfo(p.dtype).smallest_normal
        ratio = difference / xp.clip(total, min=smallest)
        square = ratio * ratio
        series = square * _SERIES[-1]
        for coefficient in _SERIES[-2:0:-1]:
            series += coefficient
            series *= square
        series += _SERIES[0]
        series *= ratio * (ratio + 1.0)
        series += 1.0
        series *= square
        series *= total
        underflow = p < smallest
        if log_p is None:
            # A quotient by less than the smallest normal number may overflow; 2**64 lifts all of them above it.
            quotient = q / xp.where(underflow, p * _LIFT, p)
            correction = xp.astype(underflow, p.dtype) * _LOG_LIFT
        else:
            quotient = xp.where(underflow, q, q / p)
            correction = -xp.where(underflow, log_p, 0.0)
        # Clipped, because 0 * log(0) is NaN; of other quotients so small the term would vanish beside p.
        direct = q * (xp.log(xp.clip(quotient, min=smallest)) + correction) - difference
        return xp.where(xp.abs(ratio) < _NEAR, series, direct)
