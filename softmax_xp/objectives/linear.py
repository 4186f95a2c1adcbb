# SPDX-License-Identifier: BSD-3-Clause
"""The objective of a linear softmax model: mean loss plus penalty, over a batch or over all data in chunks.

    value(params) = sum(weight * loss(X @ params.weight + params.bias, targets)) / sum(weight) + penalty(params)

The data are read in chunks of rows whose logits stay in the processor's cache, so a full pass costs little more
than its two matrix products, and no array of the size of ``X`` or of all logits is ever made.

Sparse rows are cut into few chunks, because each makes a part of the gradient that is as large as the weight; the
logits of one take no more than a few weights, or 2 MB, or half of all. How many chunks there are depends on the data
alone, not on the number of threads.

A memory budget makes chunks smaller where it must, see :mod:`softmax_xp.ops.memory`. So does the end of memory itself:
a pass that meets it begins anew with half as many rows.
"""

__all__ = ["BatchTerms", "LinearObjective", "batch_terms"]

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

from softmax_xp.backend import Backend, array_namespace, backend_of, scalar
from softmax_xp.data.rows import has_sparse_rows
from softmax_xp.data.sparse import in_float, is_sparse
from softmax_xp.data.streamed import StreamedRows, loaded
from softmax_xp.losses.contract import Loss, Targets, reciprocal_total
from softmax_xp.objectives.cuts import Cuts, chunks_here, footprint_of, plan_pass, rows_at_once
from softmax_xp.objectives.footprint import COPIES
from softmax_xp.objectives.one_read import sums_in_one_read
from softmax_xp.objectives.penalised import add_penalty
from softmax_xp.objectives.remote import RemoteChunks
from softmax_xp.ops.linear import along_axis, class_axis, linear_logits, params_gradient
from softmax_xp.ops.memory import RowCeiling, check_memory_budget, shrinking
from softmax_xp.penalties import Penalty
from softmax_xp.threads import UNLIMITED, Limits
from softmax_xp.typing import Array, LinearParams

# All logits are kept, by those who can use them again, up to this size at least.
_SMALL_BYTES = 1 << 23
# Beside large data they are kept up to this size: data on a disk may be larger than memory many times over.
_LARGE_BYTES = 1 << 28


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
    value, gradient = loss.value_and_gradient(
        along_axis(logits, axis), targets, scale=scale, axis=axis, overwrite_logits=True
    )
    return BatchTerms(value, hits, params_gradient(gradient, X, bias=params.bias is not None, axis=axis))


