# SPDX-License-Identifier: BSD-3-Clause
"""Losses: one file each, and the table that tests and the command line iterate."""

__all__ = ["LOSSES", "CrossEntropy", "CurvedLoss", "Logistic", "Loss", "Targets", "mean_value_and_gradient"]

from softmax_xp.losses.contract import CurvedLoss, Loss, Targets, mean_value_and_gradient
from softmax_xp.losses.cross_entropy import CrossEntropy
from softmax_xp.losses.logistic import Logistic

LOSSES: dict[str, Loss] = {"cross_entropy": CrossEntropy(), "logistic": Logistic()}
