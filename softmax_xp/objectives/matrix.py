# SPDX-License-Identifier: BSD-3-Clause
"""The explicit Hessian of a linear model's mean loss: for problems of few coefficients, which meet it many times."""

__all__ = ["HessianMatrix"]

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, final

from softmax_xp.backend import array_namespace, scalar
from softmax_xp.losses.contract import Targets
from softmax_xp.threads import Limits
from softmax_xp.typing import Array

if TYPE_CHECKING:
    from softmax_xp.objectives.convex import ConvexObjective

# Bytes of the rows of outer products that a chunk makes.
_OUTER_BYTES = 1 << 23
# Bytes of scaled features that are kept from one Hessian to the next.
_KEPT_BYTES = 1 << 20


@final
class HessianMatrix:
    """What all explicit Hessians of one objective have in common.

    Parameters
    ----------
    objective : ConvexObjective
        Whose.
    """

    def __init__(self, objective: "ConvexObjective") -> None:
        self.objective = objective
        self.n_rows, self.n_columns = objective.shape
        backend, narrow = objective.backend, objective.linear.dtype
        xp, device = backend.xp, backend.device
        self.dtype = wide = xp.float64 if backend.capabilities.float64 else narrow
        self.identity = xp.eye(self.n_rows, dtype=wide, device=device)
        self.among = xp.eye(self.n_columns, dtype=wide, device=device)[:, None, :, None]
        epsilon = xp.finfo(narrow).eps
        # Without a penalty, the rounding of the gradient meets nothing else along collinear features.
        self.jitter = max(1e-14, 8.0 * epsilon)
        self.l2 = xp.zeros((self.n_rows, 1), dtype=wide, device=device)
        # A penalty that is lost in rounding does not decide what the softmax leaves open. Scaled features have a
        # curvature of about 1, or less.
        self.undecided: Array | None = self.identity / self.n_columns if self.n_columns > 1 else None
        if objective.l2_rows is not None:
            self.l2, self.jitter = xp.astype(objective.l2_rows, wide), max(1e-14, 8.0 * xp.finfo(wide).eps)
            lost = self.l2 <= epsilon
            if not scalar(xp.any(lost)):  # host: once
                self.undecided = None
            elif self.undecided is not None:
                self.undecided = xp.where(lost, self.undecided, xp.zeros_like(self.identity))
        # Where all probabilities are 0 or 1 nothing bends; the gradient alone then says where to go, and not how far.
        self.flat = xp.finfo(wide).smallest_normal ** 0.5
        self._kept: list[Array] | None = None

    def at(self, probabilities: Callable[[Array], Array], axis: int) -> Array:
        """Return the Hessian where the model gives some probabilities, made definite where the softmax leaves it open.

        Parameters
        ----------
        probabilities : callable
            Takes rows, converted; returns their probabilities with the classes along ``axis``.
        axis : {-1, 0}
            Where the classes are.

        Returns
        -------
        array of shape (n_columns * n_rows, n_columns * n_rows)
            Columns vary slowest.
        """
        objective = self.objective
        backend = objective.backend
        xp = backend.xp
        scale = objective.total_scale()

        def chunk_matrix(item: tuple[tuple[Array, Targets], Array | None]) -> tuple[Array, Array | None]:
            (stored, targets), features = item
            rows = objective.linear.rows(stored)
            p = probabilities(rows)
            features = self._features(rows) if features is None else features
            mass = objective.loss.mass(targets)
            weight = scale if mass is None else xp.astype(mass, self.dtype) * scale
            if self.n_columns == 1:
                bent = objective.loss.curvature_product(p, xp.ones_like(p), axis=axis)
                bent = xp.astype(xp.reshape(bent, (-1,)), self.dtype) * weight
                features = features * xp.sqrt(bent)[:, None]
                return features.T @ features, None
            p = xp.astype(p.T if axis == 0 else p, self.dtype, copy=False)
            if objective.linear.dtype != self.dtype:
                # Narrow probabilities do not quite sum to 1, which would bend the loss where it is flat, perhaps down.
                p = p / xp.sum(p, axis=1, keepdims=True)
            features = features * (xp.sqrt(weight)[:, None] if mass is not None else weight**0.5)
            outer = p[:, :, None] * features[:, None, :]
            outer = xp.reshape(outer, (features.shape[0], self.n_columns * self.n_rows))
            return outer.T @ outer, features.T @ outer

        products, blocks = backend.sum_chunks(chunk_matrix, self._chunks(), self._limits())
        objective.passes += 1.0
        return self._definite(products, blocks)

    def _features(self, rows: Array) -> Array:
        """Return the features of some rows in the widest float."""
        xp = array_namespace(self.identity)
        return xp.astype(self.objective.features(rows), self.dtype, copy=False)

    def _chunks(self) -> Iterator[tuple[tuple[Array, Targets], Array | None]]:
        """Yield the data in chunks whose outer products stay in the cache, with the features of small data."""
        linear, columns = self.objective.linear, self._columns()
        if self._kept is None and 8 * linear.X.shape[0] * self.n_rows <= _KEPT_BYTES:
            chunks = linear.chunks(columns, dense=True, kept=True)
            self._kept = [self._features(linear.rows(rows)) for rows, _ in chunks]
        for number, chunk in enumerate(linear.chunks(columns, dense=True, kept=True)):
            yield chunk, None if self._kept is None else self._kept[number]

    def _columns(self) -> int:
        """Return how many columns of logits would take as much for each row as the outer products do."""
        return max(self.n_columns * self.n_rows // (_OUTER_BYTES >> 19), 1)

    def _limits(self) -> Limits:
        """Return how many chunks memory has room for."""
        return self.objective.linear.limits(self._columns(), dense=True)

    def _definite(self, products: Array, blocks: Array | None) -> Array:
        """Put the Hessian together from the two sums over samples, and see to its definiteness."""
        xp = array_namespace(products)
        if blocks is None:
            return products + self.identity * (self.l2 + self.jitter * (xp.max(products) + self.flat))
        cube = xp.permute_dims(xp.reshape(blocks, (self.n_rows, self.n_columns, self.n_rows)), (1, 0, 2))
        size = xp.max(cube) + self.flat
        diagonal = cube + self.identity * (self.l2 + self.jitter * size)  # the blocks of each class
        spread = self.among * diagonal[:, :, None, :]
        if self.undecided is not None:
            spread = spread + (self.undecided * size)[None, :, None, :]
        return xp.reshape(spread, products.shape) - products
