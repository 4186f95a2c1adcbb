# SPDX-License-Identifier: BSD-3-Clause
"""What the losses are tried on: each in its table and in its options, with logits and targets that fit it."""

__all__ = ["VARIANTS", "Problem", "problem_of"]

from typing import NamedTuple

import numpy as np

from softmax_xp.losses import LOSSES, CrossEntropy, CurvedLoss, Logistic, Loss
from tests.losses.torch_reference import IGNORED, LABELS, LOGITS, N_CLASSES, SOFT

VARIANTS = LOSSES | {
    "cross_entropy, smoothed": CrossEntropy(label_smoothing=0.1),
    "cross_entropy, class weights": CrossEntropy(class_weight=(0.3, 1.0, 2.0, 0.0, 1.5)),
    "cross_entropy, temperature": CrossEntropy(temperature=2.5),
    "cross_entropy, ignoring": CrossEntropy(ignore_index=IGNORED),
    "cross_entropy, all options": CrossEntropy(0.2, (0.3, 1.0, 2.0, 0.0, 1.5), IGNORED, 0.5),
    "logistic, class weights": Logistic(class_weight=(0.3, 2.0)),
    "logistic, temperature": Logistic(temperature=2.5),
    "logistic, all options": Logistic((0.3, 2.0), IGNORED, 0.5),
}


class Problem(NamedTuple):
    """Logits of some width, and the targets of as many classes as it tells apart."""

    n_classes: int
    logits: np.ndarray
    targets: dict[str, np.ndarray]


_MANY_CLASSES = Problem(N_CLASSES, LOGITS, {"labels": LABELS, "soft targets": SOFT})
_PAIRS = np.stack([SOFT[:, :2].sum(axis=1), SOFT[:, 2:].sum(axis=1)], axis=1)
_TWO_CLASSES = Problem(2, LOGITS[:, :1], {"labels": LABELS % 2, "soft targets": _PAIRS})


def problem_of(loss: Loss) -> Problem:
    """Give a loss of one column its two classes, and others five."""
    return _TWO_CLASSES if isinstance(loss, CurvedLoss) and loss.n_columns(2) == 1 else _MANY_CLASSES
