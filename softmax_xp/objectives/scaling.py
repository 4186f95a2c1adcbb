# SPDX-License-Identifier: BSD-3-Clause
"""The size of each feature, as a power of two."""

__all__ = ["feature_scale"]

from math import floor, log2, sqrt

from softmax_xp.backend import backend_of
from softmax_xp.data.sparse import is_sparse, largest_entries
from softmax_xp.losses.contract import Targets
from softmax_xp.objectives.linear import LinearObjective
from softmax_xp.typing import Array


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
    for part in backend.map_chunks(largest, linear.chunks(1)):
        size = part if size is None else xp.maximum(size, part)
    size = xp.maximum(size, xp.full_like(size, sqrt(l2)))
    size = xp.where(size > 0, size, xp.ones_like(size))
    # The largest power of two is below the largest number, which would be rounded to infinity.
    exponents = xp.minimum(xp.round(xp.log2(size)), xp.full_like(size, floor(log2(xp.finfo(size.dtype).max))))
    return (2.0**exponents)[:, None]
