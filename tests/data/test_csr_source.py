# SPDX-License-Identifier: BSD-3-Clause
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp

from softmax_xp.data.csr_source import open_csr, open_sparse_npz
from softmax_xp.errors import DataChangedError, DataNotFoundError, InvalidTypeError, InvalidValueError
from tests.data.sparse_forms import random_dense

DENSE = random_dense()
X = sp.csr_array(DENSE)


def written(tmp_path, matrix=X, **changed):
    """Write a CSR folder by hand, with some of its files replaced."""
    folder = tmp_path / "csr"
    folder.mkdir()
    files = {"indptr": matrix.indptr, "indices": matrix.indices, "data": matrix.data} | changed
    shape = files.pop("shape", matrix.shape)
    for name, array in files.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "csr.json").write_text(json.dumps({"shape": shape}))
    return folder


def as_matrix(source, start=0, stop=None, index="int32"):
    """Read the entries of some rows."""
    limits = source.limits[start : (source.shape[0] if stop is None else stop) + 1]
    columns, values = (np.empty(int(limits[-1] - limits[0]), dtype=kind) for kind in (index, source.dtype))
    source.read_entries(start, start + len(limits) - 1, columns, values)
    return sp.csr_array((values, columns, limits - limits[0]), shape=(len(limits) - 1, source.shape[1]))


@pytest.mark.parametrize("index", ["int32", "int64", ">i4", "uint16"])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "i2", "?"])
def test_entries_of_any_kind_are_read_by_runs_of_rows(tmp_path, index, dtype):
    matrix = X.astype(dtype.lstrip(">"))
    parts = {name: getattr(matrix, name).astype(index) for name in ("indptr", "indices")}
    source = open_csr(written(tmp_path, matrix, data=matrix.data.astype(dtype), **parts))
    assert (source.shape, source.name) == ((37, 11), "csr")
    assert source.dtype == np.dtype(dtype).newbyteorder("=")
    for start, stop in ((0, 37), (0, 1), (5, 6), (3, 20), (36, 37)):
        for asked in ("int32", "int64"):
            found = as_matrix(source, start, stop, asked)
            np.testing.assert_array_equal(found.toarray(), matrix.toarray()[start:stop])
    out = np.empty((4, 11), dtype=source.dtype)
    source.read_into(2, out)
    np.testing.assert_array_equal(out, matrix.toarray()[2:6])


def test_labels_names_and_twins(tmp_path):
    folder = written(tmp_path, labels=np.arange(37))
    names = [f"x{place}" for place in range(11)]
    source = pickle.loads(pickle.dumps(open_csr(folder, None, names)))
    assert source.labels.tolist() == list(range(37))
    assert source.feature_names == tuple(names)
    np.testing.assert_array_equal(as_matrix(source).toarray(), DENSE)
    with pytest.raises(InvalidValueError, match="csr must have 2 features like the model; got 11"):
        open_csr(folder, None, ["a", "b"])
    with pytest.raises(InvalidValueError, match="`target` must be None for csr, .*; got 'y'. Pass `labels`"):
        open_csr(folder, "y")


def test_there_may_be_room_behind_the_entries_and_rows_without_any(tmp_path):
    room = np.concatenate((X.data, [np.nan])), np.concatenate((X.indices, [99]))
    np.testing.assert_array_equal(
        as_matrix(open_csr(written(tmp_path, data=room[0], indices=room[1]))).toarray(), DENSE
    )
    (tmp_path / "other").mkdir()
    empty = open_csr(written(tmp_path / "other", sp.csr_array((3, 2))))
    assert as_matrix(empty).nnz == 0


def test_folders_can_be_read_only(tmp_path):
    folder = written(tmp_path)
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    np.testing.assert_array_equal(as_matrix(open_csr(folder)).toarray(), DENSE)
    folder.chmod(0o755)


