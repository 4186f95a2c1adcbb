# SPDX-License-Identifier: BSD-3-Clause
import os
import pickle
import shutil
import sys

import numpy as np
import pytest

from softmax_xp.data.array_store import ZarrSource, open_hdf5, open_zarr, stored_source
from softmax_xp.errors import (
    DataChangedError,
    InvalidTypeError,
    InvalidValueError,
    MissingDependencyError,
)

X = np.arange(36, dtype=np.float32).reshape(12, 3)
Y = np.arange(12) % 3
STORES = ["h5", "zarr"]


def store(tmp_path, kind, arrays):
    """Write arrays by name, and return where."""
    path = tmp_path / f"data.{kind}"
    if kind == "h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                chunks = (4, *array.shape[1:]) if array.ndim == 2 else None
                file.create_dataset(name, data=array.tolist() if array.dtype.kind == "U" else array, chunks=chunks)
        return path
    zarr = pytest.importorskip("zarr")
    has_text = any(array.dtype.kind == "U" for array in arrays.values())  # of which the third format has no rule yet
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if has_text else 3)
    for name, array in arrays.items():
        group.create_array(name, data=array, chunks=(5, *array.shape[1:]))
    return path


def opened(path, *arguments, **options):
    return (open_hdf5 if path.suffix == ".h5" else open_zarr)(path, *arguments, **options)


def rows_of(source, start, stop):
    out = np.empty((stop - start, source.shape[1]), dtype=source.dtype)
    source.read_into(start, out)
    return out


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "i2", "u1"])
def test_rows_are_those_of_the_array(tmp_path, kind, dtype):
    path = store(tmp_path, kind, {"deep/down/X": X.astype(dtype), "y": Y, "mean": X[0]})
    source = pickle.loads(pickle.dumps(opened(path)))
    assert (source.shape, source.name) == ((12, 3), f"data.{kind}:deep/down/X")
    assert source.dtype == np.dtype(dtype).newbyteorder("=")
    assert (source.labels.tolist(), source.target_name) == (Y.tolist(), "y")
    for start, stop in ((0, 12), (0, 1), (4, 11), (11, 12)):
        np.testing.assert_array_equal(rows_of(source, start, stop), X[start:stop].astype(dtype))


@pytest.mark.parametrize("kind", STORES)
def test_arrays_can_be_named(tmp_path, kind):
    path = store(tmp_path, kind, {"train": X, "test": X[:4] + 1, "kind": Y, "labels": Y + 1})
    source = opened(path, "kind", list("abc"), "train")
    np.testing.assert_array_equal(rows_of(source, 0, 12), X)
    assert (source.labels.tolist(), source.target_name, source.feature_names) == (Y.tolist(), "kind", tuple("abc"))
    assert opened(path, dataset="train").target_name == "labels"
    for options, text in (
        (
            {},
            r"must have one array of two dimensions; got \['test', 'train'\] among .*Pass open_source\(path, data",
        ),
        ({"dataset": "X"}, "`dataset` must be an array in .*; got 'X'. There are"),
        ({"dataset": "train", "target": "y"}, "`target` must be an array in .*; got 'y'"),
        ({"dataset": "test"}, r"one label for each of its 4 samples; got shape \(12,\)"),
        ({"dataset": "kind"}, "must hold samples of shape"),
        ({"dataset": "train", "feature_names": ["a"]}, "must have 1 features like the model; got 3"),
    ):
        with pytest.raises(InvalidValueError, match=text):
            opened(path, **options)


@pytest.mark.parametrize("kind", STORES)
def test_labels_may_be_text_or_missing_or_unclear(tmp_path, kind):
    names = np.asarray(["ant", "bee", "cat"])[Y]
    source = opened(store(tmp_path, kind, {"X": X, "label": names}))
    assert source.labels.dtype.kind == "U"
    assert source.labels.tolist() == names.tolist()
    (tmp_path / "b").mkdir()
    assert opened(store(tmp_path / "b", kind, {"X": X})).labels is None
    with pytest.raises(
        InvalidValueError, match=r"must have one array of labels; got \['a/y', 'label'\]. Pass `target`"
    ):
        opened(store(tmp_path / "b", kind, {"X": X, "label": names, "a/y": Y}))


@pytest.mark.parametrize("kind", STORES)
def test_what_is_no_store(tmp_path, kind):
    path = store(tmp_path, kind, {"X": X})
    damaged = path if kind == "h5" else path / "zarr.json"
    damaged.write_bytes(damaged.read_bytes()[: 20 if kind == "zarr" else 600])
    with pytest.raises(InvalidValueError, match="must name an intact"):
        opened(path)


def test_an_hdf5_file_that_changes_is_noticed(tmp_path):
    path = store(tmp_path, "h5", {"X": X})
    source = opened(path)
    stamp = path.stat().st_mtime_ns
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(stamp, stamp))
    with pytest.raises(DataChangedError, match="data.h5, which cannot be read"):
        rows_of(source, 0, 1)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataChangedError, match="data.h5, which has changed since it was opened"):
        rows_of(source, 0, 1)
    path.unlink()
    with pytest.raises(DataChangedError, match="data.h5, which is gone"):
        rows_of(source, 0, 1)


def test_a_zarr_chunk_that_is_damaged_is_noticed(tmp_path):
    path = store(tmp_path, "zarr", {"X": X})
    source = opened(path)
    chunks = [part for part in (path / "X").rglob("*") if part.is_file() and part.name != "zarr.json"]
    for chunk in chunks:
        chunk.write_bytes(b"nothing")
    with pytest.raises(DataChangedError, match="data.zarr:X, which cannot be read"):
        rows_of(source, 0, 5)


def test_one_zarr_array_is_a_store_of_its_own(tmp_path):
    path = store(tmp_path, "zarr", {"X": X})
    source = opened(path / "X")
    assert source.name == "X"
    np.testing.assert_array_equal(rows_of(source, 2, 9), X[2:9])
    shutil.rmtree(path)


def test_objects_of_the_libraries_are_sources(tmp_path):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    path = store(tmp_path, "h5", {"a/X": X, "y": Y})
    with h5py.File(path) as file:
        source = stored_source(file["a/X"])
        np.testing.assert_array_equal(rows_of(source, 3, 8), X[3:8])
        with pytest.raises(InvalidValueError, match="data.h5:y must hold samples of shape"):
            stored_source(file["y"])
    np.testing.assert_array_equal(rows_of(source, 3, 8), X[3:8])  # the file of the user is closed
    with (
        h5py.File(path, "r+") as file,
        pytest.raises(InvalidTypeError, match="open for reading only; got 'a/X' .*'r\\+'"),
    ):
        stored_source(file["a/X"])
    array = zarr.array(X)
    found = stored_source(array)
    assert isinstance(found, ZarrSource)
    np.testing.assert_array_equal(rows_of(found, 3, 8), X[3:8])
    assert stored_source(X) is None
    assert stored_source("X.npy") is None
    with pytest.raises(InvalidTypeError, match="a Zarr array must hold real numbers"):
        stored_source(zarr.array(X * 1j))


@pytest.mark.parametrize(("kind", "library", "extra"), [("h5", "h5py", "hdf5"), ("zarr", "zarr", "zarr")])
def test_a_missing_library_is_named(tmp_path, monkeypatch, kind, library, extra):
    path = store(tmp_path, kind, {"X": X})
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'softmax-xp\[{extra}\]'"):
        opened(path)
