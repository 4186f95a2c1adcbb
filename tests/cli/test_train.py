# SPDX-License-Identifier: BSD-3-Clause
"""`softmax-xp train`."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.cli import train
from tests.house.source import ROOT

QUICK = ("--device", "cpu", "--epochs", 3)


def test_digits_as_a_user_would(tmp_path):
    """The README's first command, in a process of its own."""
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-m", "softmax_xp", "train", "digits"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    seconds = time.perf_counter() - start
    print(f"softmax-xp train digits: {seconds:.1f} s\n{run.stdout}")  # noqa: T201  shown by `pytest -rP`
    assert "accuracy=" in run.stderr
    assert "samples/s" in run.stderr
    header, *rows = (line.split() for line in run.stdout.splitlines()[:4])
    assert header == ["samples", "loss", "(nats)", "accuracy"]
    assert [(name, int(samples)) for name, samples, *_ in rows] == [("train", 1258), ("validation", 180), ("test", 359)]
    assert float(rows[2][3]) >= 0.95
    assert re.search(r"^trained 125 epochs in \d+\.\d\d s on \S+$", run.stdout, re.MULTILINE)
    assert run.stdout.endswith("saved to softmax-xp-digits.safetensors\n")
    model = sx.load(tmp_path / "softmax-xp-digits.safetensors", "cpu")
    assert float(model.metadata["test_accuracy"]) == pytest.approx(float(rows[2][3]), abs=5e-5)
    # Nothing is left beside the model.
    assert [path.name for path in tmp_path.iterdir()] == ["softmax-xp-digits.safetensors"]


def test_json_has_all_numbers(run, folder, tmp_path):
    path = tmp_path / "m.safetensors"
    result = run("train", folder / "table.csv", "--target", "species", *QUICK, "--json", "-o", path)
    assert (result.exit_code, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert report["data"] == "table.csv"
    assert {name: part["samples"] for name, part in report["splits"].items()} == {
        "train": 84,
        "validation": 12,
        "test": 24,
    }
    assert all(0 <= part["accuracy"] <= 1 and part["loss"] > 0 for part in report["splits"].values())
    assert report["device"] == "cpu"
    assert report["status"] == "completed"
    assert report["seconds"] > 0
    assert report["path"] == str(path)
    assert report["history"]["epoch"] == [0, 1, 2]
    assert len(report["history"]["validation_loss"]) == 3
    assert report["settings"] == {
        "optimizer": repr(sx.Adam()),
        "schedule": "Cosine(final_factor=0.0)",
        "penalty": "L2(reg=0.001)",
        "epochs": 3,
        "batch_size": 32,
        "seed": 0,
        "dtype": "float32",
        "standardize": True,
    }


def test_the_model_remembers(run, folder, tmp_path):
    path = tmp_path / "m.safetensors"
    report = json.loads(run("train", folder / "table.csv", "--target", "species", *QUICK, "--json", "-o", path).stdout)
    model = sx.load(path, "cpu")
    assert model.classes.tolist() == ["blue", "green", "red"]
    assert model.metadata == {
        "data": "table.csv",
        "target_name": "species",
        "feature_names": '["a", "b", "c", "d"]',
        "samples": '{"train": 84, "validation": 12, "test": 24}',
        "test_accuracy": repr(report["splits"]["test"]["accuracy"]),
        **{name: str(value) for name, value in report["settings"].items()},
    }


def test_text_shows_the_numbers_of_json(run, folder, tmp_path):
    arguments = ("train", folder / "arrays.npz", *QUICK, "-o", tmp_path / "m")
    report = json.loads(run(*arguments, "--json").stdout)
    result = run(*arguments)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    for line, (name, part) in zip(lines[1:4], report["splits"].items(), strict=True):
        assert line.split() == [name, str(part["samples"]), f"{part['loss']:.4f}", f"{part['accuracy']:.4f}"]
    assert lines[4] == ""
    assert re.fullmatch(r"trained 3 epochs in \d+\.\d\d s on cpu", lines[5])
    assert lines[6:] == [f"saved to {tmp_path / 'm'}"]


@pytest.mark.parametrize("option", ["--quiet", "-q"])
def test_quiet_prints_the_path_alone(run, folder, tmp_path, option):
    result = run("train", folder / "arrays.npz", *QUICK, option, "-o", tmp_path / "m")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{tmp_path / 'm'}\n", "")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["table.csv", "--target", "species"], "softmax-xp-table.safetensors"),
        (["table.tsv", "--target", "species"], "softmax-xp-table.safetensors"),
        (["arrays.npz"], "softmax-xp-arrays.safetensors"),
        (["X.npy", "--labels", "labels.npy"], "softmax-xp-X.safetensors"),
        (["X.npy", "--labels", "labels.txt"], "softmax-xp-X.safetensors"),
        (["sparse.svm"], "softmax-xp-sparse.safetensors"),
    ],
)
def test_reads_every_format_and_saves_in_this_folder(run, folder, tmp_path, monkeypatch, arguments, name):
    monkeypatch.chdir(tmp_path)
    arguments = [folder / argument if "." in argument else argument for argument in arguments]
    result = run("train", *arguments, *QUICK, "-q")
    assert (result.exit_code, result.stdout) == (0, f"{name}\n")
    assert sx.load(tmp_path / name, "cpu").params.weight.shape == (4, 3)


