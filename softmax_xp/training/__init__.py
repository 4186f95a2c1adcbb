# SPDX-License-Identifier: BSD-3-Clause
"""The minibatch trainer, its callbacks and its history."""

__all__ = ["BestWeights", "Callback", "Checkpoint", "EarlyStopping", "EpochEnd", "History", "Trainer"]

from softmax_xp.training.callbacks import BestWeights, Callback, EarlyStopping, EpochEnd
from softmax_xp.training.checkpoint import Checkpoint
from softmax_xp.training.history import History
from softmax_xp.training.trainer import Trainer
