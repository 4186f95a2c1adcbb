# SPDX-License-Identifier: BSD-3-Clause
"""What a fit does with sparse rows: slices, columns, and chunks of equal work, all of which share memory."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from softmax_xp.backend import backend_of
from softmax_xp.data.sparse import (
    assembled,
    balanced_slices,
    bounded_slices,
    chunk_count,
    in_float,
    is_sparse,
    largest_entries,
    occurring_columns,
    place_of,
    row_slice,
    select_columns,
    spread_rows,
    squared_entries,
    take_rows,
    to_dense,
)
from softmax_xp.data.sparse_input import as_rows
from tests.data.sparse_forms import FORMS, random_dense

DENSE = random_dense()
N_SAMPLES, N_FEATURES = DENSE.shape
ROWS = as_rows(sp.csr_array(DENSE))


def test_what_is_sparse():
    assert all(is_sparse(form(DENSE)) for form in FORMS.values())
    assert not any(is_sparse(X) for X in (DENSE, [[1.0]], "scipy.sparse", None))


def test_slices_of_rows_share_memory():
    for start, stop in [(0, 1), (5, 6), (0, N_SAMPLES), (3, 20), (30, 10**6)]:
        some = row_slice(ROWS, slice(start, stop))
        np.testing.assert_array_equal(some.toarray(), DENSE[start:stop])
        assert some.has_canonical_format
        assert some.nnz == 0 or np.shares_memory(some.data, ROWS.data)
        assert some.nnz == 0 or np.shares_memory(some.indices, ROWS.indices)
    np.testing.assert_array_equal(row_slice(ROWS, slice(2, 30, 3)).toarray(), DENSE[2:30:3])


def test_another_float_shares_the_indices():
    narrow = in_float(ROWS, np.dtype("float32"))
    assert narrow.dtype == "float32"
    assert np.shares_memory(narrow.indices, ROWS.indices)
    assert in_float(ROWS, ROWS.dtype) is ROWS


def test_squares_do_not_overflow_on_the_way():
    scale = np.full(N_FEATURES, 2.0**120, dtype=np.float32)
    rows = in_float(ROWS, np.dtype("float32"))
    large = sp.csr_array((rows.data * scale[0], rows.indices, rows.indptr), shape=rows.shape)
    squares = squared_entries(large, scale)
    assert squares.dtype == "float32"
    np.testing.assert_allclose(squares.toarray(), DENSE**2, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_entry_of_each_column(dtype):
    rows = in_float(ROWS, np.dtype(dtype))
    largest = largest_entries(rows)
    assert largest.dtype == dtype
    np.testing.assert_array_equal(largest, np.abs(DENSE.astype(dtype)).max(axis=0))
    assert largest[4] == 0.0


def test_columns_that_never_occur_are_left_out():
    columns = occurring_columns(ROWS)
    np.testing.assert_array_equal(columns, np.flatnonzero(np.any(DENSE != 0.0, axis=0)))
    few = select_columns(ROWS, columns)
    np.testing.assert_array_equal(few.toarray(), DENSE[:, columns])
    assert few.has_canonical_format
    assert np.shares_memory(few.data, ROWS.data)
    np.testing.assert_array_equal(spread_rows(DENSE[:, columns].T, columns, N_FEATURES), DENSE.T)


def test_zeros_are_written_out_on_demand():
    np.testing.assert_array_equal(to_dense(ROWS), DENSE)
    assert to_dense(DENSE) is DENSE


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(1, 20))
def test_chunks_cover_all_rows_in_order_and_share_the_work(lengths, n_chunks):
    limits = np.concatenate(([0], np.cumsum(lengths)))
    rows = sp.csr_array((np.ones(limits[-1]), np.zeros(limits[-1], dtype=int), limits), shape=(len(lengths), 3))
    slices = balanced_slices(rows, n_chunks)
    assert np.concatenate([np.arange(len(lengths))[part] for part in slices]).tolist() == list(range(len(lengths)))
    assert len(slices) <= n_chunks
    assert all(part.start < part.stop for part in slices)
    work = [limits[part.stop] - limits[part.start] + 6 * (part.stop - part.start) for part in slices]
    # No chunk has more than its share and the rows at its two ends.
    assert max(work) <= (limits[-1] + 6 * len(lengths)) / n_chunks + 2 * (max(lengths) + 6)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(1, 90), st.integers(1, 5))
def test_large_parts_are_cut_by_their_entries(lengths, most, n_parts):
    limits = np.concatenate(([0], np.cumsum(lengths)))
    bounds = np.unique(np.linspace(0, len(lengths), n_parts + 1).astype(int)).tolist()
    parts = [slice(start, stop) for start, stop in pairwise(bounds)]
    slices = bounded_slices(limits, parts, most)
    assert np.concatenate([np.arange(len(lengths))[part] for part in slices]).tolist() == list(range(len(lengths)))
    for part in slices:
        assert limits[part.stop] - limits[part.start] <= most or part.stop - part.start == 1
    assert set(bounds) <= {part.start for part in slices} | {len(lengths)}
    assert bounded_slices(limits, parts, int(limits[-1]) + 1) == parts


def test_the_number_of_chunks_follows_from_the_sizes():
    tall = sp.csr_array((10**6, 10))
    wide = sp.csr_array((10**6, 10**6))
    assert chunk_count(tall, 1000) == 1024  # of 600 thousand classes and rows each
    assert chunk_count(tall, 7) == 8
    assert chunk_count(wide, 1000) == 2  # each with a part of the gradient
    assert chunk_count(sp.csr_array((1000, 10**6)), 10) == 1


@pytest.mark.gpu
def test_products_on_cuda_agree_with_scipy():
    cupy = pytest.importorskip("cupy")
    there = as_rows(sp.csr_array(DENSE), np.dtype("float64"), backend_of(cupy.zeros(1)))
    weight = np.random.default_rng(1).standard_normal((N_FEATURES, 4))
    gradient = np.random.default_rng(2).standard_normal((N_SAMPLES, 4))
    np.testing.assert_allclose((there @ cupy.asarray(weight)).get(), DENSE @ weight, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose((there.T @ cupy.asarray(gradient)).get(), DENSE.T @ gradient, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(largest_entries(there).get(), np.abs(DENSE).max(axis=0))
    few = select_columns(there, occurring_columns(there))
    np.testing.assert_allclose(few.toarray().get(), DENSE[:, np.any(DENSE != 0.0, axis=0)])
    np.testing.assert_allclose(row_slice(there, slice(3, 20)).toarray().get(), DENSE[3:20])


def test_a_place_is_that_of_the_values():
    assert place_of(ROWS) == place_of(DENSE) == backend_of(DENSE)


def test_parts_are_put_together_as_they_are():
    some = assembled(sp.csr_array, (ROWS.data[:3], ROWS.indices[:3], np.asarray([0, 1, 3])), (2, N_FEATURES))
    assert np.shares_memory(some.data, ROWS.data)
    np.testing.assert_array_equal(some.toarray().sum(axis=1), [ROWS.data[0], ROWS.data[1] + ROWS.data[2]])


def test_rows_are_taken_in_the_order_of_the_index():
    rows = sp.csr_array(np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(take_rows(rows, np.asarray([3, 0, 3])).toarray(), rows.toarray()[[3, 0, 3]])
