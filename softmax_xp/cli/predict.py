# SPDX-License-Identifier: BSD-3-Clause
"""``softmax-xp predict``."""

__all__ = ["predict"]

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import numpy as np
import typer
from numpy.typing import NDArray

from softmax_xp.cli.evaluation import logit_chunks
from softmax_xp.cli.options import Data, DataDir, Device, ModelFile
from softmax_xp.cli.samples import load_for_model, load_model
from softmax_xp.model import SoftmaxModel
from softmax_xp.ops.softmax import softmax
from softmax_xp.typing import Array


def predict(
    model: ModelFile,
    data: Data,
    *,
    data_dir: DataDir = None,
    device: Device = "auto",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A .csv or .npz file; stdout by default.")
    ] = None,
) -> None:
    """Write labels and probabilities.

    CSV has a header row; its columns are the label and one probability for each class. A file that ends in .npz holds
    the arrays labels, probabilities and classes. Columns of a table are matched by the names that the model was
    trained with; the target may be missing. Of fashion-mnist the test split is used.
    """
    loaded = load_model(model, device)
    dataset = load_for_model(loaded, data, data_dir=data_dir, require_labels=False)
    if output is None:
        _write_csv(sys.stdout, loaded, dataset.X)
    elif output.suffix.lower() == ".npz":
        labels, probabilities = map(np.concatenate, zip(*_predictions(loaded, dataset.X), strict=True))
        np.savez(output, labels=_plain(labels), probabilities=probabilities, classes=_plain(loaded.classes))
    else:
        with output.open("w", encoding="utf-8", newline="") as file:
            _write_csv(file, loaded, dataset.X)


def _predictions(model: SoftmaxModel, X: Array) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield labels and probabilities of one run of rows after the other."""
    for _, logits in logit_chunks(model, X):
        # Of the logits, not of the probabilities: two of those may round to the same number.
        yield model.classes[logits.argmax(axis=-1)], softmax(logits)


def _write_csv(file: TextIO, model: SoftmaxModel, X: Array) -> None:
    """Write the table."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["label", *(f"probability_{name}" for name in model.classes.tolist())])
    for labels, probabilities in _predictions(model, X):
        # As strings NumPy's floats have the fewest digits that give back the same number.
        numbers = probabilities.astype(str).tolist()
        writer.writerows([label, *row] for label, row in zip(labels.tolist(), numbers, strict=True))


def _plain(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels of mixed kinds as strings: NumPy would pickle them."""
    return labels.astype(str) if labels.dtype.kind == "O" else labels