FALLING = X.indptr.copy()
FALLING[4] = FALLING[8]
LATE = X.indptr.copy()
LATE[0] = 1


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        (
            {"indptr": X.indptr[:-1]},
            InvalidValueError,
            "indptr of 38 numbers that rise from 0 to .*; got 37 numbers. W",
        ),
        ({"indptr": X.indptr + 1}, InvalidValueError, "got 38 numbers from 1 to"),
        ({"indptr": X.indptr * 2}, InvalidValueError, "which is how many entries there are; got 38 numbers from 0 to"),
        ({"indptr": LATE}, InvalidValueError, "got 38 numbers from 1 to 141. Write"),
        ({"indptr": FALLING}, InvalidValueError, "got 38 numbers from 0 to 141, some of them falling"),
        (
            {"indptr": X.indptr.astype(float)},
            InvalidValueError,
            "whole numbers as indptr and indices; got dtype float64",
        ),
        ({"indptr": X.indptr[:, None]}, InvalidValueError, r"indptr.npy must hold one dimension; got shape \(38, 1\)"),
        ({"indptr": X.indptr[:0]}, InvalidValueError, "got 0 numbers"),
        ({"data": X.data[:-1]}, InvalidValueError, "to at most .*, which is how many"),
        ({"indices": X.indices[:-1]}, InvalidValueError, "to at most .*, which is how many"),
        ({"indices": X.indices * 1.0}, InvalidValueError, "whole numbers as indptr and indices; got dtype float64"),
        ({"data": X.data * 1j}, InvalidTypeError, "csr must hold real numbers .*; got dtype complex128"),
        ({"data": X.data.astype(str)}, InvalidTypeError, "got dtype <U"),
        ({"shape": [38, 11]}, InvalidValueError, "indptr of 39 numbers"),
        ({"shape": [37]}, InvalidValueError, r"got shape \(37,\)"),
        ({"shape": [37, 0]}, InvalidValueError, r"none of them 0; got shape \(37, 0\)"),
        ({"shape": [37, -1]}, InvalidValueError, r"a shape of two whole numbers; got \[37, -1\]"),
        ({"shape": [37, 2**63]}, InvalidValueError, "a shape of two whole numbers"),
        ({"shape": [37, "11"]}, InvalidValueError, "a shape of two whole numbers"),
        ({"shape": [37, True]}, InvalidValueError, "a shape of two whole numbers"),
        ({"shape": None}, InvalidValueError, "a shape of two whole numbers; got None"),
        ({"labels": np.arange(36)}, InvalidValueError, r"one label for each of its 37 samples; got shape \(36,\)"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_opened(tmp_path, changed, error, text):
    with pytest.raises(error, match=text):
        open_csr(written(tmp_path, **changed))


@pytest.mark.parametrize("column", [11, -1, 2**31 - 1])
def test_columns_outside_are_refused_as_they_are_read(tmp_path, column):
    indices = X.indices.copy()
    indices[X.indptr[20]] = column
    source = open_csr(written(tmp_path, indices=indices))
    as_matrix(source, 0, 20)
    with pytest.raises(
        InvalidValueError, match=f"columns in csr must be at least 0 and below its 11 features; got {column}"
    ):
        as_matrix(source, 20, 21)


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "7", "\udcff"])
def test_a_folder_that_does_not_say_its_shape(tmp_path, content):
    folder = written(tmp_path)
    (folder / "csr.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InvalidValueError, match="must hold a file csr.json that says the shape of the matrix, such as"):
        open_csr(folder)
    (folder / "csr.json").unlink()
    with pytest.raises(InvalidValueError, match="Write it, or the whole folder with softmax_xp.data.write_csr"):
        open_csr(folder)


@pytest.mark.parametrize("name", ["indptr", "indices", "data"])
def test_missing_and_cut_files_are_named(tmp_path, name):
    folder = written(tmp_path)
    path = folder / f"{name}.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(InvalidValueError, match=f"intact NumPy file; got .*{name}.npy, which is cut off"):
        open_csr(folder)
    path.write_bytes(whole[:20])
    with pytest.raises(InvalidValueError, match="intact NumPy file"):
        open_csr(folder)
    path.unlink()
    with pytest.raises(DataNotFoundError, match=f"{name}.npy, which does not exist"):
        open_csr(folder)


@pytest.mark.parametrize("name", ["indices", "data"])
def test_a_file_that_changes_is_noticed_at_the_next_read(tmp_path, name):
    folder = written(tmp_path)
    source = open_csr(folder)
    as_matrix(source, 0, 4)
    path = folder / f"{name}.npy"
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataChangedError, match=f"{name}.npy, which has changed since it was opened"):
        as_matrix(source, 0, 4)
    path.unlink()
    with pytest.raises(DataChangedError, match=f"{name}.npy, which is gone"):
        as_matrix(source, 0, 4)


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix])
def test_archives_of_scipy_are_read_in_place(tmp_path, kind):
    path = tmp_path / "X.npz"
    sp.save_npz(path, kind(DENSE), compressed=False)
    source = pickle.loads(pickle.dumps(open_sparse_npz(path)))
    assert (source.name, source.labels) == ("X.npz", None)
    for start, stop in ((0, 37), (5, 6), (30, 37)):
        np.testing.assert_array_equal(as_matrix(source, start, stop).toarray(), DENSE[start:stop])
    with pytest.raises(InvalidValueError, match="`target` must be None for X.npz"):
        open_sparse_npz(path, "y")
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataChangedError, match="X.npz, which has changed since it was opened"):
        as_matrix(source, 0, 1)


def test_other_archives_say_what_to_do(tmp_path):
    path = tmp_path / "X.npz"
    sp.save_npz(path, X)
    with pytest.raises(
        InvalidValueError, match=r"an archive that is not compressed; .*compressed=False\), or write_csr"
    ):
        open_sparse_npz(path)
    sp.save_npz(path, X.tocsc(), compressed=False)
    with pytest.raises(InvalidValueError, match=r"must hold a CSR matrix; got format b'csc'. Save X.tocsr\(\)"):
        open_sparse_npz(path)
    np.savez(path, X=DENSE)
    with pytest.raises(InvalidValueError, match=r"which holds X.npy. Save X.tocsr\(\), or load dense arrays"):
        open_sparse_npz(path)
    path.write_bytes(b"PK" + bytes(50))
    with pytest.raises(InvalidValueError, match="intact NumPy file"):
        open_sparse_npz(path)
    with pytest.raises(DataNotFoundError, match="which does not exist"):
        open_sparse_npz(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("name", "array", "text"),
    [
        ("format", np.asarray(b"c" * 100), "its format has the dtype"),
        ("shape", np.zeros(100, dtype=int), "its shape has the dtype"),
        ("shape", np.asarray([37.0, 11.0]), "a shape of two whole numbers"),
        ("indptr", X.indptr + 7, "rise from 0"),
    ],
)
def test_damaged_archives_are_refused(tmp_path, name, array, text):
    parts = {"format": np.asarray(b"csr"), "shape": np.asarray(X.shape), "indptr": X.indptr}
    np.savez(tmp_path / "X.npz", **(parts | {"indices": X.indices, "data": X.data, name: array}))
    with pytest.raises(InvalidValueError, match=text):
        open_sparse_npz(tmp_path / "X.npz")


def test_an_archive_whose_member_promises_more_than_it_has(tmp_path):
    path = tmp_path / "X.npz"
    sp.save_npz(path, X, compressed=False)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["data.npy"] = members["data.npy"][:-8]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(InvalidValueError, match="intact archive; got .*X.npz, whose data is cut off"):
        open_sparse_npz(path)
