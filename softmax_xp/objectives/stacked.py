# SPDX-License-Identifier: BSD-3-Clause
"""The objectives of many heads over the same data, evaluated in one pass.

A *head* is a fit of its own: a fold, which says on which samples it trains, and a strength ``l2``. Head ``h`` has

    value_h = sum over the samples of its fold of (mass * logsumexp(z) - t . z) / total_h + l2_h / 2 * sum(weight**2)

A stack of heads has one array of points, of shape (n_columns, n_heads, n_rows): class by class, head by head, the
weights of the scaled features and the bias. So one product with a chunk of ``X`` makes the logits of all heads, and
these are, class by class, the logits of n_heads times as many samples: the losses need not know of heads. A chunk is
met by blocks of heads whose logits stay in the processor's cache. No array of all logits is ever made, except where it
is small: 16 MB, or a sixteenth of the data; that one is kept for the curvature.
"""

__all__ = ["StackedEvaluation", "StackedObjective"]

from collections.abc import Sequence
from typing import NamedTuple, final

from softmax_xp.backend import array_namespace
from softmax_xp.objectives.linear import LinearObjective
from softmax_xp.objectives.stacked_bound import stacked_bounds
from softmax_xp.objectives.stacked_curvature import StackedCurvature
from softmax_xp.objectives.stacked_data import FoldPlan, StackedChunk, StackedData
from softmax_xp.objectives.stacked_heads import Head, Stack
from softmax_xp.objectives.stacked_metric import StackedMetric, metric_of_stack, metric_work
from softmax_xp.typing import Array

# Bytes of the logits that a block of heads makes of one chunk.
_BLOCK_BYTES = 1 << 21
# Bytes of the logits of a stack that are few enough to keep, whatever the data.
_KEPT_BYTES = 1 << 24


class StackedEvaluation(NamedTuple):
    """The objectives of a stack at its points."""

    points: Array  # (n_columns, n_heads, n_rows)
    value: Array  # (n_heads,) in the widest float
    gradient: Array  # of the shape of the points
    kept: list[Array] | None  # for each chunk the gradient in the logits, where that was kept


class _Terms(NamedTuple):
    """What one chunk adds."""

    value: Array  # (n_members,)
    gradient: Array  # (n_columns, n_members, n_rows)
    kept: Array | None


