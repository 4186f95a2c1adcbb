# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.data.open_source import open_source, source_of
from softmax_xp.errors import DataNotFoundError, InvalidTypeError, InvalidValueError

X = np.arange(36, dtype=np.float32).reshape(12, 3)
Y = np.arange(12) % 3


def whole(source):
    out = np.empty(source.shape, dtype=source.dtype)
    source.read_into(0, out)
    return out


@pytest.mark.parametrize("form", ["array", "list", ".npy", ".txt"])
def test_labels_come_from_memory_or_a_file(tmp_path, form):
    np.save(tmp_path / "X.npy", X)
    labels = {"array": Y, "list": Y.tolist(), ".npy": tmp_path / "y.npy", ".txt": str(tmp_path / "y.txt")}[form]
    np.save(tmp_path / "y.npy", Y)
    np.savetxt(tmp_path / "y.txt", Y, fmt="%d")
    source = open_source(tmp_path / "X.npy", labels=labels)
    np.testing.assert_array_equal(whole(source), X)
    assert source.labels.tolist() == Y.tolist()


def test_a_folder_of_shards_in_the_order_of_their_numbers(tmp_path):
    for number, (start, stop) in enumerate([(0, 4), (4, 5), (5, 12)], start=9):
        np.save(tmp_path / f"X-{number}.npy", X[start:stop])
        np.save(tmp_path / f"y-{number}.npy", Y[start:stop])
    (tmp_path / ".hidden.npy").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("about")
    source = open_source(tmp_path)
    np.testing.assert_array_equal(whole(source), X)
    assert source.labels.tolist() == Y.tolist()
    assert open_source(tmp_path, labels=Y + 1).labels.tolist() == (Y + 1).tolist()


def test_features_of_files_without_names_can_be_named(tmp_path):
    np.save(tmp_path / "X.npy", X)
    assert open_source(tmp_path / "X.npy", feature_names=["a", "b", "c"]).feature_names == ("a", "b", "c")
    with pytest.raises(InvalidValueError, match="X.npy must have 2 features like the model; got 3"):
        open_source(tmp_path / "X.npy", feature_names=["a", "b"])


def test_what_does_not_fit_is_named(tmp_path):
    np.save(tmp_path / "X.npy", X)
    (tmp_path / "X.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").mkdir()
    for options, text in (
        ({"labels": Y[:-1]}, r"`labels` must hold one label for each of the 12 samples of X.npy; got shape \(11,\)"),
        ({"labels": Y, "target": "y"}, "`labels` and `target` must not both be given"),
        ({"target": "y"}, "`target` must be None for X.npy, .*; got 'y'. Pass `labels`"),
    ):
        with pytest.raises(InvalidValueError, match=text):
            open_source(tmp_path / "X.npy", **options)
    with pytest.raises(DataNotFoundError, match="which does not exist"):
        open_source(tmp_path / "other.npy")
    with pytest.raises(InvalidValueError, match="a folder or a file ending in .*.npy.*; got .*X.csv"):
        open_source(tmp_path / "X.csv")
    with pytest.raises(InvalidValueError, match="files of one format.*; got no such file in .*empty"):
        open_source(tmp_path / "empty")


@pytest.mark.parametrize(
    ("shard", "text"),
    [
        (X[:, :2], "must agree in their features; got 3 in a.npy and 2 in b.npy"),
        (X.astype(np.float64), "must agree in their dtype; got float32 in a.npy and float64 in b.npy"),
        (X[:0], r"b.npy must hold samples of shape .*; got shape \(0, 3\)"),
    ],
)
def test_a_bad_shard_is_named(tmp_path, shard, text):
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", shard)
    with pytest.raises(InvalidValueError, match=text):
        open_source(tmp_path)


def test_svmlight_text_may_have_more_features_than_it_says(tmp_path):
    path = tmp_path / "X.svm"
    path.write_text("1 1:2 3:4\n0 2:1\n")
    assert open_source(path).shape == (2, 3)
    assert open_source(path, n_features=7).shape == (2, 7)
    assert source_of(path, n_features=7).shape == (2, 7)
    assert source_of(path, n_features=2).shape == (2, 3)
    with pytest.raises(InvalidValueError, match="`n_features` must be 3, as many as X.svm has; got 2"):
        open_source(path, n_features=2)
    np.save(tmp_path / "X.npy", X)
    assert open_source(tmp_path / "X.npy", n_features=3).shape == (12, 3)
    with pytest.raises(InvalidValueError, match="`n_features` must be 3, as many as X.npy has; got 7"):
        open_source(tmp_path / "X.npy", n_features=7)


def test_only_stores_have_arrays_by_name(tmp_path):
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(
        InvalidValueError, match="`dataset` must be None unless the file is HDF5 or Zarr; got 'X' for X.npy"
    ):
        open_source(tmp_path / "X.npy", dataset="X")
    with pytest.importorskip("h5py").File(tmp_path / "X.h5", "w") as file:
        file["a"], file["b"] = X, X + 1
    np.testing.assert_array_equal(whole(open_source(tmp_path / "X.h5", dataset="b")), X + 1)


def test_a_folder_of_shards_may_hold_other_files(tmp_path):
    np.save(tmp_path / "1.npy", X)
    np.savez(tmp_path / "statistics.npz", mean=X[0])
    (tmp_path / "notes.svm").write_text("nothing")
    np.testing.assert_array_equal(whole(open_source(tmp_path)), X)


def test_objects_of_hdf5_are_sources(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "X.h5", "w") as file:
        file["a"] = X
    with h5py.File(tmp_path / "X.h5") as file:
        np.testing.assert_array_equal(whole(source_of(file["a"])), X)


@pytest.mark.parametrize("path", [None, 3, np.zeros((2, 2))])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InvalidTypeError, match="`path` must be the path of a file or folder; got "):
        open_source(path)