def test_parquet(run, folder, tmp_path, samples):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    X, codes = samples
    table = pyarrow.table({**{name: X[:, column] for column, name in enumerate("abcd")}, "label": codes})
    parquet.write_table(table, tmp_path / "table.parquet")
    result = run("train", tmp_path / "table.parquet", *QUICK, "-q", "-o", tmp_path / "m")
    assert result.exit_code == 0
    assert json.loads(sx.load(tmp_path / "m", "cpu").metadata["feature_names"]) == list("abcd")


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.tobytes(), mtime=0)


def test_an_official_test_split(run, tmp_path):
    generator = np.random.default_rng(0)
    for prefix, n_samples in (("train", 200), ("t10k", 40)):
        labels = (np.arange(n_samples) % 4).astype("uint8")
        # Most features are constant, and have no deviation to divide by.
        images = np.zeros((n_samples, 28, 28), dtype="uint8")
        images[:, 10, 10:14] = generator.integers(0, 50, (n_samples, 4)) + 150 * np.eye(4, dtype="uint8")[labels]
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    path = tmp_path / "m"
    result = run("train", "fashion-mnist", "--data-dir", tmp_path, "--device", "cpu", "--json", "-o", path)
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert [part["samples"] for part in report["splits"].values()] == [180, 20, 40]
    assert report["splits"]["test"]["accuracy"] == 1.0
    evaluated = json.loads(
        run("evaluate", path, "fashion-mnist", "--data-dir", tmp_path, "--device", "cpu", "--json").stdout
    )
    assert (evaluated["data"], evaluated["samples"]) == ("fashion-mnist test", 40)
    assert evaluated["loss"] == report["splits"]["test"]["loss"]
    assert len(run("predict", path, "fashion-mnist", "--data-dir", tmp_path).stdout.splitlines()) == 41
    refused = run("train", "fashion-mnist", "--data-dir", tmp_path, "--test", 0.1)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: `test` must be left out for fashion-mnist")


