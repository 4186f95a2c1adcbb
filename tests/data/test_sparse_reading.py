# SPDX-License-Identifier: BSD-3-Clause
import gc

import numpy as np
import pytest
import scipy.sparse as sp

from softmax_xp.backend import backend_of
from softmax_xp.data.sparse_reading import SparseReader
from softmax_xp.data.sparse_source import CsrArraySource
from softmax_xp.errors import InvalidTypeError
from tests.data.sparse_forms import random_dense, with_duplicates

DENSE = random_dense()
HOST = backend_of(DENSE)


def reader(matrix):
    return SparseReader(CsrArraySource(matrix), HOST)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "bool"])
@pytest.mark.parametrize(
    "numbers", [range(37), range(4, 9), range(5, 6), range(0, 37, 5), [36, 0, 0, 5], [36, 0, 5], [], [2, 3, 9]], ids=str
)
def test_rows_are_those_of_the_matrix(dtype, numbers):
    matrix = sp.csr_array((10 * DENSE).astype(dtype))
    rows = reader(matrix).read(numbers if isinstance(numbers, range) else np.asarray(numbers, dtype=np.int64))
    assert rows.dtype == np.dtype(dtype)
    assert rows.indices.dtype == rows.indptr.dtype == np.int32
    assert rows.has_canonical_format
    np.testing.assert_array_equal(rows.toarray(), matrix.toarray()[list(numbers)])


@pytest.mark.parametrize("sort", [True, False])
def test_columns_that_do_not_ascend_are_sorted_and_added_at_each_read(sort):
    matrix = with_duplicates(DENSE)
    if sort:
        matrix.sort_indices()
    found = reader(matrix)
    for part in (range(37), range(3, 9), range(0, 37, 4)):
        rows = found.read(part)
        assert sp.csr_array((rows.data, rows.indices, rows.indptr), shape=rows.shape).has_canonical_format
        np.testing.assert_allclose(rows.toarray(), DENSE[part], rtol=1e-15, atol=1e-300)


def test_small_numbers_that_stand_twice_do_not_overflow():
    matrix = sp.csr_array((np.full(2, 100, dtype=np.int8), np.asarray([1, 1]), np.asarray([0, 2])), shape=(1, 2))
    assert reader(matrix).read(range(1)).toarray().tolist() == [[0.0, 200.0]]


def test_the_order_is_looked_at_once(monkeypatch):
    found, looks = reader(sp.csr_array(DENSE)), []
    kind = type(sp.csr_array((1, 1)))
    asked = kind.has_canonical_format
    monkeypatch.setattr(
        kind, "has_canonical_format", property(lambda self: looks.append(1) or asked.fget(self), asked.fset)
    )
    for part in (range(20), range(20), range(3, 12), range(10, 37), range(37)):
        found.read(part)
    assert len(looks) == 2


def test_memory_is_used_again_when_nobody_looks_at_it():
    found = reader(sp.csr_array(DENSE))
    rows = found.read(range(10))
    columns, address = rows.indices, rows.data.ctypes.data
    del rows
    assert found.read(range(10)).data.ctypes.data != address  # the columns are of the same buffer
    expected = sp.csr_array(DENSE)[:10].indices
    np.testing.assert_array_equal(columns, expected)
    del columns
    gc.collect()
    held = [found.read(range(10)) for _ in range(2)]
    assert address in {each.data.ctypes.data for each in held}


def test_chunks_of_about_one_size_have_one_buffer():
    lengths = np.tile([90, 97, 93, 100, 91, 99], 20)
    columns = np.concatenate([np.arange(length) for length in lengths])
    limits = np.concatenate(([0], np.cumsum(lengths)))
    found = reader(sp.csr_array((np.ones(columns.shape), columns, limits), shape=(120, 100)))
    addresses = {found.read(range(start, start + 1)).indices.ctypes.data for start in range(0, 120, 1)}
    assert len(addresses) <= 3


def test_rows_go_where_there_are_sparse_arrays(backend):
    where = backend_of(backend.asarray(np.zeros(1)))
    if where.name == "cpu":
        rows = reader(sp.csr_array(DENSE)).read(range(3))
        assert SparseReader(CsrArraySource(sp.csr_array(DENSE)), where).put(rows) is rows
        return
    if where.name.startswith("cuda"):
        found = SparseReader(CsrArraySource(sp.csr_array(DENSE)), where)
        np.testing.assert_array_equal(found.put(found.read(range(3))).get().toarray(), DENSE[:3])
        return
    with pytest.raises(InvalidTypeError, match="`X` must be dense on device"):
        SparseReader(CsrArraySource(sp.csr_array(DENSE)), where)
