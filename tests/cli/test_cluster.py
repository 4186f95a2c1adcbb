# SPDX-License-Identifier: BSD-3-Clause
import json
import os
import signal
import sys

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.data import stratified_split
from softmax_xp.solvers.loop import _Run
from tests.distributed.conftest import cluster_of
from tests.distributed.problems import samples

dask = pytest.importorskip("dask", reason="Dask is not installed")
pytest.importorskip("distributed", reason="Dask is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::softmax_xp.errors.SmallDataWarning")


@pytest.fixture(scope="module")
def address():
    with cluster_of(2) as client:
        yield client.scheduler.address


@pytest.fixture
def files(tmp_path):
    X, y = samples()
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    return ["train", tmp_path / "X.npy", "--labels", tmp_path / "y.npy", "-o", tmp_path / "model.safetensors"]


def message(result):
    return " ".join(result.stderr.split())


def test_a_running_cluster_fits_tests_and_saves_with_the_certificate(run, files, tmp_path, address):
    result = run(*files, "--scheduler", address, "--reg", "1e-3", "--seed", 5, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    X, y = samples()
    split = stratified_split(y, validation=0.0, test=0.2, seed=5)
    expected = sx.SoftmaxClassifier(1.0 / (1e-3 * 1200)).fit(X[split.train], y[split.train])
    model = sx.load(tmp_path / "model.safetensors")
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=3e-2)
    assert (report["status"], report["samples"], report["workers"]) == ("certified", 1200, 2)
    assert model.certificate_.bound == report["bound"] < 1e-4
    test = report["splits"]["test"]
    assert test["samples"] == 300
    assert test["accuracy"] == pytest.approx(model.score(X[split.test], y[split.test]), abs=1e-9)
    logs = model.predict_log_proba(X[split.test])[np.arange(300), y[split.test]]
    assert test["loss"] == pytest.approx(-logs.mean(), rel=1e-5)


def test_the_text_has_the_numbers_and_no_test_part_is_none(run, files, address):
    result = run(*files, "--scheduler", address, "--test", 0)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()[-3:]
    assert lines[0].startswith("1500 samples fitted by 2 workers in")
    assert lines[1].startswith("certified after")
    assert lines[2].startswith("saved to")
    with_test = run(*files, "--scheduler", address, "--test", 0.5, "--no-standardize").stdout
    assert "\ntest: 750 samples, loss 0." in with_test


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--epochs", 5], "--epochs"),
        (["--batch-size", 32], "--batch-size"),  # the default, but asked for
        (["--validation", 0.1, "--device", "cpu", "--optimizer", "sgd"], "--device, --optimizer, --validation"),
        (["--standardize"], "--standardize"),
        (["--data-dir", "."], "--data-dir"),
    ],
)
def test_options_that_would_be_ignored_are_named(run, files, options, named):
    for mode in (["--dask"], ["--scheduler", "tcp://127.0.0.1:1"]):
        result = run(*files, *options, *mode)
        assert result.exit_code == 2
        expected = f"error: `{mode[0]}` must come without options that are not about an exact fit by a cluster; got "
        assert message(result) == f"{expected}{named}. Leave them out, or leave out {mode[0]}."


def test_other_mistakes_come_before_any_cluster(run, files):
    assert "must not both be given" in message(run(*files, "--dask", "--scheduler", "tcp://127.0.0.1:1"))
    assert "`reg` must be a finite number of at least 0; got -1.0" in message(run(*files, "--dask", "--reg", -1))
    assert "`test` must be a fraction" in message(run(*files, "--dask", "--test", 2))
    assert "Pass --checkpoint FOLDER" in message(run(*files, "--dask", "--resume"))
    assert "--labels FILE" in message(run(*files[:2], "--dask"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send itself this signal")
@pytest.mark.filterwarnings("default::softmax_xp.errors.SoftmaxXPWarning")
def test_a_fit_that_is_ended_goes_on_from_its_checkpoint_with_the_same_bits(run, files, tmp_path, address, monkeypatch):
    options = (*files, "--scheduler", address, "--quiet")
    assert run(*options).exit_code == 0
    whole, original, rows = sx.load(tmp_path / "model.safetensors"), _Run._row, []

    def row(self):
        rows.append(self)
        if len(rows) == 3:
            os.kill(os.getpid(), signal.SIGTERM)  # the job's time is up
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(_Run, "_row", row)
        ended = run(*options, "--checkpoint", tmp_path / "c")
    assert ended.exit_code == 130
    assert message(ended).endswith("of the last full step; the same command with --resume goes on")
    part = sx.load(tmp_path / "model.safetensors")
    assert part.status_ == "interrupted"
    assert "Pass --resume" in message(run(*options, "--checkpoint", tmp_path / "c"))
    assert run(*options, "--checkpoint", tmp_path / "c", "--resume").exit_code == 0
    rest = sx.load(tmp_path / "model.safetensors")
    assert rest.coef_.tobytes() == whole.coef_.tobytes() != part.coef_.tobytes()
    assert rest.certificate_ == whole.certificate_


def test_a_scheduler_that_is_not_there_is_one_line(run, files):
    with dask.config.set({"softmax-xp.timeouts.connect": "500ms"}):
        result = run(*files, "--scheduler", "tcp://127.0.0.1:1")
    assert result.exit_code == 2
    assert "must be the address of a running scheduler; got 'tcp://127.0.0.1:1'" in message(result)
