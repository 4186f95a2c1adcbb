# SPDX-License-Identifier: BSD-3-Clause
"""From a user's sparse matrix, of SciPy or CuPy and in any form, to the canonical rows that a fit reads.

These are CSR with sorted columns, without duplicates, in the float of the computation, with 32-bit indices where these
suffice: then equal data give equal bits, and a product reads half as many bytes of indices.
"""

__all__ = ["as_rows", "as_sparse", "csr_type"]

import importlib
import math
from typing import Any

import numpy as np

from softmax_xp.backend import Backend, array_namespace, backend_of
from softmax_xp.data.sparse import assembled, place_of
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.typing import Array

_INT32_MAX = 2**31 - 1
_HOST = backend_of(np.empty(0))


def as_sparse(X: Any, name: str = "X") -> Any:
    """Check that a sparse matrix is a finite real one, with at least one row and one column.

    Parameters
    ----------
    X : sparse matrix or array of shape (n_samples, n_features)
        Of SciPy or CuPy, in any form. It is not written to.
    name : str, default: "X"
        What to call it in messages.

    Returns
    -------
    sparse matrix or array of shape (n_samples, n_features)
        ``X`` itself if it is CSR or CSC, else a CSR copy.

    Raises
    ------
    InvalidTypeError
        If ``X`` is complex or of Python objects.
    InvalidValueError
        If ``X`` is not two-dimensional, is empty, holds NaN or infinity, or has indices that point outside: SciPy's
        products would follow those anywhere.

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> from softmax_xp.data.sparse_input import as_sparse
    >>> as_sparse(scipy.sparse.csr_array(np.asarray([[0.0, np.nan]])))
    Traceback (most recent call last):
    ...
    softmax_xp.errors.InvalidValueError: `X` must be finite; got NaN at row 0, column 1 (1 such value). ...
    """
    if X.ndim != 2:
        msg = f"`{name}` must have shape (n_samples, n_features); got shape {tuple(X.shape)}. Reshape it first."
        raise InvalidValueError(msg)
    if X.shape[0] == 0 or X.shape[1] == 0:
        msg = f"`{name}` must have at least one sample and one feature; got shape {tuple(X.shape)}."
        raise InvalidValueError(msg)
    if np.dtype(X.dtype).kind not in "buif":
        msg = f"`{name}` must hold real numbers; got dtype {X.dtype}. Convert or encode it first."
        raise InvalidTypeError(msg)
    if X.format not in {"csr", "csc"}:
        X = X.tocsr()
    _check_structure(X, name)
    values = _parts(X)[0]
    xp = array_namespace(values)
    if np.dtype(X.dtype).kind == "f" and not bool(xp.all(xp.isfinite(values))):
        _raise_not_finite(X, name)
    return X


def _parts(X: Any) -> tuple[Array, Array, Array]:
    """Return the values, the indices and the limits of CSR or CSC; there may be room for more values than count."""
    count = int(X.indptr[-1])
    return X.data[:count], X.indices[:count], X.indptr


def _is_on_cuda(X: Any) -> bool:
    return type(X).__module__.startswith("cupyx.")


def csr_type(backend: Backend) -> Any:
    """Return the class of the canonical form on a backend.

    Parameters
    ----------
    backend : Backend
        Where the rows are to be.

    Returns
    -------
    type
        SciPy's ``csr_array``, or CuPy's ``csr_matrix``.

    Raises
    ------
    InvalidTypeError
        If the backend has no sparse matrices.
    """
    library = {"cpu": "scipy.sparse", "cuda": "cupyx.scipy.sparse"}.get(backend.name.partition(":")[0])
    if library is None:
        msg = (
            f"`X` must be dense on device {backend.name!r}; got a sparse matrix, for which there are SciPy and CuPy. "
            "Pass device='cpu' or 'cuda', or X.toarray() if it fits in memory."
        )
        raise InvalidTypeError(msg)
    module = importlib.import_module(library)
    return module.csr_array if library == "scipy.sparse" else module.csr_matrix


