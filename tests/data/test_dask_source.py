# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.data.dask_source import DaskSource, is_dask, on_host
from softmax_xp.data.source import is_source, rows_at
from softmax_xp.errors import InvalidTypeError, InvalidValueError

da = pytest.importorskip("dask.array", reason="Dask's arrays are not installed")
X = np.arange(60.0).reshape(20, 3)


def test_a_dask_array_is_a_source():
    source = DaskSource.of(da.from_array(X, chunks=(6, 2)))
    assert is_source(source)
    assert (source.shape, source.dtype, source.labels, source.target_name) == ((20, 3), np.float64, None, None)
    assert source.X.chunks == ((6, 6, 6, 2), (3,))
    rows = np.empty((9, 3))
    source.read_into(4, rows)
    np.testing.assert_array_equal(rows, X[4:13])
    index = np.asarray([17, 2, 2, 9])
    np.testing.assert_array_equal(rows_at(source, index), X[index])


def test_sizes_that_are_unknown_are_counted():
    rows = da.from_array(X, chunks=(6, 3))
    assert DaskSource.of(rows[rows[:, 0] > 20]).shape == (13, 3)


def test_other_things_are_told_apart():
    assert is_dask(da.zeros(3))
    assert not is_dask(X)
    assert on_host(X) is X
    assert on_host(da.arange(3)).tolist() == [0, 1, 2]
    with pytest.raises(InvalidValueError, match="Dask array of 1 dimensions"):
        DaskSource.of(da.zeros(3))
    with pytest.raises(InvalidTypeError, match="must hold real numbers"):
        DaskSource.of(da.zeros((3, 2), dtype=complex))


def test_sparse_blocks_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    rows = da.from_array(X, chunks=(6, 3)).map_blocks(sparse.csr_matrix)
    with pytest.raises(InvalidTypeError, match="`X` must be a Dask array of dense blocks; got sparse ones"):
        DaskSource.of(rows)
