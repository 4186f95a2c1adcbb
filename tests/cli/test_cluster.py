# SPDX-License-Identifier: BSD-3-Clause
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import softmax_xp as sx
from softmax_xp.cli import app
from tests.distributed.conftest import cluster_of
from tests.distributed.problems import samples

pytest.importorskip("distributed", reason="Dask is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::softmax_xp.errors.SmallDataWarning")


def run(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


@pytest.fixture
def files(tmp_path):
    X, y = samples()
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    return [tmp_path / "X.npy", "--labels", tmp_path / "y.npy", "-o", tmp_path / "model.safetensors"]


def test_a_running_cluster_fits_and_the_model_is_saved_with_its_certificate(files, tmp_path):
    with cluster_of(2) as client:
        result = run(*files, "--scheduler", client.scheduler.address, "--reg", "1e-3", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["status"], report["samples"], report["workers"]) == ("certified", 1500, 2)
    X, y = samples()
    expected = sx.SoftmaxClassifier(1.0 / (1e-3 * 1500)).fit(X, y)
    model = sx.load(tmp_path / "model.safetensors")
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=3e-2)
    assert model.certificate_.bound == report["bound"] < 1e-4


def test_a_scheduler_that_is_not_there_is_one_line(files, monkeypatch):
    monkeypatch.setattr("softmax_xp.cli.cluster._CONNECT_SECONDS", 0.5)
    result = run(*files, "--scheduler", "tcp://127.0.0.1:1")
    assert result.exit_code == 2
    assert "must be the address of a running scheduler; got 'tcp://127.0.0.1:1'" in result.stderr.replace("\n", " ")


def test_labels_are_asked_for(files):
    result = run(files[0], "--dask")
    assert result.exit_code == 2
    assert "--labels FILE" in result.stderr.replace("\n", " ")