def _check_structure(X: Any, name: str) -> None:
    """Refuse indices that point outside the matrix, which nobody has looked at if they were set by hand."""
    indptr = X.indptr
    steps = indptr[1:] - indptr[:-1]
    n_major, n_minor = X.shape if X.format == "csr" else X.shape[::-1]
    fits = indptr.shape[0] == n_major + 1 and int(indptr[0]) == 0 and not bool((steps < 0).any())
    fits = fits and int(indptr[-1]) <= min(X.indices.shape[0], X.data.shape[0])
    if fits:
        indices = _parts(X)[1]
        fits = indices.shape[0] == 0 or (int(indices.min()) >= 0 and int(indices.max()) < n_minor)
    if not fits:
        msg = (
            f"`{name}` must be a valid {X.format.upper()} matrix; got indices that point outside its shape "
            f"{tuple(X.shape)}. Look at what {name}.check_format(full_check=True) says."
        )
        raise InvalidValueError(msg)


def _raise_not_finite(X: Any, name: str) -> None:
    """Find the first value that is not finite, in the order of the rows, count them all, and raise."""
    host = (X.get() if _is_on_cuda(X) else X).tocsr()  # CSC would be searched by columns
    values, columns, limits = _parts(host)
    places = np.flatnonzero(~np.isfinite(values))
    rows = np.searchsorted(limits, places, side="right") - 1
    first = np.lexsort((columns[places], rows))[0]
    value = float(values[places[first]])
    is_nan = math.isnan(value)
    what = "NaN" if is_nan else f"{value:g}"
    advice = "Remove these samples or fill in the values" if is_nan else "Scale the features, or use a wider dtype"
    such = "1 such value" if len(places) == 1 else f"{len(places)} values are not finite"
    where = f"row {rows[first]}, column {columns[places[first]]}"
    msg = f"`{name}` must be finite; got {what} at {where} ({such}). {advice} first."
    raise InvalidValueError(msg)


def as_rows(X: Any, dtype: Any = None, backend: Backend | None = None) -> Any:
    """Bring a sparse matrix to the canonical form in which a fit reads it, and to its device.

    Parameters
    ----------
    X : sparse matrix or array of shape (n_samples, n_features)
        From :func:`as_sparse`. It is not written to.
    dtype : dtype, optional
        The float of the computation; by default that of ``X``.
    backend : Backend, optional
        Where; by default where ``X`` is.

    Returns
    -------
    sparse array of shape (n_samples, n_features)
        CSR with sorted columns and summed duplicates. Memory is shared with ``X`` where it has this form already; of
        its values, columns and row limits, those that have not are copied, once. Explicit zeros stay. On CUDA it is
        a ``cupyx`` matrix.

    Raises
    ------
    InvalidTypeError
        If the backend has no sparse matrices.

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> from softmax_xp.data.sparse_input import as_rows
    >>> rows = as_rows(scipy.sparse.csc_matrix(np.eye(2, dtype=np.float32)))
    >>> type(rows).__name__, rows.dtype.name, rows.indices.dtype.name
    ('csr_array', 'float32', 'int32')
    """
    home = place_of(X)
    backend = home if backend is None else backend
    kind = csr_type(backend)
    if home.name == backend.name:
        return _canonical(kind, X, dtype)
    rows = _canonical(csr_type(_HOST), X.get() if _is_on_cuda(X) else X, dtype)
    if backend.name == _HOST.name:
        return rows
    with backend.scope():
        return assembled(kind, [backend.put(part) for part in _parts(rows)], rows.shape)


def _canonical(kind: Any, X: Any, dtype: Any) -> Any:
    """Return CSR rows in their canonical form, on the device of ``X``."""
    source = X if X.format == "csr" else X.tocsr()
    values, columns, limits = _parts(source)
    index = np.int32 if max(X.shape[1], values.shape[0]) <= _INT32_MAX else columns.dtype
    parts = [
        values if dtype is None else values.astype(dtype, copy=False),
        columns.astype(index, copy=False),
        limits.astype(index, copy=False),
    ]
    rows = assembled(kind, parts, X.shape)
    # The new matrix is asked, because the user's would remember the answer, and its indices may change later.
    if not rows.has_canonical_format:
        if source is X:
            # Summing overwrites; what `astype` has left as it was is the user's.
            theirs = (values.dtype, columns.dtype, limits.dtype)
            own = [part.copy() if part.dtype == old else part for part, old in zip(parts, theirs, strict=True)]
            rows = assembled(kind, own, X.shape)
        rows.sum_duplicates()
    return rows