@final
@dataclass(frozen=True, slots=True, eq=False)
class LinearObjective:
    """Mean loss plus penalty of a linear model over samples in memory or in storage.

    Parameters
    ----------
    X : array, sparse array or StreamedRows, of shape (n_samples, n_features)
        Any real dtype; converted chunk by chunk. A sparse one is that of :func:`softmax_xp.data.sparse_input.as_rows`.
        A streamed one, dense or sparse, stays where it is stored, and is read anew in each pass.
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
    memory_budget : int, optional
        The most bytes that one evaluation of the loss and its gradient may allocate beside the data and the parameters:
        the logits of the chunks that are worked on with what is computed from them, the gradient, and the chunks' parts
        of it. Other passes have as many bytes for what they compute row by row. None is no budget.
    ceiling : RowCeiling, optional
        Where the end of memory is noted; shared by copies of this objective.

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
    memory_budget: int | None = None
    ceiling: RowCeiling = field(default_factory=RowCeiling, repr=False)

    @property
    def backend(self) -> Backend:
        """Where the data live."""
        return backend_of(self.targets.labels)

    def rows(self, rows: Array, dtype: Any = None) -> Array:
        """Bring some rows of ``X`` to the float of the computation, and transform them.

        Parameters
        ----------
        rows : array, sparse array, or the promise of a streamed chunk, of shape (some, n_features)
            Of any real dtype. A promise is kept here.
        dtype : dtype, optional
            Convert the outcome to another float.

        Returns
        -------
        array, or sparse array, of shape (some, n_features)
            Ready to meet the weights.
        """
        rows = _in_float(loaded(rows), self.dtype)
        rows = rows if self.transform is None else self.transform(rows)
        return rows if dtype is None else _in_float(rows, dtype)

    def keeps_logits(self, n_columns: int, itemsize: int) -> bool:
        """Tell whether an array of all logits is small: in itself, or beside what a fit holds anyway.

        Parameters
        ----------
        n_columns : int
            Of the logits.
        itemsize : int
            Bytes of one.

        Returns
        -------
        bool
            Whether it takes 8 MB, or at most a sixteenth of dense data and 256 MB, in bytes; beside sparse data, which
            may be smaller than a few vectors of coefficients, whether it takes no more than eight of those. Never more
            than a quarter of a memory budget, and never of data in other processes.
        """
        shape: tuple[int, int] = self.X.shape
        n_samples, n_features = shape
        n_bytes = n_samples * n_columns * itemsize
        if isinstance(self.X, StreamedRows) and self.X.engine is not None:
            return False  # the chunks are in other processes, and so would their logits be
        if self.memory_budget is not None and n_bytes > self.memory_budget // 4:
            return False
        if n_bytes <= _SMALL_BYTES:
            return True
        if has_sparse_rows(self.X):
            return n_samples <= 8 * n_features
        return n_bytes <= _LARGE_BYTES and 16 * n_columns * itemsize <= n_features * self.stored_itemsize

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
        n_classes = params.weight.shape[1]
        return shrinking(lambda: self._value_and_gradient(params), self.ceiling, lambda: rows_at_once(self, n_classes))

    def _value_and_gradient(self, params: LinearParams) -> tuple[Array, LinearParams]:
        backend = self.backend
        n_classes = params.weight.shape[1]
        scale, axis = reciprocal_total(self.targets), class_axis(n_classes, backend)

        def chunk_terms(chunk: tuple[Array, Targets]) -> tuple[Array, Array, Array | None]:
            X, targets = self.rows(chunk[0]), chunk[1]
            logits = along_axis(linear_logits(params, X), axis)
            values, gradient = self.loss.value_and_gradient(
                logits, targets, scale=scale, axis=axis, overwrite_logits=True
            )
            total = backend.xp.sum(values, dtype=backend.sum_dtype(self.dtype))
            return total, *params_gradient(gradient, X, bias=params.bias is not None, axis=axis)

        answer = sums_in_one_read(self.loss, params, self.X, self.targets, scale=scale, transform=self.transform)
        if answer is None:
            chunks, limits = self.chunks(n_classes, copies=None), self.limits(n_classes, copies=None)
            total, weight, bias = backend.sum_chunks(chunk_terms, chunks, limits)
        else:
            total, (weight, bias) = backend.xp.sum(answer[0], dtype=backend.sum_dtype(self.dtype)), answer[1]
        return add_penalty(total * scale, LinearParams(weight, bias), self.penalty, params, backend)

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
        n_classes = params.weight.shape[1]
        return shrinking(lambda: self._evaluate(params), self.ceiling, lambda: rows_at_once(self, n_classes))

    def _evaluate(self, params: LinearParams) -> tuple[float, float]:
        backend = self.backend
        xp, n_classes = backend.xp, params.weight.shape[1]
        axis, accumulator = class_axis(n_classes, backend), backend.sum_dtype(self.dtype)

        def chunk_sums(chunk: tuple[Array, Targets]) -> tuple[Array, Array]:
            logits, targets = linear_logits(params, self.rows(chunk[0])), chunk[1]
            hit = xp.astype(xp.argmax(logits, axis=-1) == targets.labels, self.dtype)
            hit = hit if targets.sample_weight is None else hit * targets.sample_weight
            value = self.loss.value_and_gradient(along_axis(logits, axis), targets, axis=axis, overwrite_logits=True)[0]
            return xp.sum(value, dtype=accumulator), xp.sum(hit, dtype=accumulator)

        chunks, limits = self.chunks(n_classes, copies=None), self.limits(n_classes, copies=None)
        losses, hits = zip(*backend.map_chunks(chunk_sums, chunks, limits), strict=True)
        counted = Targets(self.targets.labels, weight=self.targets.sample_weight)
        loss = xp.sum(xp.stack(losses)) * reciprocal_total(self.targets)
        return scalar(loss), scalar(xp.sum(xp.stack(hits)) * reciprocal_total(counted))  # host: end of a pass

    def check_budget(self, n_columns: int) -> None:
        """Raise InvalidValueError, which names the least, unless the memory budget has room for one row.

        Parameters
        ----------
        n_columns : int
            Of the logits.
        """
        of = f"{self.X.shape[1]} features and {n_columns} columns of logits in float{8 * self.itemsize}"
        check_memory_budget(self.memory_budget, footprint_of(self, n_columns), of)

    def chunks(
        self,
        n_classes: int,
        *,
        every: int = 1,
        dense: bool = False,
        dtype: Any = None,
        copies: int | None = COPIES,
        kept: bool = False,
    ) -> Iterable[tuple[Array, Targets]]:
        """Return the data in row chunks that fit the cache, and the memory budget, each as it is stored.

        Parameters
        ----------
        n_classes : int
            How many columns of logits the rows will get.
        every : int, default: 1
            Take each such row only, for estimates.
        dense : bool, default: False
            Cut sparse data as small as if they were dense, for a caller who writes out the zeros of a chunk.
        dtype : dtype, optional
            The float to which the caller will convert the rows.
        copies : int or None, optional
            How many arrays of the size of the logits the caller makes at once; None is those of a value and gradient.
        kept : bool, default: False
            Whether the caller keeps something small of each chunk for another pass: the cuts then are the same in both,
            even if memory ended in between.

        Returns
        -------
        iterable of (rows, targets)
            Rows are an array, sparse array or StreamedChunk of shape (some, n_features), for :meth:`rows`. Data in
            other processes are a :class:`~softmax_xp.objectives.remote.RemoteChunks`.
        """
        cuts = Cuts(n_classes, every, dense, dtype, copies, kept)
        is_elsewhere = isinstance(self.X, StreamedRows) and self.X.engine is not None
        return RemoteChunks(self, cuts) if is_elsewhere else chunks_here(self, cuts)

    def limits(self, n_classes: int, *, dense: bool = False, dtype: Any = None, copies: int | None = COPIES) -> Limits:
        """Return how many chunks may be worked on at once, and how many partial sums there may be.

        Parameters
        ----------
        n_classes : int
            As for :meth:`chunks`, like all others.
        dense : bool, default: False
            For sparse data.
        dtype : dtype, optional
            Of the converted rows.
        copies : int or None, optional
            Of the logits.

        Returns
        -------
        Limits
            For :meth:`softmax_xp.backend.Backend.sum_chunks`.
        """
        if self.memory_budget is None:
            return UNLIMITED
        return plan_pass(self, n_classes, dense=dense, dtype=dtype, copies=copies).limits

    @property
    def stored_itemsize(self) -> int:
        """The bytes of an entry of dense data: any array can tell them by its dtype alone."""
        xp, dtype = self.backend.xp, self.X.dtype
        if dtype == xp.bool:
            return 1
        bits: int = (xp.iinfo if xp.isdtype(dtype, "integral") else xp.finfo)(dtype).bits
        return bits // 8

    @property
    def itemsize(self) -> int:
        """Bytes of a number of the computation."""
        return 8 if self.dtype == self.backend.xp.float64 else 4


def _in_float(rows: Array, dtype: Any) -> Array:
    """Convert dense or sparse rows, if they are not of this float yet."""
    if rows.dtype == dtype:
        return rows
    return in_float(rows, dtype) if is_sparse(rows) else array_namespace(rows).astype(rows, dtype)
