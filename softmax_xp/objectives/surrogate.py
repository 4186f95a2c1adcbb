# SPDX-License-Identifier: BSD-3-Clause
"""Stand-ins for the Hessian of a linear model's loss, to be multiplied with rather than inverted.

The Hessian is a sum over the samples of ``mass * (diag(p) - p p') (x) (x x')``. Where features and classes vary
independently of each other over the samples, it would be one Kronecker product,

    P (x) A + diag(l2)      P = sum_i mass_i (diag(p_i) - p_i p_i') / total,    A = sum_i w_i x_i x_i' / sum_i w_i

with ``w_i`` the trace of the sample's part of P, so that the traces agree. Where all coefficients are zero that is the
Hessian itself, and so it is everywhere with one column. P knows which classes are confused with which, and that a
common change of all classes bends nothing.

For sparse data, and for features that are many beside the samples, the diagonal of the Hessian takes its place.
"""

__all__ = ["DiagonalSurrogate", "KroneckerSurrogate", "hessian_of_rows", "surrogate_of_rows"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from softmax_xp.backend import array_namespace
from softmax_xp.data.rows import has_sparse_rows
from softmax_xp.data.sparse import is_sparse, squared_entries, to_dense
from softmax_xp.typing import Array

if TYPE_CHECKING:
    from softmax_xp.losses.contract import Targets
    from softmax_xp.objectives.convex import ConvexObjective

# A Kronecker product multiplies with n_rows**2 numbers, a hundred times for each pass over n_samples * n_rows of them.
_DENSE_LIMIT, _DENSE_SHARE, _SMALL = 2500, 1 / 2, 128
# Its moments are summed over a sample of the rows: so many, so many for each feature, and what costs a few passes.
_LEAST_SAMPLE, _ROWS_FOR_EACH_FEATURE, _SAMPLE_WORK = 2048, 8, 64


@final
@dataclass(frozen=True, slots=True, eq=False)
class KroneckerSurrogate:
    """``direction -> features @ direction @ classes + ridge * direction``.

    Parameters
    ----------
    features : array of shape (n_rows, n_rows)
        A.
    classes : array of shape (n_columns, n_columns)
        P.
    ridge : array of shape (n_rows, 1)
        The L2 penalty, and a little more for rounding's sake.
    """

    features: Array
    classes: Array
    ridge: Array
    separable: ClassVar[bool] = False

    def diagonal(self) -> Array:
        """Return the diagonal.

        Returns
        -------
        array of shape (n_rows, n_columns)
            Positive.
        """
        linalg = array_namespace(self.features).linalg
        return linalg.diagonal(self.features)[:, None] * linalg.diagonal(self.classes) + self.ridge

    def product(self, direction: Array) -> Array:
        """Return the surrogate times ``direction``.

        Parameters
        ----------
        direction : array of shape (..., n_rows, n_columns)
            Any number of directions.

        Returns
        -------
        array of the shape of ``direction``
            Fresh.
        """
        return self.features @ (direction @ self.classes) + self.ridge * direction


@final
@dataclass(frozen=True, slots=True, eq=False)
class DiagonalSurrogate:
    """The diagonal of the Hessian.

    Parameters
    ----------
    entries : array of shape (n_rows, n_columns)
        Positive.
    """

    entries: Array
    separable: ClassVar[bool] = True

    def diagonal(self) -> Array:
        """Return the diagonal.

        Returns
        -------
        array of shape (n_rows, n_columns)
            Positive.
        """
        return self.entries

    def product(self, direction: Array) -> Array:
        """Return the surrogate times ``direction``.

        Parameters
        ----------
        direction : array of shape (..., n_rows, n_columns)
            Any number of directions.

        Returns
        -------
        array of the shape of ``direction``
            Fresh.
        """
        return self.entries * direction


def surrogate_of_rows(
    objective: "ConvexObjective", probabilities: Callable[[Any], Array], axis: int
) -> KroneckerSurrogate | DiagonalSurrogate:
    """Build the surrogate that suits the data.

    Parameters
    ----------
    objective : ConvexObjective
        Whose data.
    probabilities : callable
        Takes rows, converted; returns what the model thinks of them, with the columns on ``axis``.
    axis : {-1, 0}
        Where the columns are.

    Returns
    -------
    KroneckerSurrogate or DiagonalSurrogate
        The latter for sparse data, and where there are more features than half the samples, or than 2500.
    """
    weighted = _weighted(objective, probabilities, axis)
    n_samples, n_rows = objective.linear.X.shape[0], objective.shape[0]
    few = n_rows <= max(_SMALL, min(_DENSE_LIMIT, _DENSE_SHARE * n_samples))
    if few and not has_sparse_rows(objective.linear.X):
        return _kronecker(objective, weighted)
    return _diagonal(objective, weighted)


def hessian_of_rows(
    objective: "ConvexObjective", probabilities: Callable[[Any], Array], axis: int, entries: Array
) -> Array:
    """Return the Hessian of the smooth part for some entries of a flat point.

    Parameters
    ----------
    objective : ConvexObjective
        Whose.
    probabilities : callable
        Takes rows, converted; returns what the model thinks of them, with the columns on ``axis``.
    axis : {-1, 0}
        Where the columns are.
    entries : array of int, shape (n_entries,)
        Which; the entry in row ``d`` and column ``c`` of a point is ``d * n_columns + c``.

    Returns
    -------
    array of shape (n_entries, n_entries)
        Positive semidefinite up to rounding; in float64 where there is one.
    """
    linear, backend, n_columns = objective.linear, objective.backend, objective.n_columns
    xp, weighted = backend.xp, _weighted(objective, probabilities, axis)
    wide = xp.float64 if backend.capabilities.float64 else linear.dtype
    places, columns = entries // n_columns, entries % n_columns
    n_features = linear.X.shape[1]
    is_bias = places == n_features
    features = xp.where(is_bias, xp.zeros_like(places), places)
    scale = xp.take(objective.scale[:, 0], features)

    def part(chunk: tuple[Any, "Targets"]) -> tuple[Array, Array]:
        rows = linear.rows(chunk[0])
        p, mass = (xp.astype(array, wide) for array in weighted(rows, chunk[1]))
        picked = to_dense(rows[:, features]) if is_sparse(rows) else xp.take(rows, features, axis=1)
        picked = xp.where(is_bias, xp.ones_like(scale), picked / scale)
        outer = xp.astype(picked, wide) * xp.sqrt(mass)
        if n_columns == 1:
            outer = outer * xp.sqrt(p * (1.0 - p))
            return outer.T @ outer, xp.zeros_like(outer[:1, :1])
        # Narrow probabilities do not quite sum to 1, which would bend the loss where it is flat, perhaps downwards.
        own = xp.take(p / xp.sum(p, axis=1, keepdims=True), columns, axis=1)
        within, between = outer * xp.sqrt(own), outer * own
        return within.T @ within, between.T @ between

    width = max(entries.shape[0], n_columns)
    within, between = backend.sum_chunks(part, linear.chunks(width), linear.limits(width))
    objective.passes += 1.0
    # Features of one class bend together by p, and of any two classes by -p p'.
    matrix = within if n_columns == 1 else xp.where(columns[:, None] == columns, within, 0.0) - between
    matrix = matrix * objective.total_scale()
    if objective.l2_rows is None:
        return matrix
    l2 = xp.astype(xp.take(objective.l2_rows[:, 0], places), wide)
    return matrix + xp.eye(entries.shape[0], dtype=wide, device=backend.device) * l2


def _weighted(
    objective: "ConvexObjective", probabilities: Callable[[Any], Array], axis: int
) -> Callable[[Any, "Targets"], tuple[Array, Array]]:
    """Return what gives the probabilities of some rows, a row for each, and their masses, which broadcast to them."""

    def weighted(rows: Any, targets: "Targets") -> tuple[Array, Array]:
        p = probabilities(rows)
        p = p.T if axis == 0 else p
        mass = objective.loss.mass(targets)
        return p, array_namespace(p).ones_like(p[:, :1]) if mass is None else mass[:, None]

    return weighted


def _kronecker(objective: "ConvexObjective", weighted: Callable[..., tuple[Array, Array]]) -> KroneckerSurrogate:
    """Sum A and P over a sample of the rows."""
    linear, backend, (n_rows, n_columns) = objective.linear, objective.backend, objective.shape
    xp, n_samples = backend.xp, objective.linear.X.shape[0]
    sample = max(_LEAST_SAMPLE, _ROWS_FOR_EACH_FEATURE * n_rows, _SAMPLE_WORK * n_samples // n_rows)

    def part(chunk: tuple[Array, "Targets"]) -> tuple[Array, Array, Array, int]:
        rows = linear.rows(chunk[0])
        p, mass = weighted(rows, chunk[1])
        weights = p * mass
        if n_columns == 1:
            classes = xp.sum(weights * (1.0 - p), axis=0)[:, None]
        else:
            identity = xp.eye(n_columns, dtype=p.dtype, device=backend.device)
            classes = identity * xp.sum(weights, axis=0) - weights.T @ p
        weight = xp.sum(weights * (1.0 - p), axis=1, keepdims=True)
        features = objective.features(rows) * xp.sqrt(weight)
        return features.T @ features, classes, xp.sum(weight), rows.shape[0]

    chunks = linear.chunks(max(n_rows, n_columns), every=max(n_samples // sample, 1))
    features, classes, total, counted = backend.sum_chunks(part, chunks, linear.limits(max(n_rows, n_columns)))
    objective.passes += counted / n_samples
    tiny = xp.finfo(linear.dtype).smallest_normal
    features = features / (total + tiny)
    classes = classes * (objective.total_scale() * (n_samples / counted))
    rounding = 1e-10 if linear.dtype == xp.float64 else 1e-6
    largest = xp.max(xp.linalg.diagonal(features)) * xp.max(xp.linalg.diagonal(classes))
    return KroneckerSurrogate(features, classes, _ridge(objective, rounding * largest + tiny))


def _diagonal(objective: "ConvexObjective", weighted: Callable[..., tuple[Array, Array]]) -> DiagonalSurrogate:
    """Sum the squares of all rows."""
    linear, backend, scale = objective.linear, objective.backend, objective.scale[:, 0]
    xp, n_columns = backend.xp, objective.n_columns

    def part(chunk: tuple[Any, "Targets"]) -> tuple[Array, Array, int]:
        rows = linear.rows(chunk[0])
        p, mass = weighted(rows, chunk[1])
        weights = p * mass * (1.0 - p)
        squares = squared_entries(rows, scale) if is_sparse(rows) else (rows / scale) ** 2
        return squares.T @ weights, xp.sum(weights, axis=0), rows.shape[0]

    squares, corner, counted = backend.sum_chunks(part, linear.chunks(n_columns), linear.limits(n_columns))
    objective.passes += counted / linear.X.shape[0]
    entries = xp.concat((squares, corner[None, :]), axis=0) if objective.fit_intercept else squares
    entries = entries * objective.total_scale()
    rounding = 1e-10 if linear.dtype == xp.float64 else 1e-6
    return DiagonalSurrogate(
        entries + _ridge(objective, rounding * xp.max(entries) + xp.finfo(linear.dtype).smallest_normal)
    )


def _ridge(objective: "ConvexObjective", tiny: Array) -> Array:
    """Return the L2 penalty and a little more, of shape (n_rows, 1) or ()."""
    if objective.l2_rows is not None:
        return objective.l2_rows + tiny
    xp = objective.backend.xp
    return tiny * xp.ones((objective.shape[0], 1), dtype=objective.linear.dtype, device=objective.backend.device)
