# SPDX-License-Identifier: BSD-3-Clause
"""How good a model is on labelled samples: the one place where the command line measures it."""

__all__ = ["Evaluation", "evaluate_model", "logit_chunks", "most_confused"]

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import scalar
from softmax_xp.data import encode_labels
from softmax_xp.data.rows import row_slice
from softmax_xp.data.sparse import to_dense
from softmax_xp.data.streamed import is_streamed
from softmax_xp.metrics import accuracy, log_loss
from softmax_xp.model import SoftmaxModel
from softmax_xp.ops.linear import row_slices
from softmax_xp.typing import Array

# Logits that are held at once.
_CHUNK_LOGITS = 1 << 22
# Numbers of samples from storage that are held at once.
_CHUNK_NUMBERS = 1 << 22


class Evaluation(NamedTuple):
    """What a model makes of labelled samples."""

    loss: float  # in nats
    accuracy: float
    labels: NDArray[np.int64]  # (n_samples,) true class numbers
    predicted: NDArray[np.int64]  # (n_samples,)

    def summary(self) -> dict[str, Any]:
        """Return the numbers of a report."""
        return {"samples": len(self.labels), "loss": self.loss, "accuracy": self.accuracy}


def logit_chunks(model: SoftmaxModel, X: Array) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield runs of rows with their logits, so that neither many samples nor many classes fill the memory."""
    rows = max(1, _CHUNK_LOGITS // len(model.classes))
    if is_streamed(X):
        rows = max(1, min(rows, _CHUNK_NUMBERS // X.shape[1]))
    for some in row_slices(X.shape[0], rows):
        yield some, model.decision_function(to_dense(row_slice(X, some)) if is_streamed(X) else X[some])


def evaluate_model(model: SoftmaxModel, X: Array, y: Array) -> Evaluation:
    """Measure mean log loss and accuracy over samples on the host; a label that the model does not know is an error."""
    labels, _ = encode_labels(y, classes=model.classes)
    predicted = np.empty_like(labels)
    loss = hits = 0.0
    for some, logits in logit_chunks(model, X):
        predicted[some] = logits.argmax(axis=-1)
        n_samples = logits.shape[0]
        loss += scalar(log_loss(labels[some], logits)) * n_samples
        hits += scalar(accuracy(labels[some], logits)) * n_samples
    return Evaluation(loss / len(labels), hits / len(labels), labels, predicted)


def most_confused(evaluation: Evaluation, n_classes: int, limit: int) -> list[tuple[int, int, int]]:
    """Return (true class, predicted class, samples) of the most frequent mistakes, without a matrix of all classes."""
    wrong = evaluation.labels != evaluation.predicted
    cells, counts = np.unique(evaluation.labels[wrong] * n_classes + evaluation.predicted[wrong], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:limit]
    return [
        (cell // n_classes, cell % n_classes, count)
        for cell, count in zip(cells[order].tolist(), counts[order].tolist(), strict=True)
    ]
