# SPDX-License-Identifier: BSD-3-Clause
"""Cheap positive definite stand-ins for the Hessian: what they are, and how they are applied.

The Hessian of a sample in its logits is ``mass * (diag(p) - p p')``. Two things make it cheap to imitate.

*Its blocks.* On the diagonal stands, for each class, ``M_c = X' diag(w_c) X / total + diag(l2)`` with ``w_ic = mass_i *
p_ic * (1 - p_ic)``, over the scaled features and the constant one. Without classes, ``M = X' diag(w) X / total +
diag(l2)`` with ``w_i = sum_c w_ic / (n_columns - 1)``, the mean non-zero eigenvalue; with one column it is the Hessian.

*Its null space.* Adding one vector to the weights of all classes changes no probability, so the gradient of the loss
sums to zero over the classes, and so does each step that is worth making. The blocks by themselves do not know that:
their inverses send such a gradient out of that space, along directions in which the loss is flat. So the gradient is
centred over the classes before, and the step after it. On the data sets of the benchmarks this one line divides the
passes of L-BFGS by 1.5 to 4 (see docs/solvers.md). The common part of a gradient comes from the penalty alone,
whose curvature is ``l2``.

*The bias.* Where a feature's mean is far above its spread, M is nearly of rank one, and an inverse of it nothing but
rounding. A model of the features less their means is the same model with other biases. So such features are centred
before M is made, and gradients and steps go there and back: see :class:`ShiftedMetric`.

Forms: one inverse for each class (:class:`ClassMetric`); one inverse for all, its diagonal corrected for each class; a
low-rank inverse for thousands of features, corrected alike; the diagonal of each class for sparse data of many
features. An objective with an L1 part, which does see the common direction, gets the shared form without that centring.
"""

__all__ = ["CentredMetric", "ClassMetric", "DenseMetric", "DiagonalMetric", "LowRankMetric", "ShiftedMetric"]

from dataclasses import dataclass
from typing import final

from softmax_xp.backend import array_namespace
from softmax_xp.solvers.contract import Metric
from softmax_xp.typing import Array


@final
@dataclass(frozen=True, slots=True, eq=False)
class DenseMetric:
    """M itself, inverted.

    Parameters
    ----------
    inverse : array of shape (n_rows, n_rows)
        Of M; in float64 where there is one.
    """

    inverse: Array

    @property
    def is_calibrated(self) -> bool:
        """Whether its size is right too."""
        return False

    def solve(self, gradient: Array) -> Array:
        """Return ``inverse @ gradient``.

        Parameters
        ----------
        gradient : array of shape (n_rows, n_columns)
            Any.

        Returns
        -------
        array of the shape of ``gradient``
            Fresh.
        """
        xp = array_namespace(gradient)
        return xp.astype(self.inverse @ xp.astype(gradient, self.inverse.dtype), gradient.dtype)


@final
@dataclass(frozen=True, slots=True, eq=False)
class DiagonalMetric:
    """The diagonal of M, or of each M_c.

    Parameters
    ----------
    inverse : array of shape (n_rows, 1) or (n_rows, n_columns)
        One over it, or over that of each class.
    """

    inverse: Array

    @property
    def is_calibrated(self) -> bool:
        """Whether its size is right too."""
        return False

    def solve(self, gradient: Array) -> Array:
        """Return ``inverse * gradient``.

        Parameters
        ----------
        gradient : array of shape (n_rows, n_columns)
            Any.

        Returns
        -------
        array of the shape of ``gradient``
            Fresh.
        """
        return self.inverse * gradient


@final
@dataclass(frozen=True, slots=True, eq=False)
class LowRankMetric:
    """A few eigenvectors of M scaled to a unit diagonal, and a multiple of the identity for the rest.

    Parameters
    ----------
    roots : array of shape (n_rows, 1)
        One over the square root of M's diagonal.
    vectors : array of shape (n_rows, rank)
        Orthonormal.
    gains : array of shape (rank, 1)
        What the inverse does along each vector beyond what it does to the rest, less 1.

    References
    ----------
    .. [1] Z. Frangella, J. A. Tropp, M. Udell, "Randomized Nystrom preconditioning", 2021.
    """

    roots: Array
    vectors: Array
    gains: Array

    @property
    def is_calibrated(self) -> bool:
        """Whether its size is right too."""
        return False

    def solve(self, gradient: Array) -> Array:
        """Return the approximate inverse of M times ``gradient``.

        Parameters
        ----------
        gradient : array of shape (n_rows, n_columns)
            Any.

        Returns
        -------
        array of the shape of ``gradient``
            Fresh.
        """
        scaled = self.roots * gradient
        scaled = scaled + self.vectors @ (self.gains * (self.vectors.T @ scaled))
        return self.roots * scaled


