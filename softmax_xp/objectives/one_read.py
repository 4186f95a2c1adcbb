# SPDX-License-Identifier: BSD-3-Clause
"""The loss of a linear model and its gradient from one read of the data, where the device has a kernel for it.

The definition, in :meth:`softmax_xp.objectives.LinearObjective.value_and_gradient`, reads the rows twice: the logits
need all of a row, and the gradient needs the row again once its logits are known. With few classes these two reads are
what a pass takes on a GPU; a kernel that keeps a few rows in registers from the one product to the other halves them.
"""

__all__ = ["sums_in_one_read"]

from collections.abc import Callable
from typing import Any

from softmax_xp.data.sparse import is_sparse
from softmax_xp.kernels import find_kernel
from softmax_xp.losses import CrossEntropy
from softmax_xp.losses.contract import Loss, Targets
from softmax_xp.typing import Array, LinearParams


def sums_in_one_read(
    loss: Loss,
    params: LinearParams,
    X: Array,
    targets: Targets,
    *,
    scale: Array | float,
    transform: Callable[[Array], Array] | None,
) -> tuple[Array, LinearParams] | None:
    """Return the loss of each sample, and ``scale`` times the gradient of their sum, if a kernel can.

    Parameters
    ----------
    loss : Loss
        Kernels know :class:`~softmax_xp.losses.CrossEntropy` with labels, and none derived from it.
    params : LinearParams
        Where to evaluate.
    X : array, or sparse array, of shape (n_samples, n_features)
        As it is stored.
    targets : Targets
        From ``loss.prepare``.
    scale : array of shape () or float
        Multiplies the gradient.
    transform : callable or None
        What the rows undergo; kernels know none.

    Returns
    -------
    value : array of shape (n_samples,)
        Weighted losses, in nats.
    gradient : LinearParams
        Fresh. None stands for both where no kernel can.
    """
    kernel = find_kernel("linear_cross_entropy", X)
    if kernel is None or type(loss) is not CrossEntropy or targets.distribution is not None:
        return None
    if transform is not None or is_sparse(X):
        return None
    smoothing = loss.label_smoothing
    options: dict[str, Any] = {
        # Without smoothing both weights of a sample are one number.
        "sample_weight": targets.sample_weight if smoothing else targets.weight,
        "class_weight": targets.class_weight if smoothing else None,
        "label_smoothing": smoothing,
        "temperature": loss.temperature,
    }
    answer: tuple[Array, LinearParams] | None = kernel(params, X, targets.labels, scale=scale, **options)
    return answer
