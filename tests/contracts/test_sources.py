# SPDX-License-Identifier: BSD-3-Clause
"""What holds for every format that samples can be stored in: the tables of open_source are the list."""

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import dump_svmlight_file

import softmax_xp as sx
from softmax_xp.data import write_csr
from softmax_xp.data.open_source import FOLDER_OPENERS, SOURCE_OPENERS, open_source
from softmax_xp.data.selected_rows import SelectedRows
from softmax_xp.data.source import fingerprint_of, is_source, is_sparse_source, rows_at
from softmax_xp.data.streamed import loaded, stream_matrix
from softmax_xp.errors import SoftmaxXPError

RNG = np.random.default_rng(3)
X = (RNG.standard_normal((60, 5)) * (RNG.random((60, 5)) < 0.5)).astype(np.float32) + 0.0
X[:, 4] += 1.0  # the last feature occurs
Y = RNG.integers(0, 3, 60)
SPARSE = {"indptr.npy", ".libsvm", ".npz", ".svm", ".svmlight"}


def write_arrow(path):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({f"x{place}": X[:, place] for place in range(5)} | {"y": Y})
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
        return
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def write_hdf5(path):
    with pytest.importorskip("h5py").File(path, "w") as file:
        file["X"], file["y"] = X, Y


def write_zarr(path, zarr_format, *, is_group=True):
    zarr = pytest.importorskip("zarr")
    if not is_group:
        zarr.create_array(str(path), data=X, zarr_format=zarr_format)
        return
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    group.create_array("X", data=X)
    group.create_array("y", data=Y)


def write_svmlight(path):
    dump_svmlight_file(X, Y, str(path))


# How to write X, and Y where the format has labels, for each entry of the tables.
WRITERS = {
    ".arrow": write_arrow,
    ".feather": write_arrow,
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
    ".libsvm": write_svmlight,
    ".npy": lambda path: np.save(path, X),
    ".npz": lambda path: sp.save_npz(path, sp.csr_array(X), compressed=False),
    ".parquet": write_arrow,
    ".svm": write_svmlight,
    ".svmlight": write_svmlight,
    "indptr.npy": lambda path: write_csr(path, sp.csr_array(X), Y),
    ".zarray": lambda path: write_zarr(path, 2, is_group=False),
    ".zgroup": lambda path: write_zarr(path, 2),
    "zarr.json": lambda path: write_zarr(path, 3),
}
OPEN_FILES = Path("/proc/self/fd")
UNLABELLED = {".npy", ".npz", ".zarray"}


@pytest.fixture(params=[*SOURCE_OPENERS, *FOLDER_OPENERS])
def entry(request):
    return request.param


@pytest.fixture
def path(tmp_path, entry):
    found = tmp_path / (f"samples{entry}" if entry in SOURCE_OPENERS else "samples")
    WRITERS[entry](found)
    if entry in FOLDER_OPENERS:
        assert (found / entry).is_file()
    return found


def test_the_source_is_the_samples(path, entry):
    source = open_source(path)
    assert is_source(source)
    assert is_sparse_source(source) == (entry in SPARSE)
    assert source.shape == (60, 5)
    assert source.dtype == np.float32
    for start, stop in ((0, 60), (0, 1), (59, 60), (7, 30)):
        out = np.full((stop - start, 5), np.nan, dtype=np.float32)
        source.read_into(start, out)
        np.testing.assert_array_equal(out, X[start:stop])
    index = np.asarray([50, 3, 3, 4])
    np.testing.assert_array_equal(rows_at(source, index), X[index])
    assert (source.labels is None) == (entry in UNLABELLED)
    assert source.labels is None or source.labels.tolist() == Y.tolist()
    assert open_source(path, labels=Y + 1).labels.tolist() == (Y + 1).tolist()


def test_it_is_pickled_and_its_parts_too(path):
    twin = pickle.loads(pickle.dumps(open_source(path)))
    assert fingerprint_of(twin) == fingerprint_of(open_source(path))
    some = pickle.loads(pickle.dumps(SelectedRows(twin, np.asarray([2, 3, 40]))))
    rows = loaded(stream_matrix(some))
    np.testing.assert_array_equal(rows.toarray() if hasattr(rows, "toarray") else rows, X[[2, 3, 40]])


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="only Linux lists the open files of a process")
def test_no_file_is_left_open(path):
    open_source(path).read_into(0, np.empty((3, 5), dtype=np.float32))
    before = len(list(OPEN_FILES.iterdir()))
    source = open_source(path)
    source.read_into(0, np.empty((3, 5), dtype=np.float32))
    # Arrow's readers are kept, a few of them, to go on where they were.
    assert len(list(OPEN_FILES.iterdir())) <= before + (1 if path.suffix in {".arrow", ".feather", ".parquet"} else 0)


def test_threads_read_at_once(path):
    source, wrong = open_source(path), []

    def read(start):
        out = np.empty((10, 5), dtype=np.float32)
        for _ in range(5):
            source.read_into(start, out)
            if not np.array_equal(out, X[start : start + 10]):
                wrong.append(start)

    threads = [threading.Thread(target=read, args=(start,)) for start in (0, 10, 25, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_fit_is_that_of_memory(path, entry):
    matrix = sp.csr_array(X) if entry in SPARSE else X
    ours, theirs = (sx.SoftmaxClassifier(device="cpu").fit(samples, Y) for samples in (path, matrix))
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    np.testing.assert_array_equal(ours.predict_proba(path), theirs.predict_proba(matrix))


def test_a_damaged_file_is_our_error(path):
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    # Of a Zarr chunk that is cut off, some decoders return what memory held before: only its description tells.
    described = [file for file in files if file.name in {".zarray", "zarr.json"}]
    files = described or files
    damaged = max(files, key=lambda file: file.stat().st_size)
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2 - 3])
    with pytest.raises(SoftmaxXPError):
        sx.SoftmaxClassifier(device="cpu").fit(path, Y)
