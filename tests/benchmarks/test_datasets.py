# SPDX-License-Identifier: BSD-3-Clause
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets

from benchmarks import datasets
from softmax_xp.errors import DataNotFoundError, InvalidValueError


@pytest.fixture
def offline(monkeypatch):
    def fetch(*arguments, **options):
        msg = "no network"
        raise OSError(msg)

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)


@pytest.mark.parametrize(("name", "shape"), [("digits", "1797 x 64 x 10"), ("wine", "178 x 13 x 3")])
def test_bundled_data_come_raw(name, shape):
    data = datasets.load(name)
    assert (data.shape, data.is_badly_scaled) == (shape, True)
    assert data.X.max() > 1
    assert data.astype("float32").X.dtype == np.float32
    assert data.astype("float32").is_badly_scaled


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InvalidValueError, match="must be one of digits, wine, letter, .*; got 'mnist'"):
        datasets.load("mnist")


def test_the_debian_package_is_read_with_pyreadr(monkeypatch, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"lettr": pandas.Categorical(["T", "I", "T"]), "x.box": [2.0, 5.0, 4.0]})
    (tmp_path / "LetterRecognition.rda").touch()
    monkeypatch.setattr(datasets, "_MLBENCH", tmp_path)
    monkeypatch.setitem(sys.modules, "pyreadr", SimpleNamespace(read_r=lambda path: {"LetterRecognition": frame}))
    data = datasets.load("letter")
    np.testing.assert_array_equal(data.X, [[2.0], [5.0], [4.0]])
    np.testing.assert_array_equal(data.y, [1, 0, 1])


def test_without_the_debian_package_openml_is_asked(monkeypatch, tmp_path):
    def fetch(name, **options):
        return SimpleNamespace(data=[[1.0, 2.0], [3.0, 4.0]], target=["4", "1"])

    monkeypatch.setattr(datasets, "_MLBENCH", tmp_path)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data = datasets.load("shuttle")
    np.testing.assert_array_equal(data.y, [1, 0])
    assert data.is_badly_scaled


def test_data_out_of_reach_say_why(monkeypatch, tmp_path, offline):
    monkeypatch.setattr(datasets, "_MLBENCH", tmp_path)
    monkeypatch.setitem(sys.modules, "pyreadr", None)
    with pytest.raises(DataNotFoundError, match=r"letter: pyreadr, .* is not installed, .* \(no network\)"):
        datasets.load("letter")
    monkeypatch.setitem(sys.modules, "pyreadr", SimpleNamespace())
    with pytest.raises(DataNotFoundError, match="letter: the Debian package r-cran-mlbench is not installed"):
        datasets.load("letter")


def test_images_are_brightnesses(monkeypatch):
    images = SimpleNamespace(X=np.array([[0, 255], [51, 0]], dtype=np.uint8), y=np.array([3, 1]))
    monkeypatch.setattr(datasets, "load_dataset", lambda name: images)
    data = datasets.load("fashion-mnist")
    assert data.X.dtype == np.float32
    np.testing.assert_allclose(data.X, [[0.0, 1.0], [0.2, 0.0]], rtol=1e-6)


@pytest.fixture
def embeddings(tmp_path):
    X = np.arange(10, dtype=np.float16).reshape(5, 2)
    category, hypernym = np.array(["b", "a", "b", "a", "b"]), np.array([7, 3, 3, 9, 7])
    np.savez(tmp_path / "wordnet_minilm.npz", embeddings=X, category=category, hypernym=hypernym)
    return tmp_path


def test_embeddings_have_two_kinds_of_labels(embeddings):
    data = datasets.load("embeddings-26", embeddings)
    assert (data.shape, data.X.dtype) == ("5 x 2 x 2", np.float32)
    np.testing.assert_array_equal(data.y, [1, 0, 1, 0, 1])
    rare_left_out = datasets.load("embeddings-1500", embeddings)
    np.testing.assert_array_equal(rare_left_out.y, [1, 0, 0, 1])
    np.testing.assert_array_equal(rare_left_out.X[:, 0], [0, 2, 4, 8])


def test_the_folder_of_the_embeddings_can_come_from_the_environment(embeddings, monkeypatch):
    monkeypatch.setenv(datasets.DATA_DIR_VARIABLE, str(embeddings))
    assert datasets.load("embeddings-26").shape == "5 x 2 x 2"


def test_embeddings_that_are_missing_say_how_to_name_their_folder(monkeypatch, tmp_path):
    monkeypatch.delenv(datasets.DATA_DIR_VARIABLE, raising=False)
    with pytest.raises(DataNotFoundError, match="no folder is named; pass --data-dir or set SOFTMAX_XP_BENCHMARK_DATA"):
        datasets.load("embeddings-26")
    with pytest.raises(DataNotFoundError, match="has no wordnet_minilm.npz"):
        datasets.load("embeddings-26", tmp_path)


def test_glosses_are_labelled_by_their_file(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "_WORDNET", tmp_path)
    with pytest.raises(DataNotFoundError, match="wordnet-base is not installed"):
        datasets.load("glosses")
    for part, file in {"noun": 4, "verb": 30, "adj": 0, "adv": 2}.items():
        lines = [f"0000000{place} {file:02d} n 01 word | a shared word {part}" for place in range(5)]
        text = "\n".join(["  1 This is the licence.", *lines]) + "\n"
        (tmp_path / f"data.{part}").write_text(text, encoding="utf-8")
    data = datasets.load("glosses")
    assert data.X.shape[0] == 16  # four fifths of 20
    assert data.n_classes == 4
    # The words of a class are those of its file.
    assert len({(label, row.indices.max()) for label, row in zip(data.y, data.X, strict=True)}) <= 8