@final
@dataclass(frozen=True, slots=True, eq=False)
class ClassMetric:
    """Each M_c, inverted.

    Parameters
    ----------
    inverses : tuple of arrays of shape (some, n_rows, n_rows)
        Of each M_c, in float32: as few arrays as can be without another copy of them all.
    """

    inverses: tuple[Array, ...]

    @property
    def is_calibrated(self) -> bool:
        """Whether its size is right too."""
        return True

    def solve(self, gradient: Array) -> Array:
        """Return ``inverse[c] @ gradient[:, c]`` in column ``c``.

        Parameters
        ----------
        gradient : array of shape (n_rows, n_columns)
            Any.

        Returns
        -------
        array of the shape of ``gradient``
            Fresh.
        """
        xp, parts, first = array_namespace(gradient), list[Array](), 0
        columns = xp.astype(gradient, self.inverses[0].dtype, copy=False).T[:, :, None]
        for inverse in self.inverses:
            parts.append(xp.matmul(inverse, columns[first : first + inverse.shape[0], :, :]))
            first += inverse.shape[0]
        solved = (xp.concat(parts) if len(parts) > 1 else parts[0])[:, :, 0].T
        return xp.astype(solved, gradient.dtype, copy=False)


@final
@dataclass(frozen=True, slots=True, eq=False)
class CentredMetric:
    """Another metric, on the gradients that sum to zero over the classes; and the penalty's curvature on the rest.

    Parameters
    ----------
    inner : Metric
        For the centred part.
    roots : array of shape (n_rows, n_columns) or None
        What to multiply by before and after ``inner``: corrects a shared diagonal for each class.
    gain : array of shape (n_rows, 1) or None
        One over the penalty's curvature, for the common part; 0 where there is no penalty.
    """

    inner: Metric
    roots: Array | None
    gain: Array | None

    @property
    def is_calibrated(self) -> bool:
        """Whether its size is right too."""
        return self.inner.is_calibrated

    def solve(self, gradient: Array) -> Array:
        """Return the inverse metric times ``gradient``.

        Parameters
        ----------
        gradient : array of shape (n_rows, n_columns)
            Any.

        Returns
        -------
        array of the shape of ``gradient``
            Fresh.
        """
        xp = array_namespace(gradient)
        common = xp.mean(gradient, axis=1, keepdims=True)
        centred = gradient - common
        if self.roots is None:
            solved = self.inner.solve(centred)
        else:
            solved = self.roots * self.inner.solve(self.roots * centred)
        solved = solved - xp.mean(solved, axis=1, keepdims=True)
        return solved if self.gain is None else solved + self.gain * common


@final
@dataclass(frozen=True, slots=True, eq=False)
class ShiftedMetric:
    """Another metric, of the features less their means.

    With ``x W + b = (x - mean) W + (b + mean W)`` the loss is a function of ``W`` and ``b + mean W``, whose gradient by
    ``W`` is that of the loss less ``mean`` times that by ``b``. A step of these coordinates moves ``b`` by ``-mean W``
    besides.

    Parameters
    ----------
    inner : Metric
        For models of the centred features.
    mean : array of shape (n_features, 1)
        Of the scaled features, or anything near it; zero for those that are not centred.
    """

    inner: Metric
    mean: Array

    @property
    def is_calibrated(self) -> bool:
        """Whether its size is right too."""
        return self.inner.is_calibrated

    def solve(self, gradient: Array) -> Array:
        """Return the inverse metric times ``gradient``.

        Parameters
        ----------
        gradient : array of shape (n_rows, n_columns)
            Any.

        Returns
        -------
        array of the shape of ``gradient``
            Fresh.
        """
        xp = array_namespace(gradient)
        bias = gradient[-1:, :]
        solved = self.inner.solve(xp.concat((gradient[:-1, :] - self.mean * bias, bias), axis=0))
        weight = solved[:-1, :]
        return xp.concat((weight, solved[-1:, :] - self.mean.T @ weight), axis=0)
