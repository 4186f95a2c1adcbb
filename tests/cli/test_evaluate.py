# SPDX-License-Identifier: BSD-3-Clause
"""`softmax-xp evaluate`."""

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

import softmax_xp as sx
from softmax_xp.typing import LinearParams


def test_json_is_scikit_learns(run, model, folder, samples):
    X, codes = samples
    result = run("evaluate", model, folder / "table.csv", "--device", "cpu", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    loaded = sx.load(model, "cpu")
    y = np.array(["blue", "green", "red"])[codes]
    assert report["data"] == "table.csv"
    assert report["device"] == "cpu"
    assert report["samples"] == 120
    assert report["classes"] == ["blue", "green", "red"]
    assert report["accuracy"] == pytest.approx(accuracy_score(y, loaded.predict(X)), rel=1e-12)
    assert report["loss"] == pytest.approx(log_loss(y, loaded.predict_proba(X)), rel=1e-5)
    assert report["confusion_matrix"] == confusion_matrix(y, loaded.predict(X)).tolist()


def test_text_shows_the_same_numbers(run, model, folder):
    arguments = ("evaluate", model, folder / "table.tsv", "--device", "cpu")
    report = json.loads(run(*arguments, "--json").stdout)
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    title, accuracy, loss, blank, heading, names, *rows = result.stdout.splitlines()
    assert title == "table.tsv, 120 samples, on cpu"
    assert accuracy == f"accuracy  {report['accuracy']:.4f}"
    assert loss == f"log loss  {report['loss']:.4f} nats"
    assert blank == ""
    assert heading == "confusion matrix (rows: true class, columns: predicted class)"
    assert names.split() == ["blue", "green", "red"]
    cells = [row.split() for row in rows]
    assert [cell[0] for cell in cells] == ["blue", "green", "red"]
    assert [list(map(int, cell[1:])) for cell in cells] == report["confusion_matrix"]
    assert len({len(row) for row in [names, *rows]}) == 1


def test_says_that_it_was_trained_on_the_data(run, model, folder):
    result = run("evaluate", model, folder / "table.csv", "--device", "cpu")
    assert result.stderr == "note: the model was trained on part of table.csv\n"


@pytest.mark.parametrize(
    "arguments",
    [["arrays.npz"], ["X.npy", "--labels", "labels.npy"], ["sparse.svm"], ["arrays.npz", "--target", "y"]],
)
def test_reads_every_format(run, folder, tmp_path, arguments):
    path = tmp_path / "codes.safetensors"
    run("train", folder / "arrays.npz", "--epochs", 3, "--device", "cpu", "--quiet", "-o", path)
    arguments = [folder / name if "." in name else name for name in arguments]
    report = json.loads(run("evaluate", path, *arguments, "--device", "cpu", "--json").stdout)
    assert report["samples"] == 120
    assert report["accuracy"] > 0.9


def test_labels_of_a_file_replace_the_column(run, model, folder):
    report = json.loads(
        run("evaluate", model, folder / "X.npy", "--labels", folder / "labels.txt", "--json", "--device", "cpu").stdout
    )
    expected = json.loads(run("evaluate", model, folder / "table.csv", "--json", "--device", "cpu").stdout)
    assert report["confusion_matrix"] == expected["confusion_matrix"]


def many_classes(tmp_path, weight):
    n_classes = weight.shape[0]
    np.savez(tmp_path / "many.npz", X=np.repeat(np.eye(n_classes), 2, axis=0), y=np.repeat(np.arange(n_classes), 2))
    return sx.SoftmaxModel(LinearParams(weight), np.arange(n_classes)).save(tmp_path / "many.safetensors")


def test_many_classes_show_the_most_confused_pairs(run, tmp_path):
    weight = np.eye(21)
    weight[[3, 4]] = weight[[4, 3]]
    path = many_classes(tmp_path, weight)
    result = run("evaluate", path, tmp_path / "many.npz", "--device", "cpu")
    assert result.stdout.splitlines()[4:] == [
        "most confused pairs of classes",
        "true  predicted  samples",
        "3             4        2",
        "4             3        2",
    ]
    report = json.loads(run("evaluate", path, tmp_path / "many.npz", "--device", "cpu", "--json").stdout)
    assert "confusion_matrix" not in report
    assert report["most_confused"] == [
        {"true": 3, "predicted": 4, "samples": 2},
        {"true": 4, "predicted": 3, "samples": 2},
    ]


def test_many_classes_without_a_mistake(run, tmp_path):
    path = many_classes(tmp_path, np.eye(21))
    result = run("evaluate", path, tmp_path / "many.npz", "--device", "cpu")
    assert result.stdout.splitlines()[-1] == "no class is taken for another"


def test_twenty_classes_show_the_matrix(run, tmp_path):
    path = many_classes(tmp_path, np.eye(20))
    report = json.loads(run("evaluate", path, tmp_path / "many.npz", "--device", "cpu", "--json").stdout)
    assert report["confusion_matrix"] == (2 * np.eye(20, dtype=int)).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table.csv", "--target", "colour"], "error: `target` must be a column of table.csv; got 'colour'"),
        (["arrays.npz"], "error: `y` must hold only known classes; got the unknown label 0 at row 0"),
        (["X.npy"], "error: X.npy holds samples only. Pass `labels`"),
        (["table.csv", "--target", "species", "--labels", "labels.txt"], "error: `labels` and `target` must not both"),
        (["table.csv", "--device", "cpu:1"], "error: `device` must be 'cpu' without a number"),
    ],
)
def test_errors(run, model, folder, arguments, message):
    arguments = [folder / name if name.endswith((".csv", ".npz", ".npy", ".txt")) else name for name in arguments]
    result = run("evaluate", model, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
