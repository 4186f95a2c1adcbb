# SPDX-License-Identifier: BSD-3-Clause
"""The size of each feature, as a power of two; and whether it lies far from zero."""

__all__ = ["feature_scale", "survey_of_rows"]

from math import floor, log2, sqrt
from typing import TYPE_CHECKING

from softmax_xp.backend import backend_of, scalar
from softmax_xp.data.rows import take_rows
from softmax_xp.data.sparse import is_sparse, largest_entries
from softmax_xp.losses.contract import Targets
from softmax_xp.objectives.linear import LinearObjective
from softmax_xp.typing import Array

if TYPE_CHECKING:
    from softmax_xp.objectives.convex import ConvexObjective

# A feature is far from zero where the square of its mean is so many times its variance; about so many rows tell.
_FAR, _SURVEYED = 1000.0, 512


def feature_scale(linear: LinearObjective, l2: float) -> Array:
    """Return what to divide each feature by, so that its curvature is about 1 or less.

    A feature's curvature is made of its own square and of the penalty ``l2``; the larger of the two decides.

    Parameters
    ----------
    linear : LinearObjective
        The data.
    l2 : float
        Strength of the penalty.

    Returns
    -------
    array of shape (n_features, 1)
        Powers of two, in the dtype of the computation; 1 for a feature that is zero throughout and not penalised.
    """
    backend = backend_of(linear.targets.labels)
    xp = backend.xp

    def largest(chunk: tuple[Array, Targets]) -> Array:
        rows = linear.rows(chunk[0])
        if is_sparse(rows):
            return largest_entries(rows)
        # Two reductions write two rows; abs would write a copy of the chunk.
        return xp.maximum(xp.max(rows, axis=0), -xp.min(rows, axis=0))

    size = None
    for part in backend.map_chunks(largest, linear.chunks(1), linear.limits(1)):
        size = part if size is None else xp.maximum(size, part)
    size = xp.maximum(size, xp.full_like(size, sqrt(l2)))
    size = xp.where(size > 0, size, xp.ones_like(size))
    # The largest power of two is below the largest number, which would be rounded to infinity.
    exponents = xp.minimum(xp.round(xp.log2(size)), xp.full_like(size, floor(log2(xp.finfo(size.dtype).max))))
    return (2.0**exponents)[:, None]


def survey_of_rows(objective: "ConvexObjective") -> tuple[Array | None, Array]:
    """Look at a sample of the rows: which features are to be centred, and how far they spread.

    Only those whose mean is far above their spread need it. For the others zero is a good centre too, even a better one
    where one inverse serves all classes: it knows in which classes a feature is large.

    Parameters
    ----------
    objective : ConvexObjective
        Whose data.

    Returns
    -------
    mean : array of shape (n_features, 1) or None
        Of the scaled features that are far from zero; 0 for the others; None where none is, or there is no bias.
    spread : array of shape (n_rows,)
        The mean square of the features less that.
    """
    backend, linear = objective.backend, objective.linear
    xp, (n_samples, n_features) = backend.xp, linear.X.shape
    some = xp.arange(0, n_samples, max(n_samples // _SURVEYED, 1), device=backend.device)
    features = objective.features(linear.rows(take_rows(linear.X, some)))
    mean = xp.mean(features, axis=0)
    features -= mean
    variance = xp.mean(features * features, axis=0)
    if not objective.fit_intercept:
        return None, variance + mean * mean
    far = mean * mean > _FAR * variance
    spread = xp.where(far, variance, variance + mean * mean)
    if not scalar(xp.any(far[:n_features])):  # host: once for each objective
        return None, spread
    return xp.where(far, mean, xp.zeros_like(mean))[:n_features, None], spread
