# SPDX-License-Identifier: BSD-3-Clause
"""A quadratic model of a smooth function, for a solver that minimises it together with an L1 part.

The model's Hessian is that of L-BFGS, begun with a surrogate that the objective offers:

    B = scale * surrogate - U' middle U        U = [scale * surrogate S, Y]

with the rows of S the last steps and those of Y how the gradient changed along them. Where few entries matter it is the
Hessian itself.
"""

__all__ = ["FlatSurrogate", "Pair", "QuadraticModel", "Surrogate", "exact_model", "quadratic_model"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, final

from softmax_xp.backend import array_namespace, backend_of, to_host
from softmax_xp.typing import Array

# A pair is used where the working entries carry this share of its curvature, at least.
_SHARE_IN_WORKING = 0.1
# Ratios of curvature, from the newest pairs, that decide the scale.
_RATIOS = 8


class Surrogate(Protocol):
    """A positive semidefinite stand-in for the Hessian of an objective, cheap to multiply with."""

    @property
    def separable(self) -> bool:
        """Whether it is a diagonal."""
        ...

    def diagonal(self) -> Array:
        """Return the diagonal, none of it zero.

        Returns
        -------
        array
            Of a shape that broadcasts to that of a point.
        """
        ...

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
        ...


@final
@dataclass(frozen=True, slots=True, eq=False)
class FlatSurrogate:
    """The identity, for an objective that offers nothing better.

    Parameters
    ----------
    ones : array of shape (1, 1)
        A one, in the dtype and on the device of the points.
    """

    ones: Array
    separable: ClassVar[bool] = True

    def diagonal(self) -> Array:
        """Return the one.

        Returns
        -------
        array of shape (1, 1)
            For each entry.
        """
        return self.ones

    def product(self, direction: Array) -> Array:
        """Return ``direction``.

        Parameters
        ----------
        direction : array of shape (..., n_rows, n_columns)
            Any number of directions.

        Returns
        -------
        array of the shape of ``direction``
            Fresh.
        """
        return self.ones * direction


class Pair(NamedTuple):
    """One step of a solver, and how it changed the gradient."""

    step: Array  # flat
    change: Array  # flat
    product: float  # of the two, positive


@final
@dataclass(frozen=True, slots=True, eq=False)
class QuadraticModel:
    """The matrix B of the module's docstring, for all entries of a point or for the working ones.

    Parameters
    ----------
    base : callable
        Multiplies with what B begins with.
    diagonal : array of shape (n_working,)
        Of ``base``; positive.
    matrix : array of shape (n_working, n_working) or None
        Of ``base``, where it is explicit.
    ridge : float
        What share of the diagonal to add to ``matrix`` before equations are solved with it.
    factors : array of shape (2 * n_pairs, n_working) or None
        U; None without pairs.
    middle : array of shape (2 * n_pairs, 2 * n_pairs) or None
        Between U' and U.
    """

    base: Callable[[Array], Array]
    diagonal: Array
    matrix: Array | None = None
    ridge: float = 0.0
    factors: Array | None = None
    middle: Array | None = None

    def product(self, direction: Array) -> Array:
        """Return ``B @ direction``.

        Parameters
        ----------
        direction : array of shape (n_working,)
            Any.

        Returns
        -------
        array of shape (n_working,)
            Fresh.
        """
        bent = self.base(direction)
        if self.factors is None or self.middle is None:
            return bent
        return bent - (self.middle @ (self.factors @ direction)) @ self.factors


def exact_model(matrix: Array, *, rounding: float) -> QuadraticModel:
    """Build the model that is the Hessian itself.

    Parameters
    ----------
    matrix : array of shape (n_working, n_working)
        Symmetric, and positive semidefinite up to rounding.
    rounding : float
        Of the gradients with which the model is to be used, relative. Along directions that bend nothing, such as a
        common change of the biases of all classes, gradients are rounding; this keeps steps along these small.

    Returns
    -------
    QuadraticModel
        Without pairs.
    """
    xp = array_namespace(matrix)
    diagonal = xp.linalg.diagonal(matrix)
    # What is nearly zero is lifted a little, since steps are measured by the diagonal.
    diagonal = diagonal + 1e-10 * xp.max(diagonal) + xp.finfo(diagonal.dtype).smallest_normal
    return QuadraticModel(lambda direction: direction @ matrix, diagonal, matrix, max(16.0 * rounding, 1e-12))


def quadratic_model(
    surrogate: Surrogate, pairs: tuple[Pair, ...], shape: tuple[int, int], working: Array | None
) -> QuadraticModel:
    """Build the model that agrees with the newest pair, and nearly with the others.

    Parameters
    ----------
    surrogate : Surrogate
        To begin with.
    pairs : tuple of Pair
        Oldest first.
    shape : tuple of int
        Of a point.
    working : array of int, shape (n_working,), or None
        Which entries of a flat point the model is about; None means all. A surrogate that is no diagonal needs all.

    Returns
    -------
    QuadraticModel
        Positive definite, up to rounding.

    References
    ----------
    .. [1] R. H. Byrd, J. Nocedal, R. B. Schnabel, "Representations of quasi-Newton matrices and their use in limited
       memory methods", 1994.
    """
    whole = surrogate.diagonal()
    xp = array_namespace(whole)

    def restricted(array: Array) -> Array:
        return array if working is None else xp.take(array, working)

    diagonal = restricted(xp.reshape(xp.broadcast_to(whole, shape), (-1,)))

    def base(directions: Array) -> Array:
        if surrogate.separable:
            return diagonal * directions
        bent = surrogate.product(xp.reshape(directions, (*directions.shape[:-1], *shape)))
        return xp.reshape(bent, directions.shape)

    if not pairs:
        return QuadraticModel(base, diagonal)
    steps = xp.stack([restricted(pair.step) for pair in pairs])
    changes = xp.stack([restricted(pair.change) for pair in pairs])
    bent = base(steps)
    products, sizes = steps @ changes.T, steps @ bent.T
    heights = xp.sum(changes * changes / diagonal, axis=1)
    read = xp.stack((xp.linalg.diagonal(products), xp.linalg.diagonal(sizes), heights))
    used, along, scale = _used_pairs(pairs, to_host(read), separable=surrogate.separable)
    if not used:
        return QuadraticModel(base, diagonal)
    device = backend_of(steps).device
    roots = xp.asarray([number**-0.5 for number in along], dtype=steps.dtype, device=device)
    which = xp.asarray(used, device=device)

    def chosen(rows: Array) -> Array:
        return xp.take(rows, which, axis=0) * roots[:, None]

    middle = _middle(chosen(chosen(products).T).T, scale * chosen(chosen(sizes).T).T)
    factors = xp.concat((scale * chosen(bent), chosen(changes)), axis=0)
    return QuadraticModel(lambda direction: scale * base(direction), scale * diagonal, factors=factors, middle=middle)


def _used_pairs(pairs: tuple[Pair, ...], read: Any, *, separable: bool) -> tuple[list[int], list[float], float]:
    """Return which pairs to use, the products of these, and the scale of the surrogate.

    ``read`` holds ``s . y``, ``s . B0 s`` and ``y . y / diagonal`` of each pair, from the working entries.
    """
    along, before, beyond = read.tolist()  # host: it is a NumPy array
    used = [
        number
        for number, pair in enumerate(pairs)
        if along[number] > _SHARE_IN_WORKING * pair.product and before[number] > 0.0
    ]
    if not used:
        return [], [], 1.0
    products = [along[number] for number in used]
    if separable:
        # The larger of the two ratios that a pair offers: a diagonal does not see how its entries add up.
        return used, products, beyond[used[-1]] / products[-1]
    ratios = [along[number] / before[number] for number in used[-_RATIOS:]]
    # The newest by itself is often too small, and the model too bold; the mean forgets what has just been seen.
    return used, products, max(sum(ratios) / len(ratios), ratios[-1])


def _middle(products: Array, sizes: Array) -> Array:
    """Return the middle matrix for pairs whose products ``s . y`` are 1, from ``S Y'`` and ``S B0 S'``."""
    backend = backend_of(products)
    xp, dtype = backend.xp, products.dtype
    if backend.capabilities.float64:  # pairs nearly depend on one another
        products, sizes = xp.astype(products, xp.float64), xp.astype(sizes, xp.float64)
    lower = xp.tril(products, k=-1)
    identity = xp.eye(products.shape[0], dtype=products.dtype, device=backend.device)
    upper = xp.concat((sizes, lower), axis=1)
    whole = xp.concat((upper, xp.concat((lower.T, -identity), axis=1)), axis=0)
    return xp.astype(xp.linalg.inv(whole), dtype)
