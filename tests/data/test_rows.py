# SPDX-License-Identifier: BSD-3-Clause
"""The kinds of X answer alike."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from softmax_xp.backend import backend_of
from softmax_xp.data import rows as rows_module
from softmax_xp.data.rows import (
    entry_count,
    has_sparse_rows,
    occurring_columns,
    place_of,
    row_chunks,
    row_slice,
    select_columns,
    select_rows,
    take_rows,
)
from softmax_xp.data.source import ArraySource
from softmax_xp.data.sparse_source import CsrArraySource
from softmax_xp.data.streamed import StreamedRows, is_streamed, loaded

X = np.arange(30.0).reshape(10, 3)
KINDS = ["dense", "sparse", "streamed", "streamed sparse"]


def of_kind(kind):
    if kind == "streamed sparse":
        return StreamedRows(CsrArraySource(csr_array(X)), backend_of(X))
    if kind == "streamed":
        return StreamedRows(ArraySource(X), backend_of(X))
    return X if kind == "dense" else csr_array(X)


def as_dense(rows):
    rows = loaded(rows)
    return rows.toarray() if hasattr(rows, "toarray") else rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [[slice(0, 4), slice(4, 10)], [slice(0, 6, 3), slice(6, 10, 3)]])
def test_chunks(kind, parts):
    for part, rows in zip(parts, row_chunks(of_kind(kind), parts), strict=True):
        np.testing.assert_array_equal(as_dense(rows), X[part])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_here_and_there(kind):
    index = np.asarray([4, 0, 4])
    np.testing.assert_array_equal(as_dense(take_rows(of_kind(kind), index)), X[index])
    np.testing.assert_array_equal(as_dense(take_rows(of_kind(kind), index, 2)), X[::2][index])
    assert place_of(of_kind(kind)).name == "cpu"


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_the_rows_is_of_the_same_kind(kind):
    some = select_rows(of_kind(kind), np.asarray([1, 2, 9]))
    assert is_streamed(some) is kind.startswith("streamed")
    assert has_sparse_rows(some) is kind.endswith("sparse")
    np.testing.assert_array_equal(as_dense(some), X[[1, 2, 9]])


def test_slices_share_memory_and_entries_are_counted():
    assert np.shares_memory(row_slice(X, slice(2, 5)), X)
    assert [entry_count(of_kind(kind)) for kind in KINDS] == [30, 29, 30, 29]


@pytest.mark.parametrize("kind", ["sparse", "streamed sparse"])
@pytest.mark.parametrize("entries", [1, 1 << 18])
def test_columns_that_never_occur_are_found_and_left_out(monkeypatch, kind, entries):
    monkeypatch.setattr(rows_module, "_ENTRIES", entries)
    dense = np.zeros((10, 9))
    dense[3:, [2, 3, 8]] = X[3:]
    matrix = csr_array(dense)
    whole = matrix if kind == "sparse" else StreamedRows(CsrArraySource(matrix), backend_of(X))
    columns = occurring_columns(whole)
    assert columns.tolist() == [2, 3, 8]
    few = select_columns(whole, columns)
    assert few.shape == (10, 3)
    assert is_streamed(few) is (kind != "sparse")
    np.testing.assert_array_equal(as_dense(few), dense[:, columns])
