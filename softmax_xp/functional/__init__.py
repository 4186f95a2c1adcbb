# SPDX-License-Identifier: BSD-3-Clause
"""The textbook's functions: the softmax loss, five update rules, training and prediction.

They take and return plain arrays of any library. Unlike the listings that they are named after, they never write to
an argument, survive any score, keep an optimizer's state between batches, merge a partial ``config`` with the
defaults, and count classes by the largest label.
"""

__all__ = [
    "adagrad",
    "adam",
    "momentum_sgd",
    "predict_softmax_loss",
    "rmsprop",
    "sgd",
    "softmax_loss",
    "train_softmax_loss",
]

from softmax_xp.functional.softmax_loss import predict_softmax_loss, softmax_loss
from softmax_xp.functional.train import train_softmax_loss
from softmax_xp.functional.update_rules import adagrad, adam, momentum_sgd, rmsprop, sgd
