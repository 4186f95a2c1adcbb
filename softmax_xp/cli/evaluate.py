# SPDX-License-Identifier: BSD-3-Clause
"""``softmax-xp evaluate``."""

__all__ = ["evaluate"]

from typing import Any

import typer

from softmax_xp.backend import to_host
from softmax_xp.cli.evaluation import evaluate_model, most_confused
from softmax_xp.cli.options import AsJson, Data, DataDir, Device, Labels, ModelFile, Target
from softmax_xp.cli.report import as_json, as_table
from softmax_xp.cli.samples import load_for_model, load_model
from softmax_xp.metrics import confusion_matrix

# A matrix of more classes is wider than a screen.
_LARGEST_MATRIX = 20
_MOST_PAIRS = 10


def evaluate(
    model: ModelFile,
    data: Data,
    *,
    labels: Labels = None,
    target: Target = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    json: AsJson = False,
) -> None:
    """Show accuracy, log loss and confusion matrix.

    Beyond 20 classes the ten most confused pairs are shown in place of the matrix. The target column of a table is by
    default the one that the model was trained with. Of fashion-mnist the test split is used.
    """
    loaded = load_model(model, device)
    dataset = load_for_model(loaded, data, labels=labels, target=target, data_dir=data_dir, require_labels=True)
    evaluation = evaluate_model(loaded, dataset.X, dataset.y)
    classes = loaded.classes.tolist()
    report: dict[str, Any] = {"data": dataset.name, "device": loaded.backend.name, **evaluation.summary()}
    if len(classes) <= _LARGEST_MATRIX:
        matrix = confusion_matrix(evaluation.labels, evaluation.predicted, len(classes))
        report |= {"classes": classes, "confusion_matrix": to_host(matrix).tolist()}
    else:
        report["most_confused"] = [
            {"true": classes[true], "predicted": classes[predicted], "samples": samples}
            for true, predicted, samples in most_confused(evaluation, len(classes), _MOST_PAIRS)
        ]
    if dataset.name == loaded.metadata.get("data"):
        typer.echo(f"note: the model was trained on part of {dataset.name}", err=True)
    typer.echo(as_json(report) if json else _as_text(report))


def _as_text(report: dict[str, Any]) -> str:
    """Lay the report out for a reader."""
    lines = [
        f"{report['data']}, {report['samples']} samples, on {report['device']}",
        f"accuracy  {report['accuracy']:.4f}",
        f"log loss  {report['loss']:.4f} nats",
        "",
    ]
    if "confusion_matrix" in report:
        classes = [str(name) for name in report["classes"]]
        rows = [[name, *counts] for name, counts in zip(classes, report["confusion_matrix"], strict=True)]
        lines += ["confusion matrix (rows: true class, columns: predicted class)", as_table(["", *classes], rows)]
    elif report["most_confused"]:
        pairs = [list(pair.values()) for pair in report["most_confused"]]
        lines += ["most confused pairs of classes", as_table(["true", "predicted", "samples"], pairs)]
    else:
        lines += ["no class is taken for another"]
    return "\n".join(lines)
