# SPDX-License-Identifier: BSD-3-Clause
"""Invert a softmax model's Hessian, and tell which coefficients the data determine at all.

Two things can make the Hessian singular. *Collinear features*: some combination of them is zero in every sample, so
that its coefficient changes nothing. That shows in ``gram = sum_i w_i x_i x_i'``, which knows nothing of the
coefficients. *Separated classes*: a combination tells classes apart without a mistake, so that the likelihood grows
forever along it (A. Albert and J. A. Anderson, "On the existence of maximum likelihood estimates in logistic regression
models", 1984). What can still be estimated then is the limit in which the separated samples' small probabilities are
zero (C. J. Geyer, "Likelihood inference in exponential families and directions of recession", 2009): the combinations
on which the Hessian of that limit is not singular.
"""

__all__ = ["LIMIT_FLOOR", "Inverse", "invert_information"]

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.estimators.information import Coordinates, Floats, Information, mirror_lower

# Probabilities below this, of classes that a sample is not in, are zero in the limit of separated classes. It may be
# as large as this because no direction is given up unless the fit also wants to move on along it.
LIMIT_FLOOR = 1e-2
# Where the loss is exp(-margin), Newton's step is a margin of 1 from anywhere, however well the fit seems converged.
# This is a tenth of its square; a converged fit moves no logit by as much.
_ENDLESS_MOVE = 0.1
# Of a combination of scaled features, its mean square against theirs: below this it is rounding (of float32 data too).
_COLLINEAR = 1e-13
# Beyond this condition number of the scaled Hessian its eigenvalues decide.
_DOUBTFUL = 1e12
# A coefficient is undetermined when more than this share of its direction, squared, lies where nothing is determined.
_SHARE = 1e-12


class Inverse(NamedTuple):
    """The inverse Hessian in scaled coordinates, as far as there is one."""

    matrix: Floats  # over (contrast, term); a generalised inverse where the Hessian is singular
    step: Floats  # (n_contrasts, n_terms): what Newton's method would add
    is_collinear: NDArray[np.bool_]  # (n_contrasts, n_terms), of the features as they are
    is_separated: NDArray[np.bool_]  # likewise

    @property
    def is_identified(self) -> NDArray[np.bool_]:
        """Tell which coefficients have a standard error."""
        return np.logical_not(self.is_collinear | self.is_separated)


def invert_information(
    information: Information, coordinates: Coordinates, limit: Callable[[], Information] | None
) -> Inverse:
    """Invert the Hessian, by Cholesky where nothing is in doubt, else by eigenvalues.

    Parameters
    ----------
    information : Information
        At the fitted coefficients.
    coordinates : Coordinates
        In which it was summed.
    limit : callable or None
        Returns the same with ``floor=LIMIT_FLOOR``; asked only in doubt. None for a model with a penalty, which has
        an optimum whether classes are separated or not.

    Returns
    -------
    Inverse
        On what the data determine.
    """
    shape = information.gradient.shape
    nothing, everything = np.zeros(shape, dtype=np.bool_), np.ones(shape, dtype=np.bool_)
    if information.is_separated and limit is not None:
        # No need to look further: moving on along the coefficients themselves lowers every loss, without end.
        return Inverse(np.full_like(information.hessian, np.nan), np.full(shape, np.nan), nothing, everything)
    matrix = _invert_by_cholesky(information.hessian)
    if matrix is not None:
        step = -(matrix @ information.gradient.ravel()).reshape(shape)
        moves = float(np.sum((step @ information.gram) * step)) / _mean_weight(information)
        if limit is None or moves < _ENDLESS_MOVE:
            return Inverse(matrix, step, nothing, nothing)
    return _invert_by_eigenvalues(information, coordinates, limit)


def _mean_weight(information: Information) -> float:
    return float(information.class_weight.sum()) / information.n_samples


def _invert_by_cholesky(hessian: Floats) -> Floats | None:
    """Return the inverse, or None where the matrix is not well conditioned once its diagonal is scaled to 1."""
    from scipy.linalg.lapack import dpotrf, dpotri

    diagonal = np.diag(hessian)
    if not np.all(diagonal > 0.0):
        return None
    root = np.sqrt(diagonal)
    scaled = hessian / root
    scaled /= root[:, None]
    norm = np.abs(scaled).sum(axis=0).max()
    factor, failure = dpotrf(scaled, lower=True, clean=False, overwrite_a=True)
    if failure:
        return None
    inverse: Floats = dpotri(factor, lower=True, overwrite_c=True)[0]
    mirror_lower(inverse)
    if not norm * np.abs(inverse).sum(axis=0).max() < _DOUBTFUL:
        return None
    inverse /= root
    inverse /= root[:, None]
    return inverse


