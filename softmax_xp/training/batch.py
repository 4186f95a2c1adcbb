# SPDX-License-Identifier: BSD-3-Clause
"""The loss and the gradient of one minibatch, whole or, where memory is scarce, some rows after the other.

A batch whose logits do not fit a memory budget is not made smaller: its rows are computed in parts whose gradients are
added, so that the step is the same up to rounding.
"""

__all__ = ["batch_loss", "batch_rows"]

from softmax_xp.data.shuffled import batch_of
from softmax_xp.data.sparse import is_sparse
from softmax_xp.losses.contract import Targets, reciprocal_total, take_targets
from softmax_xp.objectives import LinearObjective
from softmax_xp.objectives.cuts import footprint_of
from softmax_xp.objectives.linear import BatchTerms, batch_terms
from softmax_xp.ops.linear import class_axis, row_slices
from softmax_xp.ops.memory import plan_chunks, shrinking
from softmax_xp.threads import added
from softmax_xp.typing import Array, LinearParams

# Of each sample of a batch, in parts or not: its number, label and weights, its loss, and those of its part.
_SAMPLE_BYTES = 64


def batch_rows(train: LinearObjective, batch_size: int, n_classes: int) -> int:
    """Return how many rows of a batch are computed at once.

    Parameters
    ----------
    train : LinearObjective
        The data, and the memory budget.
    batch_size : int
        Samples of a step.
    n_classes : int
        Columns of the logits.

    Returns
    -------
    int
        ``batch_size``, or fewer where memory asks for it.
    """
    if train.memory_budget is not None:
        footprint = footprint_of(train, n_classes)
        gathered = 0 if is_sparse(train.X) else train.X.shape[1] * train.stored_itemsize
        footprint = footprint._replace(row=footprint.row + gathered)
        batch_size = plan_chunks(footprint, batch_size, train.memory_budget - _SAMPLE_BYTES * batch_size).rows
    return train.ceiling.lowered(batch_size)


def batch_loss(train: LinearObjective, params: LinearParams, index: Array) -> tuple[BatchTerms, Targets]:
    """Evaluate the loss and its gradient on the samples named in ``index``. Nothing in here waits for the device.

    Parameters
    ----------
    train : LinearObjective
        The data, the loss and the memory budget.
    params : LinearParams
        Where to evaluate.
    index : array of int, shape (batch,)
        Row numbers, on the device.

    Returns
    -------
    terms : BatchTerms
        Of the whole batch, without the penalty.
    targets : Targets
        Of the batch. Soft ones are left out where it is computed in parts: they are as large as the logits.
    """
    size, n_classes = index.shape[0], params.weight.shape[1]
    return shrinking(lambda: _attempt(train, params, index), train.ceiling, lambda: batch_rows(train, size, n_classes))


def _attempt(train: LinearObjective, params: LinearParams, index: Array) -> tuple[BatchTerms, Targets]:
    """Compute the batch whole, or in as many parts as memory asks for."""
    size, n_classes = index.shape[0], params.weight.shape[1]
    rows, axis = batch_rows(train, size, n_classes), class_axis(n_classes, train.backend)

    def terms(index: Array, targets: Targets, scale: Array | float) -> BatchTerms:
        features = train.rows(batch_of(train.X, index))
        return batch_terms(train.loss, params, features, targets, scale=scale, axis=axis)

    if rows >= size:
        targets = take_targets(train.targets, index)
        return terms(index, targets, reciprocal_total(targets)), targets
    targets = take_targets(train.targets._replace(distribution=None), index)
    scale = reciprocal_total(targets)
    values, hits = [], []
    total: tuple[Array | None, ...] = ()
    for part in row_slices(size, rows):
        value, hit, gradient = terms(index[part], take_targets(train.targets, index[part]), scale)
        values.append(value)
        hits.append(hit)
        total = added(total, gradient) if total else gradient
        del gradient  # else the next one would be computed beside it
    xp = train.backend.xp
    return BatchTerms(xp.concat(values), xp.concat(hits), LinearParams(*total)), targets