def trained(run, folder, tmp_path, *options):
    result = run("train", folder / "arrays.npz", "--device", "cpu", "--json", "-o", tmp_path / "m", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_options_reach_the_trainer(run, folder, tmp_path):
    report = trained(
        *(run, folder, tmp_path),
        *("--optimizer", "nesterov_sgd", "--learning-rate", 0.125, "--schedule", "one_cycle", "--reg", 0.5),
        *("--epochs", 2, "--batch-size", 21, "--validation", 0, "--test", 0.3, "--seed", 7, "--dtype", "float64"),
        "--no-standardize",
    )
    assert report["settings"] == {
        "optimizer": repr(sx.SGD(0.125, momentum=0.9, nesterov=True)),
        "schedule": repr(sx.OneCycle()),
        "penalty": "L2(reg=0.5)",
        "epochs": 2,
        "batch_size": 21,
        "seed": 7,
        "dtype": "float64",
        "standardize": False,
    }
    assert {name: part["samples"] for name, part in report["splits"].items()} == {"train": 84, "test": 36}
    assert report["history"]["step"] == [4, 8]
    model = sx.load(tmp_path / "m", "cpu")
    assert model.params.weight.dtype == np.float64
    assert model.standardization is None


def test_no_test_part_and_no_penalty(run, folder, tmp_path):
    report = trained(run, folder, tmp_path, "--test", 0, "--epochs", 1, "--reg", 0)
    assert list(report["splits"]) == ["train", "validation"]
    assert report["settings"]["penalty"] == "None"
    assert "penalty" not in report["history"]
    assert "test_accuracy" not in sx.load(tmp_path / "m", "cpu").metadata


def test_the_best_epoch_is_kept_where_there_is_validation(run, folder, tmp_path):
    # Steps this large make the loss jump, so the last epoch is not the best.
    options = ("--learning-rate", 30, "--optimizer", "sgd", "--schedule", "constant", "--epochs", 30)
    report = trained(run, folder, tmp_path, *options)
    losses = report["history"]["validation_loss"]
    assert report["splits"]["validation"]["loss"] == pytest.approx(min(losses), rel=1e-4)
    assert min(losses) < losses[-1]


def test_the_seed_decides_and_repeats(run, folder, tmp_path):
    first, again, other = (trained(run, folder, tmp_path, "--epochs", 2, "--seed", seed) for seed in (3, 3, 4))
    assert first["splits"] == again["splits"]
    assert first["splits"]["train"]["loss"] != other["splits"]["train"]["loss"]


def test_the_seed_chooses_the_parts(run, folder, tmp_path):
    means = []
    for seed in (3, 4):
        trained(run, folder, tmp_path, "--epochs", 1, "--seed", seed)
        means.append(sx.load(tmp_path / "m", "cpu").standardization.mean)
    assert (means[0] != means[1]).all()


@pytest.mark.parametrize(
    ("n_samples", "batch_size", "epochs"), [(1258, 32, 125), (84, 32, 1667), (54000, 32, 10), (10, 32, 5000)]
)
def test_the_default_number_of_epochs(n_samples, batch_size, epochs):
    assert train._default_epochs(n_samples, batch_size) == epochs


def test_small_data_get_enough_steps(run, folder, tmp_path):
    report = trained(run, folder, tmp_path)
    assert report["settings"]["epochs"] == 1667
    assert report["splits"]["test"]["accuracy"] > 0.9


@pytest.mark.filterwarnings("default::softmax_xp.errors.SoftmaxXPWarning")
def test_a_class_that_the_training_part_lacks_has_a_column(run, tmp_path):
    X = np.random.default_rng(0).standard_normal((21, 2))
    y = np.array([*[0, 1] * 10, 2])
    np.savez(tmp_path / "rare.npz", X=X, y=y)
    result = run("train", tmp_path / "rare.npz", *QUICK, "--batch-size", 5, "--test", 0.5, "-q", "-o", tmp_path / "m")
    assert result.stderr.startswith("warning: The test part of 11 samples cannot keep the proportions of 3 classes")
    assert sx.load(tmp_path / "m", "cpu").classes.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--quiet", "--json"], "error: `--quiet` and `--json` must not both be given."),
        (["--device", "gpu"], "error: `device` must be 'auto', None or start with one of"),
        (["--optimizer", "adamant"], "error: `optimizer` must be one of 'adadelta', 'adagrad', 'adam'"),
        (["--learning-rate", "-1"], "error: `learning_rate` must be a finite number of at least 0; got -1.0."),
        (["--schedule", "later"], "error: `schedule` must be one of 'constant', 'cosine'"),
        (["--reg", "-1"], "error: `reg` must be a finite number of at least 0; got -1.0."),
        (["--reg", "nan"], "error: `reg` must be a finite number of at least 0; got nan."),
        (["--epochs", "0"], "error: `epochs` must be at least 1; got 0."),
        (["--batch-size", "0"], "error: `batch_size` must be at least 1; got 0."),
        (["--validation", "1.5"], "error: `validation` must be a fraction in [0, 1); got 1.5."),
        (["--test", "nan"], "error: `test` must be a fraction in [0, 1); got nan."),
        (["--validation", "0.5", "--test", "0.5"], "error: `validation` and `test` must leave samples to train on"),
        (["--dtype", "int32"], "error: `dtype` must be float32 or float64; got 'int32'."),
        (["--target", "z"], "error: arrays.npz must hold the labels under 'z'"),
        (["--labels", "none.txt"], "error: `labels` must name a file; got none.txt, which does not exist."),
        (["-o", "no/such/folder/m"], "error: `output` must lie in a folder that exists; got"),
        (["-o", "."], "error: `output` must name a file; got the folder"),
    ],
)
def test_errors_come_before_anything_is_saved(run, folder, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    result = run("train", folder / "arrays.npz", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_a_usage_error(run, folder, seed):
    result = run("train", folder / "arrays.npz", "--seed", seed)
    assert result.exit_code == 2
    assert "Invalid value for '--seed'" in result.stderr


def test_bad_data_are_an_error(run, tmp_path):
    np.savez(tmp_path / "bad.npz", X=np.array([[1.0], [np.nan]] * 20), y=np.arange(40) % 2)
    result = run("train", tmp_path / "bad.npz", "-o", tmp_path / "m")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: `X` must be finite; got NaN at row")
    assert run("train", tmp_path / "none.npz").exit_code == 2
    assert not (tmp_path / "m").exists()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_cannot_be_written_to_is_an_error(run, folder, tmp_path):
    tmp_path.chmod(0o500)
    result = run("train", folder / "arrays.npz", "-o", tmp_path / "m")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: `output` must lie in a folder that can be written to; got")


def test_a_diverging_loss_saves_nothing(run, folder, tmp_path):
    options = ("--optimizer", "sgd", "--learning-rate", 1e30, "--epochs", 20, "-q")
    result = run("train", folder / "arrays.npz", "--device", "cpu", "-o", tmp_path / "m", *options)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("error: The loss must stay finite; at step")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_ctrl_c_saves_the_model_of_the_last_step(run, folder, tmp_path, monkeypatch, caplog):
    """Interrupted by the third epoch's validation, whose weights are not the best: see the size of the steps."""
    callback = train.BestWeights
    kept = {}
    original = callback.on_epoch_end

    def interrupt(self, event):
        original(self, event)
        kept[event.epoch] = event.params, event.history["validation_loss"]
        if event.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(callback, "on_epoch_end", interrupt)
    options = ("--learning-rate", 30, "--optimizer", "sgd", "--schedule", "constant", "--epochs", 30, "--seed", 3)
    result = run("train", folder / "arrays.npz", "--device", "cpu", "--json", "-o", tmp_path / "m", *options)
    assert result.exit_code == 130
    assert result.stderr == f"interrupted: {tmp_path / 'm'} holds the model of the last full step\n"
    assert json.loads(result.stdout)["status"] == "interrupted"
    params, losses = kept[2]
    assert min(losses) < losses[2]
    np.testing.assert_array_equal(sx.load(tmp_path / "m", "cpu").params.weight, params.weight)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to all processes of a console")
def test_ctrl_c_in_a_terminal(tmp_path):
    # A shell that runs tests in the background makes its children deaf to Ctrl-C; a terminal does not.
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script += "from softmax_xp.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "train", "digits", "--epochs", "1000000", "-o", "m"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        seen = ""
        while "accuracy=" not in seen:
            character = process.stderr.read(1)
            assert character, f"it ended by itself: {seen}"
            seen += character
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 130
    assert out.endswith("saved to m\n")
    assert err.endswith("interrupted: m holds the model of the last full step\n")
    assert "Traceback" not in err
    assert sx.load(tmp_path / "m", "cpu").params.weight.shape == (64, 10)


def test_a_training_goes_on_from_its_checkpoint(run, folder, tmp_path, monkeypatch):
    options = ("train", folder / "arrays.npz", *QUICK, "--quiet")
    assert run(*options, "-o", tmp_path / "whole").exit_code == 0
    if sys.platform != "win32":
        # A cluster ends the job after the second epoch.
        callback, original = sx.BestWeights, sx.BestWeights.on_epoch_end

        def end(self, event):
            original(self, event)
            if event.epoch == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(callback, "on_epoch_end", end)
            result = run(*options, "--checkpoint", tmp_path / "c", "-o", tmp_path / "part")
        assert result.exit_code == 130
        assert "part holds the model of the last full step; the same command with --resume goes on" in result.stderr
        refused = run(*options, "--checkpoint", tmp_path / "c", "-o", tmp_path / "part")
        assert refused.exit_code == 2
        assert "Pass --resume to go on from them" in refused.stderr
    assert run(*options, "--checkpoint", tmp_path / "c", "--resume", "-o", tmp_path / "rest").exit_code == 0
    whole, rest = (sx.load(tmp_path / name, "cpu").params for name in ("whole", "rest"))
    np.testing.assert_array_equal(rest.weight, whole.weight)
    np.testing.assert_array_equal(rest.bias, whole.bias)


def test_resume_needs_a_folder(run, folder):
    result = run("train", folder / "arrays.npz", *QUICK, "--resume")
    assert result.exit_code == 2
    assert "Pass --checkpoint FOLDER" in result.stderr


def test_a_folder_of_shards_and_a_large_file_stay_on_the_disk(run, tmp_path, samples, monkeypatch):
    X, codes = samples
    shards = tmp_path / "shards"
    shards.mkdir()
    for number, rows in enumerate(np.array_split(np.arange(len(X)), 3)):
        np.save(shards / f"X-{number}.npy", X[rows])
        np.save(shards / f"y-{number}.npy", codes[rows])
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", codes)
    reports = {}
    for name, large, arguments in (
        ("memory", 1 << 28, (tmp_path / "X.npy", "--labels", tmp_path / "y.npy")),
        ("file", 0, (tmp_path / "X.npy", "--labels", tmp_path / "y.npy")),
        ("shards", 1 << 28, (shards,)),
    ):
        monkeypatch.setattr("softmax_xp.cli.samples._LARGE_BYTES", large)
        options = ("--epochs", 5, "--device", "cpu", "--json", "-o", tmp_path / f"{name}.safetensors")
        result = run("train", *arguments, *options)
        assert result.exit_code == 0, result.stderr
        reports[name] = json.loads(result.stdout)["splits"]
        evaluated = run("evaluate", tmp_path / f"{name}.safetensors", *arguments, "--device", "cpu", "--json")
        reports[name]["all"] = {"accuracy": json.loads(evaluated.stdout)["accuracy"]}
    for name in ("file", "shards"):
        for part, numbers in reports["memory"].items():
            assert reports[name][part] == pytest.approx(numbers, rel=1e-4)
    result = run("predict", tmp_path / "shards.safetensors", shards, "--device", "cpu", "-o", tmp_path / "p.npz")
    assert result.exit_code == 0, result.stderr
    assert len(np.load(tmp_path / "p.npz")["labels"]) == len(X)
    result = run("train", tmp_path / "shards" / ".." / "shards", "--target", "y")
    assert "`target` must be None for X-0.npy" in result.stderr
