# SPDX-License-Identifier: BSD-3-Clause
"""Every sparse form becomes the same rows, nothing is written to, and errors say where the fault lies."""

import sys
from types import ModuleType

import numpy as np
import pytest
import scipy.sparse as sp

from softmax_xp.backend import Backend, Capabilities, backend_of
from softmax_xp.data import sparse
from softmax_xp.data.sparse import place_of, row_slice
from softmax_xp.data.sparse_input import as_rows, as_sparse
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from tests.data.sparse_forms import FORMS, random_dense, snapshot

DENSE = random_dense()


def parts(X):
    return X.data, X.indices, X.indptr


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_every_form_becomes_the_same_rows(form, dtype):
    X = FORMS[form](DENSE)
    before = snapshot(X)
    rows = as_rows(as_sparse(X), None if dtype is None else np.dtype(dtype))
    assert snapshot(X) == before
    assert isinstance(rows, sp.csr_array)
    assert rows.dtype == (dtype or "float64")
    assert rows.indices.dtype == rows.indptr.dtype == "int32"
    assert rows.has_canonical_format
    rows.check_format(full_check=True)
    np.testing.assert_array_equal(rows.toarray(), DENSE.astype(rows.dtype))
    wanted = sp.csr_array(DENSE.astype(rows.dtype))
    if form not in {"explicit zeros", "bsr_array", "dia_array"}:
        for ours, theirs in zip(parts(rows), parts(wanted), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix])
def test_what_is_right_already_is_shared(kind):
    X = kind(DENSE)
    for part, own in zip(parts(as_rows(X)), parts(X), strict=True):
        assert np.shares_memory(part, own)
    narrow = as_rows(X, np.dtype("float32"))
    assert not np.shares_memory(narrow.data, X.data)
    assert np.shares_memory(narrow.indices, X.indices)
    wide = FORMS["int64 csr_array"](DENSE)
    assert np.shares_memory(as_rows(wide).data, wide.data)


def test_wide_indices_stay_where_they_are_needed():
    wide = sp.csr_array((np.ones(1), np.asarray([2**31 + 5]), np.asarray([0, 1])), shape=(1, 2**31 + 10))
    assert as_rows(as_sparse(wide)).indices.dtype == "int64"


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64"])
def test_integers_become_the_float_that_is_asked_for(dtype):
    values = (np.abs(DENSE) * 10).astype(dtype)
    X = sp.csr_matrix(values)
    rows = as_rows(as_sparse(X), np.dtype("float32"))
    assert rows.dtype == "float32"
    np.testing.assert_array_equal(rows.toarray(), values.astype("float32"))


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_duplicates_are_added_in_the_float_of_the_computation(dtype):
    X = sp.csr_array((np.asarray([200, 100], dtype=dtype), [1, 1], [0, 2]), shape=(1, 2))
    assert as_rows(as_sparse(X), np.dtype("float64")).toarray().tolist() == [[0.0, 300.0]]
    assert X.indices.tolist() == [1, 1]


@pytest.mark.parametrize("form", ["csr_array", "csc_matrix", "coo_array", "int64 csc_array", "unsorted csc"])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_the_first_bad_value_is_named_in_the_order_of_the_rows(form, value, word):
    values = DENSE.copy()
    values[9, 7] = value
    X = FORMS[form](values)
    with pytest.raises(InvalidValueError, match=rf"`X` must be finite; got {word} at row 9, column 7 \(1 such value\)"):
        as_sparse(X)
    # Column 1 comes first in CSC, row 9 in the order of the rows.
    values[20, 1] = value
    X = FORMS[form](values)
    before = snapshot(X)
    with pytest.raises(InvalidValueError, match=rf"`Z`.* {word} at row 9, column 7 \(2 values are not finite\)"):
        as_sparse(X, "Z")
    assert snapshot(X) == before


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (sp.csr_array((0, 3)), InvalidValueError, r"at least one sample and one feature; got shape \(0, 3\)"),
        (sp.csc_matrix((3, 0)), InvalidValueError, r"at least one sample and one feature; got shape \(3, 0\)"),
        (sp.coo_array(np.ones(3)), InvalidValueError, r"shape \(n_samples, n_features\); got shape \(3,\)"),
        (sp.csr_array(np.eye(2) * 1j), InvalidTypeError, "real numbers; got dtype complex128"),
    ],
)
def test_what_is_no_real_matrix_is_refused(X, error, match):
    with pytest.raises(error, match=match):
        as_sparse(X)


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("fault", ["column", "negative", "limits", "first", "missing"])
def test_indices_that_point_outside_are_refused(kind, fault):
    X = kind(DENSE)
    if fault == "column":
        X.indices[3] = 10**6
    elif fault == "negative":
        X.indices[3] = -1
    elif fault == "limits":
        X.indptr[3] = X.indptr[2] - 1
    elif fault == "first":
        X.indptr[0] = 1
    else:
        X.indptr[-1] += 5
    with pytest.raises(InvalidValueError, match="indices that point outside its shape"):
        as_sparse(X)


class FakeDeviceArray(np.ndarray):
    """Stands for a CuPy array."""


class FakeDevice(str):
    """NumPy's device, which can be made current as CuPy's."""

    __slots__ = ()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


CUDA = Backend("cuda:0", place_of(DENSE).xp, FakeDevice("cpu"), Capabilities(True, "float32", row_chunks=False))


@pytest.fixture
def cupyx(monkeypatch):
    """Put CuPy's place in the world: a class of its name whose arrays are known to live on a GPU."""

    class csr_matrix(sp.csr_matrix):
        __module__ = "cupyx.scipy.sparse._csr"

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)

        def __setattr__(self, name, value):
            super().__setattr__(name, value.view(FakeDeviceArray) if name == "data" else value)

        def get(self):
            return sp.csr_matrix((np.asarray(self.data), self.indices, self.indptr), shape=self.shape)

    module = ModuleType("cupyx.scipy.sparse")
    module.csr_matrix = csr_matrix
    for name in ("cupyx", "cupyx.scipy"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "cupyx.scipy.sparse", module)
    monkeypatch.setattr(
        sparse, "backend_of", lambda array: CUDA if isinstance(array, FakeDeviceArray) else backend_of(array)
    )
    return module


def test_rows_go_to_cuda_in_their_canonical_form_and_come_back(cupyx):
    X = FORMS["duplicates csc"](DENSE)
    there = as_rows(as_sparse(X), np.dtype("float32"), CUDA)
    assert type(there) is cupyx.csr_matrix
    assert place_of(there) is CUDA
    assert there.dtype == "float32"
    assert there.has_canonical_format
    assert as_sparse(there) is there
    np.testing.assert_array_equal(there.toarray(), DENSE.astype("float32"))
    assert type(as_rows(there)) is cupyx.csr_matrix
    assert type(row_slice(there, slice(3, 9))) is cupyx.csr_matrix
    back = as_rows(there, None, place_of(DENSE))
    assert isinstance(back, sp.csr_array)
    np.testing.assert_array_equal(back.toarray(), DENSE.astype("float32"))


def test_a_fault_on_cuda_is_named_too(cupyx):
    values = DENSE.copy()
    values[8, 1] = np.nan
    with pytest.raises(InvalidValueError, match="NaN at row 8, column 1"):
        as_sparse(cupyx.csr_matrix(values))


def test_other_libraries_are_refused():
    backend = Backend("torch:cpu", None, None)
    with pytest.raises(InvalidTypeError, match=r"`X` must be dense on device 'torch:cpu'.*device='cpu' or 'cuda'"):
        as_rows(sp.csr_array(DENSE), None, backend)
