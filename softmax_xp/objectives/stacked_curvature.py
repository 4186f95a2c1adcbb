# SPDX-License-Identifier: BSD-3-Clause
"""The Hessians of many heads: products with a direction for each, the blocks of the biases, and weights for a metric.

The probabilities are made once, from what an evaluation kept or by a product of their own, and kept in turn while the
heads solve their Newton equations; where they are not small they are made anew in each product. A head that has solved
its equations leaves: see :meth:`StackedCurvature.narrowed`.
"""

__all__ = ["StackedCurvature"]

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, final

from softmax_xp.objectives.stacked_data import StackedChunk
from softmax_xp.objectives.stacked_heads import Stack
from softmax_xp.typing import Array


class _Part(NamedTuple):
    """What the heads that train on a chunk say of it."""

    probabilities: Array  # (n_columns, n_members, n_samples)
    mass: Array | None  # (n_members, n_samples); None is one each


@final
class StackedCurvature:
    """The Hessians of a stack at its points.

    Parameters
    ----------
    stack : Stack
        Of n_heads heads.
    points : array of shape (n_columns, n_heads, n_rows)
        Where.
    kept : list of array or None
        Of each chunk the gradient in the logits, from an evaluation at these points.
    keep : bool
        Whether the probabilities may be kept.
    count : callable
        Is told of each pass.
    """

    def __init__(
        self,
        stack: Stack,
        points: Array,
        kept: list[Array | None] | None,
        *,
        keep: bool,
        count: Callable[[float], None],
    ) -> None:
        self.stack, self.points, self.keep, self.count = stack, points, keep, count
        self._parts: list[_Part | None] | None = None
        if keep:
            data = stack.data
            slopes: list[Array | None] = [None] * len(data.chunks) if kept is None else kept
            items = list(zip(data.chunks, slopes, strict=True))
            self._parts = list(data.backend.map_chunks(lambda item: self._part(*item), items))
            count(0.0 if kept is not None else 0.5 * len(stack))

    @property
    def dtype(self) -> Any:
        """The float of the products."""
        return self.stack.data.dtype

    def product(self, direction: Array) -> Array:
        """Return each head's Hessian times its direction: one pass, or one and a half where nothing is kept.

        Parameters
        ----------
        direction : array of shape (n_columns, n_heads, n_rows)
            Any.

        Returns
        -------
        array of the shape of ``direction``
            Fresh.
        """
        stack, data = self.stack, self.stack.data
        xp = data.backend.xp

        def chunk_product(item: tuple[StackedChunk, _Part]) -> Array:
            chunk, part = item
            along = stack.select(direction, chunk)
            n_columns, n_members, n_rows = along.shape
            change = xp.reshape(along, (n_columns * n_members, n_rows)) @ chunk.rows.T
            probabilities = xp.reshape(part.probabilities, (n_columns, -1))
            bent = data.loss.curvature_product(probabilities, xp.reshape(change, probabilities.shape), axis=0)
            if part.mass is not None:
                bent *= xp.reshape(part.mass, (-1,))
            return xp.reshape(xp.reshape(bent, (n_columns * n_members, -1)) @ chunk.rows, along.shape)

        with data.backend.scope():
            total = None
            chunks = self._members()
            for chunk, part in zip(chunks, data.backend.map_chunks(chunk_product, self._items(chunks)), strict=True):
                spread = stack.spread(part, chunk)
                total = spread if total is None else total + spread
            self.count(len(stack) * (1.5 if self._parts is None else 1.0))
            reciprocal = xp.astype(stack.reciprocal, data.dtype, copy=False)[:, None]
            return total * reciprocal + xp.astype(stack.l2_rows, data.dtype, copy=False) * direction

    def bias_blocks(self) -> Array:
        """Return the Hessians of the biases alone.

        Returns
        -------
        array of shape (n_heads, n_columns, n_columns)
            Singular where adding one number to all biases changes no probability.
        """
        stack, data = self.stack, self.stack.data
        xp, n_columns = data.backend.xp, data.n_columns

        def chunk_blocks(item: tuple[StackedChunk, _Part]) -> Array:
            part = item[1]
            p = xp.permute_dims(part.probabilities, (1, 0, 2))
            weighted = p if part.mass is None else p * part.mass[:, None, :]
            if n_columns == 1:
                return xp.sum(weighted * (1.0 - p), axis=2)[None, :, :, None]
            columns = xp.sum(weighted, axis=2)
            identity = xp.eye(n_columns, dtype=data.dtype, device=data.backend.device)
            among = xp.matmul(weighted, xp.permute_dims(p, (0, 2, 1)))
            return (identity * columns[:, None, :] - among)[None, ...]

        with data.backend.scope():
            total: Array = None
            chunks = self._members()
            for chunk, part in zip(chunks, data.backend.map_chunks(chunk_blocks, self._items(chunks)), strict=True):
                spread = stack.spread(part, chunk)
                total = spread if total is None else total + spread
            return total[0, ...] * xp.astype(stack.reciprocal, data.dtype, copy=False)[:, None, None]

    def mean_weights(self) -> Iterator[tuple[StackedChunk, Array]]:
        """Yield each chunk with the curvature of its samples in each class, as a mean over the heads.

        Yields
        ------
        chunk : StackedChunk
            Of the data.
        weights : array of shape (n_columns, n_samples)
            ``mass * p * (1 - p) / total``.
        """
        stack, data = self.stack, self.stack.data
        xp = data.backend.xp
        share = xp.astype(stack.reciprocal, data.dtype, copy=False) / len(stack)

        def chunk_weights(item: tuple[StackedChunk, _Part]) -> Array:
            chunk, part = item
            weights = part.probabilities * (1.0 - part.probabilities)
            if part.mass is not None:
                weights *= part.mass
            return xp.sum(weights * stack.select(share[None, :], chunk)[0, :, None], axis=1)

        chunks = self._members()
        yield from zip(chunks, data.backend.map_chunks(chunk_weights, self._items(chunks)), strict=True)

    def narrowed(self, keep: Sequence[int]) -> "StackedCurvature":
        """Return the Hessians of some of the heads.

        Parameters
        ----------
        keep : sequence of int
            Their positions in the stack.

        Returns
        -------
        StackedCurvature
            Of these heads.
        """
        stack, data = self.stack, self.stack.data
        xp = data.backend.xp
        index = xp.asarray(keep, device=data.backend.device)
        count = self.count
        points = xp.take(self.points, index, axis=1)
        narrow = StackedCurvature(stack.narrowed(keep), points, None, keep=False, count=count)
        narrow.keep = self.keep
        if self._parts is None:
            return narrow

        def take(item: tuple[StackedChunk, _Part | None]) -> _Part | None:
            chunk, part = item
            members = stack.members(chunk)
            places = [members.index(position) for position in keep if position in members]
            if part is None or not places:
                return None
            if len(places) == len(members) and places == sorted(places):
                return part
            some = xp.asarray(places, device=data.backend.device)
            mass = None if part.mass is None else xp.take(part.mass, some, axis=0)
            return _Part(xp.take(part.probabilities, some, axis=1), mass)

        narrow._parts = list(data.backend.map_chunks(take, zip(data.chunks, self._parts, strict=True)))
        return narrow

    def _members(self) -> list[StackedChunk]:
        """Return the chunks on which any head trains."""
        return [chunk for chunk in self.stack.data.chunks if self.stack.members(chunk)]

    def _items(self, chunks: list[StackedChunk]) -> Iterator[tuple[StackedChunk, _Part]]:
        """Yield these chunks with their probabilities, kept or made anew."""
        if self._parts is not None:
            yield from zip(chunks, [part for part in self._parts if part is not None], strict=True)
            return
        for chunk in chunks:
            part = self._part(chunk, None)
            assert part is not None  # noqa: S101 - the chunk has members
            yield chunk, part

    def _part(self, chunk: StackedChunk, slope: Array | None) -> _Part | None:
        """Return the probabilities of a chunk: from the gradient in the logits, mass * p - t, or from logits."""
        stack, data = self.stack, self.stack.data
        members = stack.members(chunk)
        if not members:
            return None
        xp, n_columns = data.backend.xp, data.n_columns
        targets = stack.targets(chunk, members)
        mass = data.loss.mass(targets)
        shape = (n_columns, len(members), chunk.rows.shape[0])
        if slope is None:
            selected = xp.reshape(stack.select(self.points, chunk), (n_columns * len(members), -1))
            p = data.loss.probabilities(xp.reshape(selected @ chunk.rows.T, (n_columns, -1)), axis=0)
        else:
            p = slope + data.loss.target_matrix(targets, n_columns, dtype=data.dtype, axis=0)
            if mass is not None:
                p *= 1.0 / xp.where(mass > 0, mass, xp.ones_like(mass))
            p = xp.clip(p, 0.0, 1.0)
        return _Part(xp.reshape(p, shape), None if mass is None else xp.reshape(mass, shape[1:]))
