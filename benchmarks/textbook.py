# SPDX-License-Identifier: BSD-3-Clause
"""The textbook's listing of the softmax loss, as a student types it: the baseline that everybody has."""

__all__ = ["textbook_softmax_loss"]

from typing import Any

from array_api_compat import device


def textbook_softmax_loss(W: Any, X: Any, y: Any, reg: float, *, xp: Any) -> tuple[Any, Any]:
    """Compute loss and gradient over whole arrays; the maximum is subtracted, as later printings do."""
    n_samples = X.shape[0]
    rows = xp.arange(n_samples, device=device(X))
    scores = X @ W
    scores -= xp.max(scores, axis=1, keepdims=True)
    probabilities = xp.exp(scores)
    probabilities /= xp.sum(probabilities, axis=1, keepdims=True)
    loss = -xp.mean(xp.log(probabilities[rows, y])) + 0.5 * reg * xp.sum(W * W)
    probabilities[rows, y] -= 1
    probabilities /= n_samples
    return loss, X.T @ probabilities + reg * W
