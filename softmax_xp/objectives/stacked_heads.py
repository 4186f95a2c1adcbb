# SPDX-License-Identifier: BSD-3-Clause
"""Which heads a stack holds, and which of them a chunk of rows concerns."""

__all__ = ["Head", "Stack"]

from collections.abc import Sequence
from typing import NamedTuple, final

from softmax_xp.backend import array_namespace
from softmax_xp.losses.contract import Targets
from softmax_xp.objectives.stacked_data import StackedChunk, StackedData, tiled_targets
from softmax_xp.typing import Array


class Head(NamedTuple):
    """One of many fits."""

    fold: int
    l2: float  # strength of sum(weight**2) / 2 beside the mean loss


class _Members(NamedTuple):
    """The heads of a stack that train on a segment."""

    positions: tuple[int, ...]
    places: Array | None  # the same; None stands for all heads
    back: Array | None  # for each head of the stack its place among them, and their number for any other


@final
class Stack:
    """Some heads, in an order, and what they need on the device.

    Parameters
    ----------
    data : StackedData
        What they are fitted to.
    heads : sequence of Head
        Which ones.
    """

    def __init__(self, data: StackedData, heads: Sequence[Head]) -> None:
        self.data, self.heads = data, tuple(heads)
        xp, device = data.backend.xp, data.backend.device
        self.folds = xp.asarray([head.fold for head in heads], device=device)
        self.l2 = xp.asarray([head.l2 for head in heads], dtype=data.wide, device=device)
        scale = xp.astype(data.scale, data.wide)
        l2_rows = self.l2[:, None] / (scale * scale)
        if data.fit_intercept:
            l2_rows = xp.concat((l2_rows, xp.zeros_like(l2_rows[:, :1])), axis=1)
        self.l2_rows = l2_rows  # (n_heads, n_rows), in the widest float; 0 for the bias
        self.reciprocal = 1.0 / xp.take(data.sums.total, self.folds, axis=0)
        self._members: dict[tuple[int, ...], _Members] = {}

    def __len__(self) -> int:
        """Return how many heads there are."""
        return len(self.heads)

    def narrowed(self, keep: Sequence[int]) -> "Stack":
        """Return a stack of some of the heads.

        Parameters
        ----------
        keep : sequence of int
            Their positions.

        Returns
        -------
        Stack
            Of these heads, in this order.
        """
        return Stack(self.data, [self.heads[position] for position in keep])

    def members(self, chunk: StackedChunk) -> tuple[int, ...]:
        """Return the positions of the heads that train on a chunk.

        Parameters
        ----------
        chunk : StackedChunk
            Of the data.

        Returns
        -------
        tuple of int
            Perhaps empty.
        """
        return self._of(chunk.folds).positions

    def select(self, points: Array, chunk: StackedChunk) -> Array:
        """Return the points of the heads that train on a chunk.

        Parameters
        ----------
        points : array of shape (n_columns, n_heads, n_rows)
            Of all heads.
        chunk : StackedChunk
            Of the data.

        Returns
        -------
        array of shape (n_columns, n_members, n_rows)
            Not for writing.
        """
        places = self._of(chunk.folds).places
        return points if places is None else array_namespace(points).take(points, places, axis=1)

    def spread(self, part: Array, chunk: StackedChunk) -> Array:
        """Return what the members have got, and zeros for the other heads.

        Parameters
        ----------
        part : array of shape (n_columns, n_members, ...)
            From rows of the chunk.
        chunk : StackedChunk
            Of the data.

        Returns
        -------
        array of shape (n_columns, n_heads, ...)
            In the order of the stack.
        """
        back = self._of(chunk.folds).back
        if back is None:
            return part
        xp = array_namespace(part)
        return xp.take(xp.concat((part, xp.zeros_like(part[:, :1, ...])), axis=1), back, axis=1)

    def targets(self, chunk: StackedChunk, positions: Sequence[int], *, wide: bool = False) -> Targets:
        """Return the targets of a chunk, once for each of some heads.

        Parameters
        ----------
        chunk : StackedChunk
            Of the data.
        positions : sequence of int
            Of the heads.
        wide : bool, default: False
            Whether weights are wanted in the widest float.

        Returns
        -------
        Targets
            Of len(positions) * n_rows virtual samples, head by head.
        """
        data = self.data
        targets, masks = chunk.targets, chunk.masks
        if masks is not None:
            folds = data.backend.xp.asarray(
                [self.heads[position].fold for position in positions], device=data.backend.device
            )
            masks = data.backend.xp.take(masks, folds, axis=0)
        targets = tiled_targets(targets, masks, len(positions))
        return data.in_wide(targets) if wide else targets

    def _of(self, folds: tuple[int, ...]) -> _Members:
        """Look up or find the members among the heads for a segment that trains some folds."""
        found = self._members.get(folds)
        if found is None:
            positions = tuple(number for number, head in enumerate(self.heads) if head.fold in folds)
            index = back = None
            if 0 < len(positions) < len(self.heads):
                xp, device = self.data.backend.xp, self.data.backend.device
                places = {position: place for place, position in enumerate(positions)}
                index = xp.asarray(positions, device=device)
                back = xp.asarray(
                    [places.get(number, len(positions)) for number in range(len(self.heads))], device=device
                )
            found = self._members[folds] = _Members(positions, index, back)
        return found
