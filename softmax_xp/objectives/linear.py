# SPDX-License-Identifier: BSD-3-Clause
"""The objective of a linear softmax model: mean loss plus penalty, over a batch or over all data in chunks.

    value(params) = sum(weight * loss(X @ params.weight + params.bias, targets)) / sum(weight) + penalty(params)

The data are read in chunks of rows whose logits stay in the processor's cache, so a full pass costs little more
than its two matrix products, and no array of the size of ``X`` or of all logits is ever made.
"""

__all__ = ["BatchTerms", "LinearObjective", "batch_terms", "penalised_gradient"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from softmax_xp.backend import array_namespace, backend_of, scalar
from softmax_xp.losses.contract import Loss, Targets, reciprocal_total
from softmax_xp.ops.linear import along_axis, chunk_rows, class_axis, linear_logits, params_gradient, row_slices
from softmax_xp.penalties import Penalty
from softmax_xp.typing import Array, LinearParams


class BatchTerms(NamedTuple):
    """What one batch contributes; nothing in it has been read by the host."""

    value: Array  # (batch,) weighted losses
    hits: Array  # (batch,) bool: whether the largest logit is at the label
    gradient: LinearParams  # of the batch's mean loss


def batch_terms(
    loss: Loss, params: LinearParams, X: Array, targets: Targets, *, scale: Array | float, axis: int
) -> BatchTerms:
    """Evaluate the loss of a linear model on some rows, and its gradient.

    Parameters
    ----------
    loss : Loss
        Over logits.
    params : LinearParams
        Where to evaluate.
    X : array of shape (n_samples, n_features)
        Of the dtype of ``params``.
    targets : Targets
        From ``loss.prepare``.
    scale : array of shape () or float
        Multiplies the gradient.
    axis : {-1, 0}
        Where the loss is to find the classes, see :func:`softmax_xp.ops.linear.class_axis`.

    Returns
    -------
    BatchTerms
        On the device of ``X``.
    """
    logits = linear_logits(params, X)
    hits = array_namespace(logits).argmax(logits, axis=-1) == targets.labels
    value, gradient = loss.value_and_gradient(along_axis(logits, axis), targets, scale=scale, axis=axis)
    return BatchTerms(value, hits, params_gradient(gradient, X, bias=params.bias is not None, axis=axis))


def penalised_gradient(gradient: LinearParams, penalty: Penalty | None, params: LinearParams) -> LinearParams:
    """Add the penalty's gradient to that of the loss."""
    if penalty is None:
        return gradient
    weight, bias = penalty.gradient(params)
    if bias is not None and gradient.bias is not None:
        return LinearParams(gradient.weight + weight, gradient.bias + bias)
    return LinearParams(gradient.weight + weight, gradient.bias)


@final
@dataclass(frozen=True, slots=True, eq=False)
class LinearObjective:
    """Mean loss plus penalty of a linear model over arrays in memory.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Any real dtype; converted chunk by chunk.
    targets : Targets
        From ``loss.prepare``, on the device of ``X``.
    loss : Loss
        Over logits.
    penalty : Penalty or None
        Added to the mean loss.
    dtype : dtype
        The float in which to compute.
    transform : callable, optional
        What is done to a chunk before it meets the weights, such as a standardisation.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.losses import CrossEntropy
    >>> from softmax_xp.objectives import LinearObjective
    >>> from softmax_xp.typing import LinearParams
    >>> loss, X = CrossEntropy(), np.eye(2)
    >>> objective = LinearObjective(X, loss.prepare(np.array([0, 1]), 2, dtype=X.dtype), loss, None, X.dtype)
    >>> value, gradient = objective.value_and_gradient(LinearParams(np.zeros((2, 2))))
    >>> float(value)
    0.6931471805599453
    >>> gradient.weight
    array([[-0.25,  0.25],
           [ 0.25, -0.25]])
    """

    X: Array
    targets: Targets
    loss: Loss
    penalty: Penalty | None
    dtype: Any
    transform: Callable[[Array], Array] | None = None

    def rows(self, rows: Array) -> Array:
        """Bring some rows of ``X`` to the float of the computation, and transform them.

        Parameters
        ----------
        rows : array of shape (some, n_features)
            Of any real dtype.

        Returns
        -------
        array of shape (some, n_features)
            Ready to meet the weights.
        """
        if rows.dtype != self.dtype:
            rows = array_namespace(rows).astype(rows, self.dtype)
        return rows if self.transform is None else self.transform(rows)

    def value_and_gradient(self, params: LinearParams) -> tuple[Array, LinearParams]:
        """Evaluate the objective and its gradient in one pass over the data.

        Parameters
        ----------
        params : LinearParams
            Where.

        Returns
        -------
        value : array of shape ()
            In nats; float64 on CPUs.
        gradient : LinearParams
            Fresh arrays.
        """
        backend = backend_of(self.X)
        n_classes = params.weight.shape[1]
        scale, axis = reciprocal_total(self.targets), class_axis(n_classes, backend)

        def chunk_terms(chunk: tuple[Array, Targets]) -> tuple[Array, LinearParams]:
            X, targets = self.rows(chunk[0]), chunk[1]
            logits = along_axis(linear_logits(params, X), axis)
            values, gradient = self.loss.value_and_gradient(logits, targets, scale=scale, axis=axis)
            total = backend.xp.sum(values, dtype=backend.sum_dtype(self.dtype))
            return total, params_gradient(gradient, X, bias=params.bias is not None, axis=axis)

        terms = backend.map_chunks(chunk_terms, self._chunks(n_classes))
        total, (weight, bias) = next(terms)
        for part, gradient in terms:
            total = total + part
            weight += gradient.weight  # made here, so this writes to nobody's array
            bias = None if bias is None else gradient.bias + bias
        value = total * scale
        if self.penalty is not None:
            value = value + self.penalty.value(params)
        return value, penalised_gradient(LinearParams(weight, bias), self.penalty, params)

    def evaluate(self, params: LinearParams) -> tuple[float, float]:
        """Return the mean loss, without the penalty, and the accuracy. One host read, at the end.

        Parameters
        ----------
        params : LinearParams
            Where.

        Returns
        -------
        loss : float
            Weighted mean, in nats.
        accuracy : float
            Weighted share of samples whose largest logit is at their label; ties go to the lowest class.
        """
        backend = backend_of(self.X)
        xp, n_classes = backend.xp, params.weight.shape[1]
        axis, accumulator = class_axis(n_classes, backend), backend.sum_dtype(self.dtype)

        def chunk_sums(chunk: tuple[Array, Targets]) -> tuple[Array, Array]:
            logits, targets = linear_logits(params, self.rows(chunk[0])), chunk[1]
            hit = xp.astype(xp.argmax(logits, axis=-1) == targets.labels, self.dtype)
            hit = hit if targets.sample_weight is None else hit * targets.sample_weight
            value = self.loss.value_and_gradient(along_axis(logits, axis), targets, axis=axis)[0]
            return xp.sum(value, dtype=accumulator), xp.sum(hit, dtype=accumulator)

        losses, hits = zip(*backend.map_chunks(chunk_sums, self._chunks(n_classes)), strict=True)
        counted = Targets(self.targets.labels, weight=self.targets.sample_weight)
        loss = xp.sum(xp.stack(losses)) * reciprocal_total(self.targets)
        return scalar(loss), scalar(xp.sum(xp.stack(hits)) * reciprocal_total(counted))  # host: end of a pass

    def _chunks(self, n_classes: int) -> Iterator[tuple[Array, Targets]]:
        """Yield the data in row chunks that fit the cache, each as it is stored."""
        n_samples, n_features = self.X.shape
        itemsize = 8 if self.dtype == array_namespace(self.X).float64 else 4
        step = chunk_rows(n_features, n_classes, itemsize, backend_of(self.X))
        if step >= n_samples:
            yield self.X, self.targets
            return
        labels, distribution, weight, sample_weight, class_weight = self.targets
        for rows in row_slices(n_samples, step):
            yield (
                self.X[rows, :],
                Targets(
                    labels[rows],
                    None if distribution is None else distribution[rows, :],
                    None if weight is None else weight[rows],
                    None if sample_weight is None else sample_weight[rows],
                    class_weight,
                ),
            )
