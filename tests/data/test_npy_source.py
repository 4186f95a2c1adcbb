# SPDX-License-Identifier: BSD-3-Clause
import os
import pickle

import numpy as np
import pytest

from softmax_xp.data import npy_source
from softmax_xp.data.npy_source import npy_writer, open_npy, read_npy_header
from softmax_xp.errors import DataChangedError, DataNotFoundError, InvalidTypeError, InvalidValueError

X = np.arange(24, dtype=np.float32).reshape(8, 3)


def rows_of(source, start, stop):
    out = np.empty((stop - start, source.shape[1]), dtype=source.dtype)
    source.read_into(start, out)
    return out


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">i2", "i8", "u1", "?"])
def test_rows_are_those_of_the_array(monkeypatch, tmp_path, dtype):
    monkeypatch.setattr(npy_source, "_PASSAGE_BYTES", 20)
    stored = (X % 2).astype(dtype) if dtype == "?" else X.astype(dtype)
    np.save(tmp_path / "X.npy", stored)
    source = open_npy(tmp_path / "X.npy")
    assert (source.shape, source.name) == ((8, 3), "X.npy")
    assert source.dtype == np.dtype(dtype).newbyteorder("=")
    assert source.dtype.isnative
    for start, stop in ((0, 8), (0, 1), (7, 8), (2, 5)):
        np.testing.assert_array_equal(rows_of(source, start, stop), stored[start:stop])


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_versions_of_the_format(tmp_path, version):
    with (tmp_path / "X.npy").open("wb") as file:
        np.lib.format.write_array(file, X, version=version)
    np.testing.assert_array_equal(rows_of(open_npy(tmp_path / "X.npy"), 1, 4), X[1:4])


def test_a_source_can_be_pickled_and_holds_no_open_file(tmp_path):
    np.save(tmp_path / "X.npy", X)
    twin = pickle.loads(pickle.dumps(open_npy(tmp_path / "X.npy")))
    np.testing.assert_array_equal(rows_of(twin, 0, 8), X)
    np.testing.assert_array_equal(rows_of(twin, 0, 8), X)


def test_a_column_is_a_row_of_its_own_in_any_order(tmp_path):
    np.save(tmp_path / "X.npy", np.asfortranarray(X[:, :1]))
    np.testing.assert_array_equal(rows_of(open_npy(tmp_path / "X.npy"), 0, 8), X[:, :1])
    np.save(tmp_path / "X.npy", np.asfortranarray(X))
    with pytest.raises(InvalidValueError, match="X.npy must be stored row by row .*; got one stored column by column"):
        open_npy(tmp_path / "X.npy")


def test_a_file_that_is_cut_off_is_refused_at_once(tmp_path):
    np.save(tmp_path / "X.npy", X)
    whole = (tmp_path / "X.npy").read_bytes()
    (tmp_path / "X.npy").write_bytes(whole[:-5])
    with pytest.raises(InvalidValueError, match="which is cut off: its head promises 96 bytes of numbers, .* 91"):
        open_npy(tmp_path / "X.npy")
    for length in (0, 3, 8, 40):
        (tmp_path / "X.npy").write_bytes(whole[:length])
        with pytest.raises(InvalidValueError, match="must name an intact NumPy file"):
            open_npy(tmp_path / "X.npy")


def test_a_file_that_changes_is_noticed_at_the_next_read(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, X)
    source = open_npy(path)
    rows_of(source, 0, 2)
    np.save(path, X + 1)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataChangedError, match=r"X.npy, which has changed since it was opened \(it was written to\)"):
        rows_of(source, 0, 2)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataChangedError, match=r"\(224 bytes before, 220 now\)"):
        rows_of(source, 0, 2)
    path.unlink()
    with pytest.raises(DataChangedError, match="must stay as it is while it is read; got .*X.npy, which is gone"):
        rows_of(source, 0, 2)


def test_a_file_that_ends_during_a_read_is_noticed(tmp_path):
    np.save(tmp_path / "X.npy", X)
    source = open_npy(tmp_path / "X.npy")
    with pytest.raises(DataChangedError, match="which ends 12 bytes too early"):
        rows_of(source, 7, 9)


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (np.zeros(3), InvalidValueError, r"got shape \(3,\)"),
        (np.zeros((0, 3)), InvalidValueError, r"got shape \(0, 3\)"),
        (np.zeros((2, 2), dtype="c8"), InvalidTypeError, "got dtype complex64"),
        (np.zeros((2, 2), dtype=[("a", "f4")]), InvalidTypeError, "got dtype"),
        (np.asarray([["a"]], dtype=object), InvalidTypeError, "got dtype object"),
    ],
)
def test_other_arrays_are_refused(tmp_path, array, error, text):
    np.save(tmp_path / "X.npy", array, allow_pickle=True)
    with pytest.raises(error, match=text):
        open_npy(tmp_path / "X.npy")


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "X.npz", X)
    with pytest.raises(InvalidValueError, match="which is an archive"):
        open_npy(tmp_path / "X.npz")
    with pytest.raises(DataNotFoundError, match="which does not exist"):
        open_npy(tmp_path / "none.npy")
    (tmp_path / "three.npy").write_bytes(b"\x93NUMPY\x03\x00" + bytes(100))
    with pytest.raises(InvalidValueError, match="version"):
        read_npy_header(tmp_path / "three.npy")


def test_rows_are_written_as_they_come(tmp_path):
    path = tmp_path / "out.npy"
    with npy_writer(path, (8, 3), np.float32) as append:
        append(X[:5])
        assert not path.exists()
        append(X[5:].astype(np.float64))
    written = np.load(path)
    np.testing.assert_array_equal(written, X)
    assert written.dtype == np.float32
    with npy_writer(path, (2,), "U3") as append:
        append(np.asarray(["a", "bcd"]))
    assert np.load(path).tolist() == ["a", "bcd"]


def test_what_fails_leaves_the_file_of_before(tmp_path):
    path = tmp_path / "out.npy"
    np.save(path, X)
    with pytest.raises(ValueError, match="could not convert"), npy_writer(path, (8, 3), np.float32) as append:
        append(np.asarray([["a"]]))
    with (
        pytest.raises(InvalidValueError, match=r"`shape` must be that of what is written; got \(8, 3\) for 5 rows"),
        npy_writer(path, (8, 3), np.float32) as append,
    ):
        append(X[:5])
    with (
        pytest.raises(InvalidValueError, match="`dtype` must be one of numbers or strings"),
        npy_writer(path, (1,), "O"),
    ):
        pass
    np.testing.assert_array_equal(np.load(path), X)
    assert [file.name for file in tmp_path.iterdir()] == ["out.npy"]
