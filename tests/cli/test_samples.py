# SPDX-License-Identifier: BSD-3-Clause
"""Which samples a command works on."""

from dataclasses import replace

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.cli import samples
from softmax_xp.cli.samples import load_for_model, open_dataset, parts_of
from softmax_xp.data import Dataset
from softmax_xp.data.streamed import is_streamed
from softmax_xp.errors import InvalidValueError, ModelFileError

X = np.arange(40.0).reshape(20, 2)
Y = np.arange(20) % 2


def sizes(parts):
    return {name: len(y) for name, (_, y) in parts.items()}


def test_three_parts_of_all_samples():
    parts = parts_of(Dataset(X, Y), validation=0.1, test=None, seed=0)
    assert sizes(parts) == {"train": 14, "validation": 2, "test": 4}
    rows = np.concatenate([part[:, 0] for part, _ in parts.values()])
    assert sorted(rows.tolist()) == X[:, 0].tolist()
    for part, labels in parts.values():
        np.testing.assert_array_equal(labels, (part[:, 0] / 2) % 2)


def test_empty_parts_are_left_out():
    assert sizes(parts_of(Dataset(X, Y), validation=0.0, test=0.0, seed=0)) == {"train": 20}
    assert sizes(parts_of(Dataset(X, Y), validation=0.0, test=0.5, seed=0)) == {"train": 10, "test": 10}


def test_the_seed_chooses():
    first, again, other = (
        parts_of(Dataset(X, Y), validation=0.1, test=0.2, seed=seed)["test"][0].tolist() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_an_official_test_split_is_the_test_part():
    dataset = Dataset(X, Y, name="fashion", test=Dataset(X[:3], Y[:3]))
    assert sizes(parts_of(dataset, validation=0.1, test=None, seed=0)) == {"train": 18, "validation": 2, "test": 3}
    with pytest.raises(InvalidValueError, match=r"`test` must be left out for fashion, which has a test split .* 0\.5"):
        parts_of(dataset, validation=0.1, test=0.5, seed=0)


def test_columns_are_matched_by_name(model, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("d,unused,b,a,c\n4,9,2,1,3\n")
    dataset = load_for_model(sx.load(model, "cpu"), str(path), data_dir=None, require_labels=False)
    assert dataset.X.tolist() == [[1.0, 2.0, 3.0, 4.0]]
    assert dataset.y is None


def test_the_target_of_the_training_is_the_default(model, folder):
    loaded = sx.load(model, "cpu")
    assert load_for_model(loaded, str(folder / "table.tsv"), data_dir=None, require_labels=True).y[1] == "green"
    # Other formats have names of their own for the labels.
    assert load_for_model(loaded, str(folder / "arrays.npz"), data_dir=None, require_labels=True).y[1] == 1


def test_values_are_checked(model, tmp_path):
    np.savez(tmp_path / "bad.npz", X=np.full((3, 4), np.nan))
    with pytest.raises(InvalidValueError, match="`X` must be finite; got NaN at row 0"):
        load_for_model(sx.load(model, "cpu"), str(tmp_path / "bad.npz"), data_dir=None, require_labels=False)


@pytest.mark.parametrize("text", ["a, b", "{}", "[1, 2]"])
def test_foreign_feature_names_are_an_error(model, folder, text):
    loaded = replace(sx.load(model, "cpu"), metadata={"feature_names": text})
    with pytest.raises(ModelFileError, match=r"`feature_names` must be a JSON list of strings; got"):
        load_for_model(loaded, str(folder / "table.csv"), data_dir=None, require_labels=False)


def test_of_a_data_set_with_a_test_split_that_is_used(monkeypatch, model):
    test = Dataset(np.ones((3, 4)), np.zeros(3, dtype=int), name="fashion test")
    monkeypatch.setattr("softmax_xp.cli.samples.load_dataset", lambda *_, **__: Dataset(X[:, [0, 0, 1, 1]], test=test))
    loaded = replace(sx.load(model, "cpu"), metadata={})
    assert load_for_model(loaded, "fashion", data_dir=None, require_labels=True) is test


def test_large_files_stay_on_the_disk_unless_their_rows_would_be_sparse(tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", X)
    np.savez(tmp_path / "X.npz", X=X, y=Y)
    (tmp_path / "X.svm").write_text("0 1:2 2:3\n1 1:1 2:1\n")
    with pytest.importorskip("h5py").File(tmp_path / "X.h5", "w") as file:
        file["X"], file["y"] = X, Y
    for large in (1, 1 << 28):
        monkeypatch.setattr(samples, "_LARGE_BYTES", large)
        found = {
            name: is_streamed(open_dataset(str(tmp_path / name), require_labels=False).X)
            for name in ("X.npy", "X.npz", "X.svm", "X.h5")
        }
        assert found == {"X.npy": large == 1, "X.npz": False, "X.svm": False, "X.h5": True}
