# SPDX-License-Identifier: BSD-3-Clause
"""Three heads over two folds, and each head alone."""

__all__ = ["HEADS", "RNG", "linear", "single", "stacked"]

import numpy as np

from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import ConvexObjective, LinearObjective
from softmax_xp.objectives.stacked import StackedObjective
from softmax_xp.objectives.stacked_data import FoldPlan, Segment
from softmax_xp.objectives.stacked_heads import Head
from softmax_xp.typing import LinearParams

RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((30, 4)) * [1.0, 8.0, 0.1, 1.0], np.arange(30) % 3
LOSS = CrossEntropy()
ROWS = (slice(0, 12), slice(12, 30))
HEADS = (Head(0, 0.1), Head(1, 0.1), Head(1, 2.0))


def linear(rows=slice(None)):
    return LinearObjective(X[rows], LOSS.prepare(Y[rows], 3, dtype=X.dtype), LOSS, None, X.dtype)


def stacked():
    return StackedObjective(linear(), 3, FoldPlan(2, (Segment(0, 12, (0,)), Segment(12, 30, (1,)))))


def single(head, points, number, objective):
    """One head's own objective, and its point."""
    own = ConvexObjective(linear(ROWS[head.fold]), 3, l2=head.l2)
    scale = np.asarray(objective.data.scale).reshape(1, -1)
    return own, own.point(LinearParams((points[:, number, :4] / scale).T, points[:, number, 4]))
