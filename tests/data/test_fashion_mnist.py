# SPDX-License-Identifier: BSD-3-Clause
import gzip
import struct
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest

from softmax_xp.data import fashion_mnist
from softmax_xp.data.fashion_mnist import load_fashion_mnist
from softmax_xp.errors import DataNotFoundError, InvalidValueError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def write_idx(path, array):
    content = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


@pytest.fixture(params=["-idx3-ubyte.gz", "-idx3-ubyte", ".idx3-ubyte"])
def folder(request, tmp_path):
    """Give a folder with 6 + 2 images of 2 x 2 pixels."""
    rng = np.random.default_rng(0)
    for name, n_samples in (("train", 6), ("t10k", 2)):
        write_idx(tmp_path / f"{name}-images{request.param}", rng.integers(0, 256, (n_samples, 2, 2), dtype=np.uint8))
        labels = request.param.replace("3", "1")
        write_idx(tmp_path / f"{name}-labels{labels}", np.arange(n_samples, dtype=np.uint8))
    return tmp_path


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """Hide the installed data."""
    monkeypatch.setattr(fashion_mnist, "_FOLDERS", (tmp_path / "none",))


def test_a_folder_gives_both_splits(folder):
    data = load_fashion_mnist(folder)
    assert (data.X.shape, data.X.dtype, data.y.dtype) == ((6, 4), np.uint8, np.int64)
    assert data.y.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.test.X.shape == (2, 4)
    assert data.test.y.tolist() == [0, 1]


def test_the_installed_folder_is_found(folder, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "_FOLDERS", (folder / "none", folder))
    assert load_fashion_mnist().n_samples == 6


def test_a_missing_file_is_named(folder):
    next(folder.glob("t10k-labels*")).unlink()
    with pytest.raises(DataNotFoundError, match=r"the file t10k-labels-idx1-ubyte or .*apt-get install .*--data-dir"):
        load_fashion_mnist(folder)


def test_images_and_labels_must_belong_together(folder):
    path = next(folder.glob("train-labels*"))
    write_idx(path, np.zeros(5, dtype=np.uint8))
    with pytest.raises(InvalidValueError, match=r"one uint8 label for each of the 6 images; got uint8 of shape \(5,\)"):
        load_fashion_mnist(folder)
    write_idx(next(folder.glob("train-images*")), np.zeros(5, dtype=np.uint8))
    with pytest.raises(InvalidValueError, match=r"must hold uint8 images; got uint8 of shape \(5,\)"):
        load_fashion_mnist(folder)


@pytest.mark.usefixtures("nowhere")
def test_openml_serves_where_nothing_is_installed(monkeypatch):
    datasets = pytest.importorskip("sklearn.datasets")
    asked = []

    def fetch(name, **options):
        asked.append((name, options["version"], options["as_frame"]))
        return SimpleNamespace(data=np.full((70000, 4), 255, dtype=np.int64), target=np.asarray(["7"] * 70000))

    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    data = load_fashion_mnist()
    assert asked == [("Fashion-MNIST", 1, False)]
    assert (data.n_samples, data.test.n_samples) == (60000, 10000)
    assert (data.X.dtype, data.X[0, 0], data.y[0]) == (np.uint8, 255, 7)


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("error", [URLError("no route"), TimeoutError("too slow"), ConnectionResetError("gone")])
def test_without_a_network_the_error_says_what_to_do(monkeypatch, error):
    datasets = pytest.importorskip("sklearn.datasets")

    def fetch(name, **options):
        raise error

    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    expected = "OpenML cannot be reached.*apt-get install dataset-fashion-mnist.*--data-dir.*go online"
    with pytest.raises(DataNotFoundError, match=expected):
        load_fashion_mnist()


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_the_debian_package_is_complete():
    data = load_fashion_mnist()
    assert (data.X.shape, data.test.X.shape, data.X.dtype) == ((60000, 784), (10000, 784), np.uint8)
    assert np.bincount(data.y).tolist() == [6000] * 10
    assert np.bincount(data.test.y).tolist() == [1000] * 10
    assert data.y[:5].tolist() == [9, 0, 0, 3, 0]
