# SPDX-License-Identifier: BSD-3-Clause
import subprocess
import sys

import numpy as np
import pytest

from softmax_xp.data import load
from softmax_xp.data.dataset import Dataset
from softmax_xp.data.load import DATASETS, FILE_LOADERS, load_dataset
from softmax_xp.errors import DataNotFoundError, InvalidValueError


def write(path, suffix):
    """Write the same two samples in the format of each suffix."""
    X, y = np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([0, 1])
    if suffix in {".csv", ".tsv"}:
        path.write_text("a,b,y\n1,2,0\n3,4,1\n".replace(",", "\t" if suffix == ".tsv" else ","))
    elif suffix == ".npz":
        np.savez(path, X=X, y=y)
    elif suffix == ".npy":
        np.save(path, X)
    elif suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"a": X[:, 0], "b": X[:, 1], "y": y}), path)
    else:
        import gzip

        content = b"0 1:1 2:2\n1 1:3 2:4\n"
        path.write_bytes(gzip.compress(content, mtime=0) if suffix.endswith(".gz") else content)


@pytest.mark.parametrize("suffix", FILE_LOADERS)
def test_every_suffix_is_read(tmp_path, suffix):
    path, labels = tmp_path / f"Data{suffix.upper() if suffix == '.csv' else suffix}", tmp_path / "labels.txt"
    write(path, suffix)
    labels.write_text("u\nv\n")
    if suffix != ".npy":
        data = load_dataset(path)
        assert data.X.tolist() == [[1, 2], [3, 4]]
        assert data.y.tolist() == [0, 1]
    data = load_dataset(str(path), labels=labels)
    assert data.X.tolist() == [[1, 2], [3, 4]]
    assert data.y.tolist() == ["u", "v"]
    assert load_dataset(path, require_labels=False, feature_names=("a", "b")).feature_names == ("a", "b")


def test_names_are_loaded(monkeypatch):
    assert load_dataset("digits").n_samples == 1797
    asked = []
    fake = {"fashion-mnist": lambda data_dir: asked.append(data_dir) or Dataset(np.zeros((1, 1)))}
    monkeypatch.setattr(load, "DATASETS", fake)
    load_dataset("fashion-mnist", data_dir="somewhere")
    assert asked == ["somewhere"]


def test_labels_of_the_wrong_length_are_refused(tmp_path):
    write(tmp_path / "d.csv", ".csv")
    (tmp_path / "y.txt").write_text("a\nb\nc\n")
    with pytest.raises(InvalidValueError, match=r"one label per sample; got shape \(3,\) for 2 samples in d.csv"):
        load_dataset(tmp_path / "d.csv", labels=tmp_path / "y.txt")


def test_an_unknown_source_lists_names_and_suffixes():
    for source in ("mnist", "data.xlsx", "digits.zip"):
        with pytest.raises(
            InvalidValueError, match=r"digits, fashion-mnist.*\.csv.*\.parquet.*\.txt\.gz; got"
        ) as caught:
            load_dataset(source)
        assert all(name in str(caught.value) for name in (*DATASETS, *FILE_LOADERS))


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"none\.csv, which does not exist"):
        load_dataset(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataNotFoundError, match=r"folder\.csv, which is a folder"):
        load_dataset(tmp_path / "folder.csv")


def test_options_that_contradict_are_refused(tmp_path):
    with pytest.raises(InvalidValueError, match="`labels` and `target` must not both be given; got 'y.txt' and 'y'"):
        load_dataset("d.csv", labels="y.txt", target="y")
    with pytest.raises(InvalidValueError, match="`target` must be None for 'digits'.*got 'y'"):
        load_dataset("digits", target="y")


def test_importing_the_package_stays_light():
    code = (
        "import sys, softmax_xp.data\n"
        "print(sorted({'sklearn', 'scipy', 'pandas', 'pyarrow', 'safetensors', 'torch', 'jax'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
