# SPDX-License-Identifier: BSD-3-Clause
"""The data of many fits at once: rows sorted by the folds that train on them, and what each fold sums to.

In K-fold cross-validation each sample is left out of one fold. Sorted by that fold, the rows fall into segments; a head
(a fit of one fold) skips the segments that its fold leaves out, rather than multiply them by zero. Overlapping folds
may cut the data into too many segments; then all heads see all rows, some with weight 0.

The rows are copied once: sorted, divided by the size of each feature, and followed by the constant feature of the bias.
"""

__all__ = ["FoldPlan", "FoldSums", "Segment", "StackedChunk", "StackedData", "tiled_targets"]

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, final

from softmax_xp.backend import Backend, array_namespace, scalar
from softmax_xp.losses.contract import CurvedLoss, Targets, take_targets
from softmax_xp.objectives.linear import LinearObjective
from softmax_xp.objectives.scaling import feature_scale
from softmax_xp.ops.linear import chunk_rows
from softmax_xp.typing import Array


class Segment(NamedTuple):
    """Some neighbouring rows, and which folds train on them."""

    start: int
    stop: int
    folds: tuple[int, ...]


class FoldPlan(NamedTuple):
    """Which samples each fold trains on."""

    n_folds: int
    segments: tuple[Segment, ...]  # of the sorted rows; rows in none of them are never read
    order: Array | None = None  # (n_rows,) the sample of each sorted row; None is their own order
    masks: Array | None = None  # (n_folds, n_rows) how often a fold trains on a row; None: as segments say


class StackedChunk(NamedTuple):
    """Rows that are read together."""

    rows: Array  # (n_rows, n_columns_of_X), scaled, with the constant feature last
    targets: Targets
    folds: tuple[int, ...]
    masks: Array | None  # (n_folds, n_rows)


class FoldSums(NamedTuple):
    """What the bound needs to know of each fold, in the widest float; all but the first are divided by ``total``."""

    total: Array  # (n_folds,) what the mean loss divides by
    mass: Array  # (n_folds,) sum of the masses
    targets: Array  # (n_columns, n_folds, n_rows) sum of t_i x_i'
    features: Array  # (n_folds, n_rows) sum of mass_i x_i
    radius: Array  # () the largest norm of a row, constant feature included


def tiled_targets(targets: Targets, masks: Array | None, count: int) -> Targets:
    """Repeat the targets of some rows for several heads, one after the other.

    Parameters
    ----------
    targets : Targets
        Of n_rows rows.
    masks : array of shape (count, n_rows) or None
        What multiplies the weights for each head.
    count : int
        How many heads.

    Returns
    -------
    Targets
        Of count * n_rows virtual samples.
    """
    labels, distribution, weight, sample_weight, class_weight = targets
    xp = array_namespace(labels)
    if count > 1:
        labels = xp.tile(labels, (count,))
        distribution = None if distribution is None else xp.tile(distribution, (count, 1))

    def for_heads(values: Array | None) -> Array | None:
        if masks is None:
            return values if values is None or count == 1 else xp.tile(values, (count,))
        return xp.reshape(masks if values is None else masks * values, (-1,))

    return Targets(labels, distribution, for_heads(weight), for_heads(sample_weight), class_weight)