def _invert_by_eigenvalues(
    information: Information, coordinates: Coordinates, limit: Callable[[], Information] | None
) -> Inverse:
    """Invert on the space that the data determine.

    With ``basis' gram basis = I`` on the range of the gram matrix, the eigenvalues of
    ``(I (x) basis)' hessian (I (x) basis)`` are mean curvatures over the samples, in nats per squared logit: at most
    about 1, and 0 where every probability is 0 or 1.
    """
    shape = n_contrasts, n_terms = information.gradient.shape
    unit = np.sqrt(np.diag(information.gram))
    unit[unit == 0.0] = 1.0
    spread, rotation = np.linalg.eigh(information.gram / unit / unit[:, None])
    is_seen = spread > _COLLINEAR * max(spread[-1], 1.0)
    basis = rotation[:, is_seen] / np.sqrt(spread[is_seen]) / unit[:, None]
    # Row t: the coefficient of term t of the features as they are, as a function of the scaled ones.
    functions = coordinates.restore(np.eye(n_terms), axis=0)
    hidden = functions / unit
    is_collinear = np.broadcast_to(_share(hidden @ rotation[:, ~is_seen], hidden) > _SHARE, shape)

    inner = _in_basis(information.hessian, basis)
    gradient = (information.gradient @ basis).ravel()
    lost = np.zeros((inner.shape[0], 0))
    kept = np.eye(inner.shape[0])
    if limit is not None:
        limiting, directions = np.linalg.eigh(_in_basis(limit().hessian, basis))
        is_lost = _is_empty(limiting)
        if _is_endless(inner, gradient, directions[:, is_lost], _mean_weight(information)):
            lost, kept = directions[:, is_lost], directions[:, ~is_lost]
    curvature, directions = np.linalg.eigh(kept.T @ inner @ kept)
    is_empty = _is_empty(curvature)
    lost = np.hstack([lost, kept @ directions[:, is_empty]])
    directions, curvature = kept @ directions[:, ~is_empty], curvature[~is_empty]
    seen = functions @ basis
    blocks = (n_contrasts, basis.shape[1])
    is_separated = _share(seen @ lost.reshape(*blocks, lost.shape[1]), seen) > _SHARE
    outer = basis @ directions.reshape(*blocks, directions.shape[1])
    outer = outer.reshape(n_contrasts * n_terms, directions.shape[1])
    step = -(outer @ (directions.T @ gradient / curvature)).reshape(shape)
    return Inverse((outer / curvature) @ outer.T, step, is_collinear, is_separated & ~is_collinear)


def _in_basis(hessian: Floats, basis: Floats) -> Floats:
    """Return ``(I (x) basis)' hessian (I (x) basis)``."""
    n_terms, n_directions = basis.shape
    n_contrasts = hessian.shape[0] // n_terms
    size = n_contrasts * n_directions
    right = hessian.reshape(-1, n_contrasts, n_terms) @ basis
    return (basis.T @ right.reshape(n_contrasts, n_terms, size)).reshape(size, size)


def _is_empty(curvature: Floats) -> NDArray[np.bool_]:
    """Mark the mean curvatures that are rounding."""
    empty: NDArray[np.bool_] = curvature <= 1e-15 * max(curvature.shape[0], 100)
    return empty


def _is_endless(hessian: Floats, gradient: Floats, directions: Floats, mean_weight: float) -> bool:
    """Tell whether Newton's method on these directions would still move logits, or has no curvature to go by."""
    curvature, rotation = np.linalg.eigh(directions.T @ hessian @ directions)
    if _is_empty(curvature).any():
        return True
    moves = rotation.T @ (directions.T @ gradient) / curvature
    return float(np.sum(moves**2)) / mean_weight > _ENDLESS_MOVE


def _share(part: Floats, whole: Floats) -> Floats:
    """Return the squared length of each row of ``part``, as a share of that of the row of ``whole``."""
    length = np.sum(whole**2, axis=-1)
    shares: Floats = np.sum(part**2, axis=-1) / np.where(length > 0.0, length, 1.0)
    return shares
