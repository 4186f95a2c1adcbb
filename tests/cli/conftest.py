# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the command line share: a way to run it, small data in every format, a trained model."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from softmax_xp.cli import app

SPECIES = np.array(["blue", "green", "red"])


@pytest.fixture(scope="session")
def run():
    """Run the command line in this process; the result has exit_code, stdout and stderr."""

    def invoke(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        # A traceback is a bug, and pytest should show it.
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture(scope="session")
def samples():
    """120 samples of four features in three classes that can nearly be told apart, the same numbers everywhere."""
    generator = np.random.default_rng(0)
    codes = np.arange(120) % 3
    X = generator.standard_normal((120, 4)) + 4 * np.eye(4)[codes]
    return X, codes


@pytest.fixture(scope="session")
def folder(tmp_path_factory, samples):
    """One data set as table.csv, .tsv, .npz, .npy with labels.npy and labels.txt, and .svm; table.csv is of strings."""
    X, codes = samples
    path = tmp_path_factory.mktemp("data")
    for name, delimiter in (("table.csv", ","), ("table.tsv", "\t")):
        with (path / name).open("w", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow(["a", "b", "c", "d", "species"])
            writer.writerows([*map(repr, row), SPECIES[code]] for row, code in zip(X.tolist(), codes, strict=True))
    np.savez(path / "arrays.npz", X=X, y=codes)
    np.save(path / "X.npy", X)
    np.save(path / "labels.npy", codes)
    (path / "labels.txt").write_text("\n".join(SPECIES[codes]))
    lines = (" ".join([str(c), *(f"{j + 1}:{v!r}" for j, v in enumerate(r))]) for r, c in zip(X.tolist(), codes))  # noqa: B905
    (path / "sparse.svm").write_text("\n".join(lines))
    return path


@pytest.fixture(scope="session")
def model(run, folder):
    """A model that was trained on table.csv."""
    path = folder / "model.safetensors"
    result = run(
        "train", folder / "table.csv", "--target", "species", "--epochs", 20, "--device", "cpu", "--quiet", "-o", path
    )
    assert result.exit_code == 0
    return path
