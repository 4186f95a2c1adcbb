# SPDX-License-Identifier: BSD-3-Clause
"""The three kinds of X answer alike."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from softmax_xp.backend import backend_of
from softmax_xp.data.rows import entry_count, place_of, row_chunks, row_slice, select_rows, take_rows
from softmax_xp.data.source import ArraySource
from softmax_xp.data.streamed import StreamedRows, is_streamed, loaded

X = np.arange(30.0).reshape(10, 3)
KINDS = ["dense", "sparse", "streamed"]


def of_kind(kind):
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
    assert is_streamed(some) is (kind == "streamed")
    np.testing.assert_array_equal(as_dense(some), X[[1, 2, 9]])


def test_slices_share_memory_and_entries_are_counted():
    assert np.shares_memory(row_slice(X, slice(2, 5)), X)
    assert [entry_count(of_kind(kind)) for kind in KINDS] == [30, 29, 30]
