# SPDX-License-Identifier: BSD-3-Clause
"""One matrix in every sparse form in which a user may hold it."""

__all__ = ["FORMS", "random_dense", "snapshot"]

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp


def random_dense(n_samples: int = 37, n_features: int = 11, *, seed: int = 7, share: float = 0.3) -> np.ndarray:
    """Return a matrix of mostly zeros, with an empty row, an empty column, a full row and a full column."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n_samples, n_features)) * (rng.random((n_samples, n_features)) < share)
    values[3], values[:, 2] = 1.5, -0.5
    values[5], values[:, 4] = 0.0, 0.0
    return values


def with_indices(X: Any, dtype: str) -> Any:
    X = X.copy()
    X.indices, X.indptr = X.indices.astype(dtype), X.indptr.astype(dtype)
    return X


def unsorted(values: np.ndarray, kind: Any = sp.csr_array) -> Any:
    """Reverse the entries of each row (of each column for CSC)."""
    X = kind(values)
    order = np.concatenate([np.arange(stop - 1, start - 1, -1) for start, stop in pairwise(X.indptr)])
    return kind((X.data[order], X.indices[order], X.indptr), shape=X.shape)


def with_duplicates(values: np.ndarray, kind: Any = sp.csr_array) -> Any:
    """Store each entry as two halves, which add up to it exactly, one behind the other's neighbours."""
    X = kind(values)
    places = [np.concatenate([np.arange(a, b), np.arange(a, b)]) for a, b in pairwise(X.indptr)]
    order = np.concatenate(places).astype(np.int64)
    return kind((0.5 * X.data[order], X.indices[order], 2 * X.indptr), shape=X.shape)


def with_room(values: np.ndarray) -> Any:
    """Leave room behind the entries, filled with what must not be read."""
    X = sp.csr_array(values)
    X.data = np.concatenate((X.data, [np.nan, np.inf]))
    X.indices = np.concatenate((X.indices, np.asarray([10**6, -1], dtype=X.indices.dtype)))
    return X


def with_zeros(values: np.ndarray) -> Any:
    """Store every zero."""
    n_samples, n_features = values.shape
    columns = np.tile(np.arange(n_features), n_samples)
    return sp.csr_array((values.ravel(), columns, np.arange(0, values.size + 1, n_features)), shape=values.shape)


def read_only(X: Any) -> Any:
    for part in (X.data, X.indices, X.indptr):
        part.setflags(write=False)
    return X


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "csr_array": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "csc_array": sp.csc_array,
    "csc_matrix": sp.csc_matrix,
    "coo_array": sp.coo_array,
    "lil_matrix": sp.lil_matrix,
    "dok_array": sp.dok_array,
    "bsr_array": sp.bsr_array,
    "dia_array": sp.dia_array,
    "int64 csr_array": lambda values: with_indices(sp.csr_array(values), "int64"),
    "int64 csr_matrix": lambda values: with_indices(sp.csr_matrix(values), "int64"),
    "int64 csc_array": lambda values: with_indices(sp.csc_array(values), "int64"),
    "unsorted csr": unsorted,
    "unsorted csc": lambda values: unsorted(values, sp.csc_array),
    "duplicates csr": with_duplicates,
    "duplicates csr_matrix": lambda values: with_duplicates(values, sp.csr_matrix),
    "duplicates csc": lambda values: with_duplicates(values, sp.csc_array),
    "int64 duplicates": lambda values: with_indices(with_duplicates(values), "int64"),
    "room behind": with_room,
    "explicit zeros": with_zeros,
    "read-only csr": lambda values: read_only(sp.csr_array(values)),
    "read-only unsorted": lambda values: read_only(unsorted(values)),
    "read-only csc": lambda values: read_only(sp.csc_matrix(values)),
}


def snapshot(X: Any) -> dict[str, Any]:
    """Copy all that a matrix is made of, its remembered answers too."""
    return {
        name: (value.dtype, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)
        for name, value in vars(X).items()
    }
