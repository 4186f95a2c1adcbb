# SPDX-License-Identifier: BSD-3-Clause
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from softmax_xp.data import source as source_module
from softmax_xp.data.selected_rows import SelectedRows
from softmax_xp.data.source import (
    ArraySource,
    SparseSource,
    entries_at,
    fingerprint_of,
    is_source,
    is_sparse_source,
)
from softmax_xp.data.sparse_source import CsrArraySource, SelectedColumns, check_columns, write_out
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from tests.data.sparse_forms import FORMS, random_dense

DENSE = random_dense()


def as_matrix(source):
    """Read all entries of a source."""
    count = int(source.limits[-1])
    columns, values = np.empty(count, dtype=np.int32), np.empty(count, dtype=source.dtype)
    source.read_entries(0, source.shape[0], columns, values)
    return sp.csr_array((values, columns, source.limits), shape=source.shape)


@pytest.mark.parametrize("form", FORMS)
def test_a_matrix_in_any_form_is_a_source(form):
    source = CsrArraySource.of(FORMS[form](DENSE))
    assert is_source(source)
    assert isinstance(source, SparseSource)
    assert is_sparse_source(source)
    assert source.limits.dtype == np.int64
    np.testing.assert_array_equal(as_matrix(source).toarray(), DENSE)


def test_dense_sources_are_not_sparse():
    assert not is_sparse_source(ArraySource(DENSE))
    assert not is_sparse_source(SelectedRows(ArraySource(DENSE), np.asarray([0])))
    assert not is_sparse_source(DENSE)


def test_what_no_fit_can_use_is_refused():
    with pytest.raises(InvalidValueError, match="`X` must be finite; got NaN at row 0, column 1"):
        CsrArraySource.of(sp.csr_array([[0.0, np.nan]]))
    with pytest.raises(InvalidTypeError, match="at most 64 bits as samples; got dtype longdouble|float128|float96"):
        CsrArraySource.of(sp.csr_array(DENSE.astype(np.longdouble)))


@pytest.mark.parametrize("start", [0, 3, 36])
def test_zeros_are_written_out_row_by_row(start):
    out = np.full((min(4, 37 - start), 11), np.nan)
    CsrArraySource.of(sp.csr_array(DENSE)).read_into(start, out)
    np.testing.assert_array_equal(out, DENSE[start : start + 4])


def test_entries_that_stand_twice_are_added():
    twice = CsrArraySource(sp.csr_array((np.ones(3), np.asarray([1, 1, 0]), np.asarray([0, 3])), shape=(1, 2)))
    out = np.empty((1, 2))
    write_out(twice, 0, out)
    assert out.tolist() == [[1.0, 2.0]]


def test_a_fingerprint_is_that_of_the_dense_rows():
    dense = DENSE + 0.0  # without negative zeros
    assert fingerprint_of(CsrArraySource.of(sp.csc_array(dense))) == fingerprint_of(ArraySource(dense))


@pytest.mark.parametrize("index", [[0], [5], [3, 4, 5], list(range(37)), list(range(0, 37, 6)), [0, 36]])
@pytest.mark.parametrize(("near", "span"), [(1, 1), (100, 300), (1 << 16, 1 << 22)])
def test_rows_here_and_there(monkeypatch, index, near, span):
    monkeypatch.setattr(source_module, "_NEAR_BYTES", near)
    monkeypatch.setattr(source_module, "_SPAN_BYTES", span)
    some = SelectedRows(CsrArraySource.of(sp.csr_array(DENSE)), np.asarray(index))
    assert some.shape == (len(index), 11)
    np.testing.assert_array_equal(as_matrix(some).toarray(), DENSE[index])
    out = np.empty((len(index) - 1, 11))
    some.read_into(1, out)
    np.testing.assert_array_equal(out, DENSE[index[1:]])


def test_neighbours_are_read_in_place():
    reads = []

    class Watched:
        limits = np.asarray([0, 2, 4, 6])

        def read_entries(self, start, stop, columns, values):
            reads.append((start, stop, columns, values))

    columns, values = np.empty(4, dtype=np.int32), np.empty(4)
    entries_at(Watched(), np.asarray([1, 2]), columns, values)
    ((start, stop, *given),) = reads
    assert (start, stop) == (1, 3)
    assert np.shares_memory(given[0], columns)
    assert np.shares_memory(given[1], values)


def test_columns_that_never_occur_are_left_out():
    wide = np.zeros((37, 40))
    columns = np.arange(2, 35, 3)
    wide[:, columns] = DENSE
    whole = CsrArraySource(sp.csr_array(wide), np.arange(37), "wide", tuple(f"x{place}" for place in range(40)), "y")
    narrow = SelectedColumns(whole, columns)
    np.testing.assert_array_equal(as_matrix(narrow).toarray(), DENSE)
    out = np.empty((3, 11))
    narrow.read_into(2, out)
    np.testing.assert_array_equal(out, DENSE[2:5])
    assert (narrow.name, narrow.target_name, narrow.dtype) == ("wide", "y", np.float64)
    assert narrow.feature_names == tuple(f"x{place}" for place in columns)
    assert narrow.labels.tolist() == list(range(37))
    twin = pickle.loads(pickle.dumps(SelectedRows(narrow, np.asarray([1, 7]))))
    np.testing.assert_array_equal(as_matrix(twin).toarray(), DENSE[[1, 7]])
    assert SelectedColumns(CsrArraySource(sp.csr_array(wide)), columns).feature_names is None


@pytest.mark.parametrize(("columns", "wrong"), [([0, 11], 11), ([3, -1, 2], -1), ([2**31 - 1], 2147483647)])
def test_columns_outside_are_refused(columns, wrong):
    check_columns(np.asarray([0, 10]), 11, "it")
    check_columns(np.asarray([], dtype=np.int32), 11, "it")
    with pytest.raises(
        InvalidValueError, match=f"columns in it must be at least 0 and below its 11 features; got {wrong}"
    ):
        check_columns(np.asarray(columns), 11, "it")