@final
class StackedObjective:
    """Mean losses with L2 penalties of many heads over the same dense data; the biases are free.

    Parameters
    ----------
    linear : LinearObjective
        Data, targets and a :class:`~softmax_xp.losses.CurvedLoss`; without a penalty.
    n_classes : int
        How many classes there are.
    plan : FoldPlan
        Which samples each fold trains on.
    fit_intercept : bool, default: True
        Whether there are biases.
    smallest_l2 : float, default: 0.0
        Of all heads that there will be.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.losses import CrossEntropy
    >>> from softmax_xp.objectives import LinearObjective
    >>> from softmax_xp.objectives.stacked import StackedObjective
    >>> from softmax_xp.objectives.stacked_data import FoldPlan, Segment
    >>> from softmax_xp.objectives.stacked_heads import Head
    >>> loss, X = CrossEntropy(), np.asarray([[0.0], [1.0], [3.0], [4.0]])
    >>> linear = LinearObjective(X, loss.prepare(np.asarray([0, 1, 0, 1]), 2, dtype=X.dtype), loss, None, X.dtype)
    >>> plan = FoldPlan(2, (Segment(0, 2, (0,)), Segment(2, 4, (1,))))  # fold 0 trains on the first two samples
    >>> objective = StackedObjective(linear, 2, plan)
    >>> stack = objective.stack([Head(0, 0.1), Head(1, 0.1), Head(1, 1.0)])
    >>> objective.evaluate(stack, objective.zeros(stack)).value
    array([0.69314718, 0.69314718, 0.69314718])
    """

    def __init__(
        self,
        linear: LinearObjective,
        n_classes: int,
        plan: FoldPlan,
        *,
        fit_intercept: bool = True,
        smallest_l2: float = 0.0,
    ) -> None:
        self.data = StackedData(linear, n_classes, plan, fit_intercept=fit_intercept, smallest_l2=smallest_l2)
        self.passes = 0.0  # of one head over all samples

    def stack(self, heads: Sequence[Head]) -> Stack:
        """Return a stack of heads.

        Parameters
        ----------
        heads : sequence of Head
            In the order of their points.

        Returns
        -------
        Stack
            For the other methods.
        """
        return Stack(self.data, heads)

    def zeros(self, stack: Stack) -> Array:
        """Return points whose weights are zero, and whose biases are the best ones for that: the logarithms of the
        shares.

        Parameters
        ----------
        stack : Stack
            Of n_heads heads.

        Returns
        -------
        array of shape (n_columns, n_heads, n_rows)
            In the float of the fit.
        """
        data = self.data
        xp = data.backend.xp
        shape = (data.n_columns, len(stack), data.n_rows)
        weights = xp.zeros(shape, dtype=data.dtype, device=data.backend.device)
        if not data.fit_intercept:
            return weights
        mass = xp.take(data.sums.mass, stack.folds, axis=0)
        shares = xp.take(data.sums.targets, stack.folds, axis=1)[:, :, -1] / mass
        # A class that a fold lacks has no best bias; 1e-13 is as good as none, and a logit like others.
        tiny = xp.full_like(shares, 1e-13)
        bias = xp.log(xp.maximum(shares, tiny))
        bias = bias - (xp.log(xp.maximum(1.0 - shares, tiny)) if data.n_columns == 1 else xp.mean(bias, axis=0))
        return xp.concat((weights[:, :, :-1], xp.astype(bias, data.dtype)[:, :, None]), axis=2)

    def evaluate(self, stack: Stack, points: Array, *, wide: bool = False, keep: bool = False) -> StackedEvaluation:
        """Return the values and gradients of all heads: one pass.

        Parameters
        ----------
        stack : Stack
            Of n_heads heads.
        points : array of shape (n_columns, n_heads, n_rows)
            Where.
        wide : bool, default: False
            Whether to compute in the widest float.
        keep : bool, default: False
            Whether the curvature will be asked for, which can use what is small enough to be kept.

        Returns
        -------
        StackedEvaluation
            Of fresh arrays.
        """
        data = self.data
        xp = data.backend.xp
        dtype = data.wide if wide else data.dtype
        keep = keep and self._keeps(len(stack))
        at = xp.astype(points, dtype, copy=False)
        with data.backend.scope():
            terms = data.backend.map_chunks(
                lambda chunk: self._terms(stack, at, chunk, wide=wide, keep=keep), data.chunks
            )
            value, gradient, kept = None, None, list[Array | None]()
            for chunk, term in zip(data.chunks, terms, strict=True):
                kept.append(None if term is None else term.kept)
                if term is None:
                    continue
                part, slope = stack.spread(term.value[None, :], chunk)[0, :], stack.spread(term.gradient, chunk)
                value = part if value is None else value + part
                gradient = slope if gradient is None else gradient + slope
            self.passes += len(stack)
            wide_points = xp.astype(points, data.wide, copy=False)
            shrinking = stack.l2_rows * wide_points
            value = value * stack.reciprocal + 0.5 * xp.sum(shrinking * wide_points, axis=(0, 2))
            gradient = gradient * xp.astype(stack.reciprocal, dtype)[:, None] + xp.astype(shrinking, dtype, copy=False)
        return StackedEvaluation(points, value, gradient, kept if keep else None)

    def _terms(self, stack: Stack, points: Array, chunk: StackedChunk, *, wide: bool, keep: bool) -> _Terms | None:
        """Evaluate the losses of one chunk for the heads that train on it, block by block."""
        members = stack.members(chunk)
        if not members:
            return None
        data = self.data
        xp = data.backend.xp
        rows = xp.astype(chunk.rows, data.wide, copy=False) if wide else chunk.rows
        selected = stack.select(points, chunk)
        n_columns, n_members, n_rows = selected.shape
        step = self._block(rows.shape[0], n_members, keep=keep)
        values, gradients, slope = [], [], None
        for start in range(0, n_members, step):
            block = selected[:, start : start + step, :]
            count = block.shape[1]
            logits = xp.reshape(xp.reshape(block, (n_columns * count, n_rows)) @ rows.T, (n_columns, -1))
            targets = stack.targets(chunk, members[start : start + step], wide=wide)
            losses, slope = data.loss.value_and_gradient(logits, targets, axis=0)
            values.append(xp.sum(xp.reshape(losses, (count, -1)), axis=1, dtype=data.wide))
            gradient = xp.reshape(slope, (n_columns * count, rows.shape[0])) @ rows
            gradients.append(xp.reshape(gradient, (n_columns, count, n_rows)))
        if len(values) == 1:
            kept = xp.astype(slope, data.dtype, copy=False) if keep else None
            return _Terms(values[0], gradients[0], kept)
        return _Terms(xp.concat(values), xp.concat(gradients, axis=1), None)

    def _block(self, n_samples: int, n_members: int, *, keep: bool) -> int:
        """Return how many heads to treat at once."""
        if keep or not self.data.backend.capabilities.row_chunks:
            return n_members
        itemsize = 8 if self.data.dtype == self.data.backend.xp.float64 else 4
        blocks = -(-n_members * n_samples * self.data.n_columns * itemsize // _BLOCK_BYTES)
        return max(-(-n_members // blocks), 1)

    def _keeps(self, n_heads: int) -> bool:
        """Tell whether the logits of so many heads are small: a single fit's rule, with room for twice as much."""
        data = self.data
        itemsize = 8 if data.dtype == data.backend.xp.float64 else 4
        n_columns = n_heads * data.n_columns
        small: bool = data.n_samples * n_columns * itemsize <= _KEPT_BYTES or 16 * n_columns <= data.n_features
        return small

    def narrowed(
        self, stack: Stack, evaluation: StackedEvaluation, heads: Sequence[int]
    ) -> tuple[Stack, StackedEvaluation]:
        """Return a stack of some of the heads, and their part of an evaluation.

        Parameters
        ----------
        stack : Stack
            Of n_heads heads.
        evaluation : StackedEvaluation
            Of them.
        heads : sequence of int
            Their positions in the stack, rising.

        Returns
        -------
        stack : Stack
            Of these heads.
        evaluation : StackedEvaluation
            Of them.
        """
        data = self.data
        xp = data.backend.xp
        index = xp.asarray(heads, device=data.backend.device)
        kept = None
        if evaluation.kept is not None:
            kept = []
            for chunk, slope in zip(data.chunks, evaluation.kept, strict=True):
                members = stack.members(chunk)
                places = [place for place, position in enumerate(members) if position in heads]
                if slope is not None and len(places) < len(members):
                    cube = xp.reshape(slope, (data.n_columns, len(members), -1))
                    some = xp.asarray(places, device=data.backend.device) if places else None
                    some_slopes = None if some is None else xp.take(cube, some, axis=1)
                    kept.append(None if some is None else xp.reshape(some_slopes, (data.n_columns, -1)))
                else:
                    kept.append(slope)
        points, value, gradient = (
            xp.take(part, index, axis=axis)
            for part, axis in ((evaluation.points, 1), (evaluation.value, 0), (evaluation.gradient, 1))
        )
        return stack.narrowed(heads), StackedEvaluation(points, value, gradient, kept)

    def curvature(self, stack: Stack, evaluation: StackedEvaluation) -> StackedCurvature:
        """Return the Hessians of all heads.

        Parameters
        ----------
        stack : Stack
            Of n_heads heads.
        evaluation : StackedEvaluation
            Of them.

        Returns
        -------
        StackedCurvature
            As products, and what a metric is made of.
        """
        with self.data.backend.scope():
            keep = self._keeps(len(stack))
            return StackedCurvature(stack, evaluation.points, evaluation.kept, keep=keep, count=self._count)

    def metric(self, curvature: StackedCurvature, *, thorough: bool) -> StackedMetric:
        """Return one metric for all heads of a stack.

        Parameters
        ----------
        curvature : StackedCurvature
            Of the stack.
        thorough : bool
            Whether the classes should have inverses of their own, where those are not too large.

        Returns
        -------
        StackedMetric
            Positive definite.
        """
        self.passes += 0.5
        return metric_of_stack(curvature, thorough=thorough)

    def metric_cost(self, stack: Stack) -> float:
        """Return what making a thorough metric costs.

        Parameters
        ----------
        stack : Stack
            Of n_heads heads.

        Returns
        -------
        float
            In products of the whole stack.
        """
        data = self.data
        work: float = 4.0 * data.n_samples * data.n_rows * data.n_columns * len(stack)
        return metric_work(data) / work

    @property
    def has_bias(self) -> bool:
        """Whether the last row of a point is a bias."""
        return self.data.fit_intercept

    @property
    def is_wide(self) -> bool:
        """Whether the fit itself has the widest float, so that each evaluation is a proof."""
        wide: bool = self.data.dtype == self.data.wide
        return wide

    def _count(self, passes: float) -> None:
        self.passes += passes

    def measures(self, stack: Stack, evaluation: StackedEvaluation) -> Array:
        """Return what tells how good the points are, on the device.

        Parameters
        ----------
        stack : Stack
            Of n_heads heads.
        evaluation : StackedEvaluation
            Of them.

        Returns
        -------
        array of shape (4, n_heads)
            The value; the largest absolute entry of the gradient, in the user's coordinates; the bound on the distance
            from the minimum, which is proven where the evaluation was wide; and the part of it that the weights make.
        """
        data = self.data
        xp = array_namespace(evaluation.value)
        gradient = xp.astype(evaluation.gradient, data.wide, copy=False)
        scale = xp.astype(data.scale, data.wide)
        with data.backend.scope():
            slope = xp.abs(gradient)
            norm = xp.max(slope[:, :, : data.n_features] * scale, axis=(0, 2))
            if data.fit_intercept:
                norm = xp.maximum(norm, xp.max(slope[:, :, -1], axis=0))
            points = xp.astype(evaluation.points, data.wide, copy=False)
            bound, weights = stacked_bounds(stack, evaluation.value, points, gradient)
            return xp.stack((evaluation.value, norm, bound, weights))
