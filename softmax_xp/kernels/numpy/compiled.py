# SPDX-License-Identifier: BSD-3-Clause
"""The loss and gradient of one batch as a loop that Numba compiles: the batch is read once.

NumPy makes a pass over the batch for each of its calls, and BLAS is at its worst with ten columns. Here eight rows at a
time are copied next to each other, 24 KiB at 784 float32 features, and everything is done with them while they are in
the first cache:

    logits    = rows @ weights' + bias       eight sums at a time, one for each row
    error     = scale * weight * (softmax(logits) - onehot(label))
    gradient += error' @ rows                one row of the gradient at a time, written once for eight rows

Memory traffic of a batch: its rows once, and for each eight rows the weights once and the gradient twice, both from the
second cache. Weights and gradient lie class by class, (n_classes, n_features + 1), so that the inner loops run along
the features. Eight rows with one class were the fastest of twelve such shapes on an AVX2 processor: about 70 and 65
GFLOP/s for the two products in float32, from the caches.

Sums may be reassociated, for they could not be vectorised otherwise; infinities and NaN keep their meaning. The order
of the sums follows from the sizes and the processor's vectors alone, so that two runs give the same bits.
"""

__all__ = ["batch_gradient"]

from typing import Any

import numpy as np

from softmax_xp.errors import MissingDependencyError

try:
    from numba import njit
except ImportError:
    msg = (
        "`SOFTMAX_XP_KERNELS` must be 0 or 1 without Numba; got 'numba'. "
        "Install it with: pip install 'softmax-xp[numba]'"
    )
    raise MissingDependencyError(msg) from None

# Not "fast": that would let the compiler assume that there are no NaN and no infinities.
_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}
_GROUP = 8


@njit(**_OPTIONS)
def _gather(X: Any, places: Any, rows: Any) -> None:
    """Copy eight rows: side by side, because each comes from memory of its own, and eight waits overlap."""
    x0, x1, x2, x3 = X[places[0]], X[places[1]], X[places[2]], X[places[3]]
    x4, x5, x6, x7 = X[places[4]], X[places[5]], X[places[6]], X[places[7]]
    for f in range(X.shape[1]):
        rows[0, f], rows[1, f], rows[2, f], rows[3, f] = x0[f], x1[f], x2[f], x3[f]
        rows[4, f], rows[5, f], rows[6, f], rows[7, f] = x4[f], x5[f], x6[f], x7[f]


@njit(**_OPTIONS)
def _scores(rows: Any, weights: Any, logits: Any) -> None:
    """Multiply eight rows with the weights of each class."""
    r0, r1, r2, r3, r4, r5, r6, r7 = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]
    for c in range(weights.shape[0]):
        w = weights[c]
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = weights.dtype.type(0)
        for f in range(rows.shape[1]):
            s0 += r0[f] * w[f]
            s1 += r1[f] * w[f]
            s2 += r2[f] * w[f]
            s3 += r3[f] * w[f]
            s4 += r4[f] * w[f]
            s5 += r5[f] * w[f]
            s6 += r6[f] * w[f]
            s7 += r7[f] * w[f]
        logits[0, c], logits[1, c], logits[2, c], logits[3, c] = s0, s1, s2, s3
        logits[4, c], logits[5, c], logits[6, c], logits[7, c] = s4, s5, s6, s7


@njit(**_OPTIONS)
def _add_products(errors: Any, rows: Any, gradient: Any) -> None:
    """Add the products of eight rows with their errors to the gradient of each class."""
    r0, r1, r2, r3, r4, r5, r6, r7 = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]
    for c in range(gradient.shape[0]):
        g = gradient[c]
        e0, e1, e2, e3 = errors[0, c], errors[1, c], errors[2, c], errors[3, c]
        e4, e5, e6, e7 = errors[4, c], errors[5, c], errors[6, c], errors[7, c]
        for f in range(rows.shape[1]):
            first = e0 * r0[f] + e1 * r1[f] + e2 * r2[f] + e3 * r3[f]
            g[f] += first + (e4 * r4[f] + e5 * r5[f] + e6 * r6[f] + e7 * r7[f])


@njit(**_OPTIONS)
def _softmax_error(logits: Any, label: int, weight: Any, scale: Any) -> tuple[Any, bool]:
    """Write the loss's derivative over the logits of one sample; return the loss, and whether the label was likeliest.

    As NumPy does, the first of equal logits and the first NaN count as the largest.
    """
    best, largest = 0, logits[0]
    for c in range(1, logits.shape[0]):
        if not logits[c] <= largest and largest == largest:  # noqa: PLR0124 - false for NaN alone
            best, largest = c, logits[c]
    at_label, total = logits[label] - largest, logits.dtype.type(0)
    for c in range(logits.shape[0]):
        logits[c] = np.exp(logits[c] - largest)
        total += logits[c]
    row_scale = weight * scale
    factor = row_scale / total
    for c in range(logits.shape[0]):
        logits[c] *= factor
    logits[label] -= row_scale
    return (np.log(total) - at_label) * weight, best == label


@njit(**_OPTIONS)
def batch_gradient(
    X: Any,
    index: Any,
    labels: Any,
    sample_weight: Any,
    temperature: Any,
    scale: Any,
    weights: Any,
    gradient: Any,
    values: Any,
    hits: Any,
) -> None:
    """Compute the losses of a batch, and the gradient of their sum times ``scale``.

    Parameters
    ----------
    X : array of float, shape (n_samples, n_features)
        In rows, of the dtype of the weights.
    index : array of int, shape (batch,)
        Row numbers.
    labels : array of int, shape (batch,)
        Class numbers of those rows.
    sample_weight : array of float, shape (batch,) or (0,)
        How much each counts; empty for once each.
    temperature : float of that dtype
        The logits are divided by it.
    scale : float of that dtype
        Multiplies the gradient.
    weights : array of shape (n_classes, n_features + 1), or (n_classes, n_features) without a bias
        The packed parameters, transposed.
    gradient : array of the shape of ``weights``
        Overwritten.
    values : array of float, shape (batch,)
        Overwritten with the losses, times their weights.
    hits : array of bool, shape (batch,)
        Overwritten: whether the likeliest class was the label.
    """
    n_classes, n_features, dtype = weights.shape[0], X.shape[1], weights.dtype
    rows, logits, places = (
        np.empty((_GROUP, n_features), dtype),
        np.empty((_GROUP, n_classes), dtype),
        np.empty(_GROUP, np.intp),
    )
    weighted, bias, one = sample_weight.shape[0] > 0, weights.shape[1] > n_features, dtype.type(1)
    gradient[:] = 0
    for start in range(0, index.shape[0], _GROUP):
        n_rows = min(_GROUP, index.shape[0] - start)
        for r in range(_GROUP):
            places[r] = index[start + min(r, n_rows - 1)]
        _gather(X, places, rows)
        _scores(rows, weights, logits)
        logits[n_rows:] = 0  # the last sample again, which adds nothing without an error
        for r in range(n_rows):
            sample = start + r
            for c in range(n_classes):
                if bias:
                    logits[r, c] += weights[c, n_features]
                logits[r, c] /= temperature
            weight = sample_weight[sample] if weighted else one
            values[sample], hits[sample] = _softmax_error(logits[r], labels[sample], weight, scale / temperature)
        _add_products(logits, rows, gradient)
        if bias:
            for c in range(n_classes):
                for r in range(n_rows):
                    gradient[c, n_features] += logits[r, c]
