# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
import scipy.sparse as sp

from softmax_xp.data import csr_writer
from softmax_xp.data.csr_source import open_csr
from softmax_xp.data.csr_writer import write_csr
from softmax_xp.data.selected_rows import SelectedRows
from softmax_xp.data.source import ArraySource
from softmax_xp.data.sparse_source import CsrArraySource
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from tests.data.sparse_forms import FORMS, random_dense, with_duplicates
from tests.data.test_csr_source import as_matrix, written

DENSE = random_dense()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(csr_writer, "_ENTRIES", 10)


@pytest.mark.parametrize("form", FORMS)
def test_any_matrix_is_written_and_read(tmp_path, form):
    folder = write_csr(tmp_path / "csr", FORMS[form](DENSE), np.arange(37))
    source = open_csr(folder)
    matrix = as_matrix(source)
    np.testing.assert_allclose(matrix.toarray(), DENSE, rtol=1e-15)
    assert matrix.has_canonical_format
    assert source.labels.tolist() == list(range(37))
    files = ["csr.json", "data.npy", "indices.npy", "indptr.npy", "labels.npy"]
    assert sorted(path.name for path in folder.iterdir()) == files


@pytest.mark.parametrize("dtype", ["int8", "float32", "bool"])
def test_numbers_stay_what_they_are(tmp_path, dtype):
    matrix = sp.csr_array((10 * DENSE).astype(dtype))
    source = open_csr(write_csr(str(tmp_path / "csr"), matrix))
    assert (source.dtype, source.labels) == (np.dtype(dtype), None)
    np.testing.assert_array_equal(as_matrix(source).toarray(), matrix.toarray())


def test_a_source_is_written_some_rows_at_a_time(tmp_path, monkeypatch):
    longest = []
    read = CsrArraySource.read_entries
    monkeypatch.setattr(
        CsrArraySource, "read_entries", lambda self, *given: longest.append(len(given[2])) or read(self, *given)
    )
    whole = CsrArraySource(sp.csr_array(DENSE), np.arange(37))
    source = open_csr(write_csr(tmp_path / "csr", SelectedRows(whole, np.arange(0, 37, 2))))
    np.testing.assert_array_equal(as_matrix(source).toarray(), DENSE[::2])
    assert source.labels.tolist() == list(range(0, 37, 2))
    assert 0 < max(longest) < 60


def test_a_source_with_entries_that_stand_twice_is_put_in_order(tmp_path):
    duplicates = with_duplicates(DENSE)
    folder = written(tmp_path, duplicates)
    source = open_csr(write_csr(tmp_path / "clean", open_csr(folder)))
    assert source.limits[-1] < duplicates.nnz
    matrix = as_matrix(source)
    assert matrix.has_canonical_format
    np.testing.assert_allclose(matrix.toarray(), DENSE, rtol=1e-15)


@pytest.mark.parametrize("labels", [list("ab") * 18 + ["c"], np.asarray(["x"] * 37, dtype=object), np.eye(37)])
def test_labels_of_many_kinds(tmp_path, labels):
    source = open_csr(write_csr(tmp_path / "csr", sp.csr_array(DENSE), labels))
    assert source.labels.tolist() == np.asarray(labels).tolist()


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    bad = DENSE.copy()
    bad[30, 3] = np.nan
    for samples, labels, error, text in (
        (DENSE, None, InvalidTypeError, "`samples` must be a sparse matrix .*; got ndarray"),
        (ArraySource(DENSE), None, InvalidTypeError, "or a sparse source; got ArraySource"),
        (sp.csr_array(DENSE), [1, 2], InvalidValueError, r"each of the 37 samples; got shape \(2,\)"),
        (sp.csr_array(DENSE), [1, "a"] * 18 + [None], InvalidValueError, "all numbers or all strings to be written"),
        (CsrArraySource(sp.csr_array(bad)), None, InvalidValueError, "NaN at row 30, column 3"),
    ):
        with pytest.raises(error, match=text):
            write_csr(tmp_path / "csr", samples, labels)
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "csr").mkdir()
    with pytest.raises(InvalidValueError, match="`folder` must not exist yet; got .*csr. Remove it"):
        write_csr(tmp_path / "csr", sp.csr_array(DENSE))