@final
class StackedData:
    """A copy of the rows for passes that serve many heads.

    Parameters
    ----------
    linear : LinearObjective
        Dense data, prepared targets, and a :class:`~softmax_xp.losses.CurvedLoss`.
    n_classes : int
        How many classes there are.
    plan : FoldPlan
        Which rows each fold trains on.
    fit_intercept : bool
        Whether there is a bias.
    smallest_l2 : float
        Of all heads; a feature smaller than its root is not blown up any further.
    """

    def __init__(
        self, linear: LinearObjective, n_classes: int, plan: FoldPlan, *, fit_intercept: bool, smallest_l2: float
    ) -> None:
        assert isinstance(linear.loss, CurvedLoss)  # noqa: S101 - for the type checker; the estimators choose the loss
        self.loss: CurvedLoss = linear.loss
        self.backend: Backend = linear.backend
        self.dtype: Any = linear.dtype
        xp = self.backend.xp
        self.wide: Any = xp.float64 if self.backend.capabilities.float64 else linear.dtype
        self.n_folds, self.fit_intercept = plan.n_folds, fit_intercept
        self.n_samples, self.n_features = linear.X.shape
        self.n_columns = self.loss.n_columns(n_classes)
        self.n_rows = self.n_features + fit_intercept
        with self.backend.scope():
            self.scale = feature_scale(linear, smallest_l2)[:, 0]  # (n_features,) powers of two
            self.chunks = list(self._cut(linear, plan))
            self.sums = self._fold_sums()
        self._made: dict[str, Array] = {}

    def cached(self, name: str, make: Callable[["StackedData"], Array]) -> Array:
        """Return something that depends on the data alone, made when it is first asked for.

        Parameters
        ----------
        name : str
            What it is.
        make : callable
            Makes it of this.

        Returns
        -------
        array
            Not for writing.
        """
        if name not in self._made:
            self._made[name] = make(self)
        return self._made[name]

    def _cut(self, linear: LinearObjective, plan: FoldPlan) -> Iterator[StackedChunk]:
        """Copy the rows, in chunks that stay in the processor's cache: two of them, for two cores, in one's place."""
        xp = self.backend.xp
        itemsize = 8 if self.dtype == xp.float64 else 4
        step = chunk_rows(2 * self.n_rows, 2 * self.n_columns * plan.n_folds, itemsize, self.backend)
        for segment in plan.segments:
            pieces = -(-(segment.stop - segment.start) // step)
            for piece in range(pieces):
                start, stop = (
                    segment.start + (segment.stop - segment.start) * edge // pieces for edge in (piece, piece + 1)
                )
                if plan.order is None:
                    index = xp.arange(start, stop, device=self.backend.device)
                    rows = linear.X[start:stop, :]
                else:
                    index = plan.order[start:stop]
                    rows = xp.take(linear.X, index, axis=0)
                rows = linear.rows(rows) / self.scale
                if self.fit_intercept:
                    rows = xp.concat((rows, xp.ones_like(rows[:, :1])), axis=1)
                masks = None if plan.masks is None else plan.masks[:, start:stop]
                yield StackedChunk(rows, take_targets(linear.targets, index), segment.folds, masks)

    def _fold_sums(self) -> FoldSums:
        """Sum up what does not depend on the coefficients: half a pass, in the widest float."""
        xp = self.backend.xp
        everywhere = xp.arange(self.n_folds, device=self.backend.device)

        def chunk_sums(chunk: StackedChunk) -> tuple[Array, ...]:
            rows, masks = xp.astype(chunk.rows, self.wide, copy=False), chunk.masks
            masks = None if masks is None else xp.astype(masks, self.wide, copy=False)
            heads = 1 if masks is None else self.n_folds
            targets = tiled_targets(self.in_wide(chunk.targets), masks, heads)
            ones = xp.ones((heads, rows.shape[0]), dtype=self.wide, device=self.backend.device)
            mass, weight = self.loss.mass(targets), targets.weight
            mass = ones if mass is None else xp.reshape(mass, ones.shape)
            weight = ones if weight is None else xp.reshape(weight, ones.shape)
            t = self.loss.target_matrix(targets, self.n_columns, dtype=self.wide, axis=0)
            t = xp.reshape(xp.reshape(t, (-1, rows.shape[0])) @ rows, (self.n_columns, heads, self.n_rows))
            trains = xp.any(everywhere[:, None] == xp.asarray(chunk.folds, device=self.backend.device), axis=1)
            trains = xp.astype(trains, self.wide)[:, None]
            weights, masses = xp.sum(weight, axis=1, keepdims=True), xp.sum(mass, axis=1, keepdims=True)
            radius = xp.max(xp.sum(rows * rows, axis=1))
            return weights * trains, masses * trains, t * trains, (mass @ rows) * trains, radius

        total, mass, by_class, features, radius = next(parts := self.backend.map_chunks(chunk_sums, self.chunks))
        for part in parts:
            total, mass, by_class, features = total + part[0], mass + part[1], by_class + part[2], features + part[3]
            radius = xp.maximum(radius, part[4])
        return FoldSums(total[:, 0], mass[:, 0] / total[:, 0], by_class / total, features / total, xp.sqrt(radius))

    def in_wide(self, targets: Targets) -> Targets:
        """Return targets whose weights have the widest float.

        Parameters
        ----------
        targets : Targets
            Of any rows.

        Returns
        -------
        Targets
            Of the same rows.
        """
        xp = self.backend.xp
        labels, *floats = targets
        return Targets(labels, *(None if part is None else xp.astype(part, self.wide, copy=False) for part in floats))

    def fold_totals(self) -> list[float]:
        """Return what the mean loss of each fold divides by."""
        return [scalar(total) for total in self.sums.total]  # host: once for a grid
