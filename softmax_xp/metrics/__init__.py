# SPDX-License-Identifier: BSD-3-Clause
"""Metrics: one file each, and the table of those that are one number.

A metric in :data:`METRICS` takes ``(labels, logits, *, sample_weight=None)`` and returns an array of shape () on the
device of ``logits``. Logits may be log-probabilities just as well: a log-softmax leaves those as they are.
"""

__all__ = ["METRICS", "accuracy", "confusion_matrix", "log_loss"]

from collections.abc import Callable
from typing import Any

from softmax_xp.metrics.accuracy import accuracy
from softmax_xp.metrics.confusion_matrix import confusion_matrix
from softmax_xp.metrics.log_loss import log_loss

METRICS: dict[str, Callable[..., Any]] = {"accuracy": accuracy, "log_loss": log_loss}
