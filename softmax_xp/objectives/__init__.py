# SPDX-License-Identifier: BSD-3-Clause
"""Objectives: loss, penalty and linear model over a data source."""

__all__ = ["ConvexObjective", "LinearObjective"]

from softmax_xp.objectives.convex import ConvexObjective
from softmax_xp.objectives.linear import LinearObjective
