# SPDX-License-Identifier: BSD-3-Clause
"""`softmax-xp predict`."""

import csv
import io

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.cli import evaluation
from softmax_xp.typing import LinearParams


def read(text):
    header, *rows = csv.reader(io.StringIO(text))
    return header, [row[0] for row in rows], np.array([row[1:] for row in rows], dtype="float32")


def test_writes_labels_and_probabilities(run, model, folder, samples):
    result = run("predict", model, folder / "table.csv", "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    header, labels, probabilities = read(result.stdout)
    assert header == ["label", "probability_blue", "probability_green", "probability_red"]
    loaded = sx.load(model, "cpu")
    assert labels == loaded.predict(samples[0]).tolist()
    # Not one digit is lost on the way through the text.
    np.testing.assert_array_equal(probabilities, loaded.predict_proba(samples[0]).astype("float32"))


def test_the_target_may_be_missing_and_columns_may_move(run, model, folder, tmp_path):
    rows = csv.reader(io.StringIO((folder / "table.csv").read_text()))
    path = tmp_path / "new.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([row[3], row[1], row[0], row[2]] for row in rows)
    expected = run("predict", model, folder / "table.csv", "--device", "cpu").stdout
    assert run("predict", model, path, "--device", "cpu").stdout == expected


def test_reads_an_estimator_too(run, folder, samples, tmp_path):
    X, codes = samples
    frame = pytest.importorskip("pandas").DataFrame(X, columns=["a", "b", "c", "d"])
    classifier = sx.SoftmaxClassifier(device="cpu").fit(frame, codes)
    path = classifier.save(tmp_path / "classifier.safetensors")
    result = run("predict", path, folder / "table.csv", "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    _, labels, probabilities = read(result.stdout)
    assert labels == [str(label) for label in classifier.predict(frame)]
    np.testing.assert_allclose(probabilities, classifier.predict_proba(frame), rtol=1e-6)


@pytest.mark.parametrize("name", ["table.tsv", "arrays.npz", "X.npy"])
def test_reads_every_format(run, model, folder, name):
    expected = run("predict", model, folder / "table.csv", "--device", "cpu").stdout
    assert run("predict", model, folder / name, "--device", "cpu").stdout == expected


def test_reads_svmlight(run, model, folder):
    result = run("predict", model, folder / "sparse.svm", "--device", "cpu")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 121


@pytest.mark.parametrize("option", ["--output", "-o"])
def test_writes_a_csv_file(run, model, folder, tmp_path, option):
    path = tmp_path / "predictions.csv"
    result = run("predict", model, folder / "table.csv", "--device", "cpu", option, path)
    assert (result.exit_code, result.output) == (0, "")
    assert path.read_text() == run("predict", model, folder / "table.csv", "--device", "cpu").stdout


def test_writes_npz(run, model, folder, samples, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "_CHUNK_LOGITS", 60)
    path = tmp_path / "predictions.npz"
    result = run("predict", model, folder / "table.csv", "--device", "cpu", "--output", path)
    assert (result.exit_code, result.output) == (0, "")
    loaded = sx.load(model, "cpu")
    with np.load(path, allow_pickle=False) as file:
        assert sorted(file.files) == ["classes", "labels", "probabilities"]
        np.testing.assert_array_equal(file["labels"], loaded.predict(samples[0]))
        np.testing.assert_allclose(file["probabilities"], loaded.predict_proba(samples[0]), rtol=1e-6)
        assert file["classes"].tolist() == ["blue", "green", "red"]


def test_labels_of_mixed_kinds_need_no_pickle(run, folder, tmp_path):
    classes = np.array([1, "a"], dtype=object)
    path = sx.SoftmaxModel(LinearParams(np.eye(4, 2)), classes).save(tmp_path / "mixed.safetensors")
    result = run("predict", path, folder / "X.npy", "--device", "cpu", "-o", tmp_path / "p.npz")
    assert result.exit_code == 0
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        assert file["classes"].tolist() == ["1", "a"]


def test_names_with_commas_are_quoted(run, folder, tmp_path):
    classes = np.array(["a,b", 'c"d'])
    path = sx.SoftmaxModel(LinearParams(np.eye(4, 2)), classes).save(tmp_path / "names.safetensors")
    header, labels, _ = read(run("predict", path, folder / "X.npy", "--device", "cpu").stdout)
    assert header == ["label", "probability_a,b", 'probability_c"d']
    assert set(labels) == {"a,b", 'c"d'}


def test_the_label_is_that_of_the_largest_logit(run, folder, tmp_path):
    # Both probabilities round to 0.5 in float32; the logits differ.
    params = LinearParams(np.zeros((4, 2), dtype="float32"), np.array([0.0, 1e-8], dtype="float32"))
    path = sx.SoftmaxModel(params, np.array([3, 5])).save(tmp_path / "close.safetensors")
    _, labels, probabilities = read(run("predict", path, folder / "X.npy", "--device", "cpu").stdout)
    assert (probabilities == 0.5).all()
    assert set(labels) == {"5"}


@pytest.mark.parametrize(
    ("model_name", "data", "more", "message"),
    [
        ("none.safetensors", "table.csv", [], "error: `path` must name a model file; got"),
        ("table.csv", "table.csv", [], "error: `path`"),
        ("model.safetensors", "none.csv", [], "error: `source` must name a file; got"),
        ("model.safetensors", "data.xyz", [], "error: `source` must be a data set"),
        ("model.safetensors", "digits", [], "error: digits must have the 4 features of the model; got 64."),
        ("model.safetensors", "table.csv", ["--device", "gpu"], "error: `device` must be 'auto'"),
        ("model.safetensors", "table.csv", ["-o", "no/such/folder/p.csv"], "error: [Errno 2]"),
        ("model.safetensors", "fashion-mnist", ["--data-dir", "nowhere"], "error: `data_dir` must hold the file"),
    ],
)
def test_errors(run, model, folder, model_name, data, more, message):
    data = data if data in {"digits", "fashion-mnist"} else folder / data
    result = run("predict", folder / model_name, data, *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_a_missing_feature_is_named(run, model, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("a,b,c\n1,2,3\n")
    result = run("predict", model, path, "--device", "cpu")
    assert result.exit_code == 2
    assert "must have every feature of the model; got no column 'd'" in result.stderr
