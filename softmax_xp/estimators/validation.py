# SPDX-License-Identifier: BSD-3-Clause
"""What goes into the estimators' methods: the matrix, its feature names, and whether there was a fit.

Messages contain the words that scikit-learn's conformity checks look for.
"""

__all__ = [
    "UnfittedError",
    "as_matrix",
    "as_numbers",
    "check_features",
    "check_fitted",
    "check_same_place",
    "put_rows",
    "without_graph",
]

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from softmax_xp.backend import Backend, array_namespace, as_array, backend_of
from softmax_xp.data.rows import place_of
from softmax_xp.data.sparse import is_sparse
from softmax_xp.data.sparse_input import as_rows, as_sparse
from softmax_xp.data.validation import check_matrix, refuse_masked
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SoftmaxXPError
from softmax_xp.typing import Array

_MISSING = frozenset({"NAType", "NaTType"})


class UnfittedError(SoftmaxXPError, NotFittedError):  # type: ignore[misc]  # scikit-learn has no types
    """A method needs the result of `fit`, which has not been called."""


def check_fitted(estimator: Any) -> None:
    """Raise unless `estimator` has been fitted."""
    if not hasattr(estimator, "classes_"):
        name = type(estimator).__name__
        msg = f"This {name} is not fitted yet. Call `fit` or `partial_fit` first, or use {name}.load."
        raise UnfittedError(msg)


def as_matrix(X: Any, name: str = "X") -> Array:
    """Turn whatever a user passes for ``X`` into a finite real matrix.

    This is the only place where the estimators do so.

    Parameters
    ----------
    X : array_like, data frame or sparse array, of shape (n_samples, n_features)
        An array of any library stays where it is; anything else becomes a NumPy array.
    name : str, default="X"
        What to call it in messages.

    Returns
    -------
    array, or sparse array, of shape (n_samples, n_features)
        Of bool, integers or floats; not copied where it is an array already. A sparse one is CSR or CSC.

    Raises
    ------
    InvalidTypeError
        For strings, dates and other things that are no matrix of numbers.
    InvalidValueError
        For complex numbers, a wrong shape, NaN and infinity.
    """
    if is_sparse(X):
        _check_kind(np.dtype(X.dtype).kind == "c", X, name)
        _check_shape(tuple(X.shape), name)
        return as_sparse(X, name)
    refuse_masked(X, name)
    if str(getattr(X, "layout", "")).startswith("torch.sparse"):
        msg = f"`{name}` must be dense, or sparse of SciPy or CuPy; got {X.layout}. Pass {name}.to_dense()."
        raise InvalidTypeError(msg)
    try:
        matrix = without_graph(as_array(X))
    except ValueError as error:  # rows of different lengths
        msg = f"`{name}` must have shape (n_samples, n_features); got {type(X).__name__}: {error}"
        raise InvalidValueError(msg) from None
    if isinstance(matrix, np.ndarray):
        matrix = as_numbers(matrix, name)
    _check_kind(array_namespace(matrix).isdtype(matrix.dtype, "complex floating"), matrix, name)
    _check_shape(tuple(matrix.shape), name)
    check_matrix(matrix, name)
    return matrix


def without_graph(array: Array) -> Array:
    """Return an array that PyTorch does not follow: a fit on embeddings that want gradients would keep every pass."""
    return array.detach() if getattr(array, "requires_grad", False) else array


def put_rows(matrix: Array, backend: Backend, dtype: Any) -> Array:
    """Bring a matrix to the device of a computation: a dense one in its own dtype, a sparse one as canonical rows.

    Parameters
    ----------
    matrix : array, or sparse array, of shape (n_samples, n_features)
        From :func:`as_matrix`.
    backend : Backend
        Where to.
    dtype : dtype
        The float of the computation.

    Returns
    -------
    array, or sparse array, of shape (n_samples, n_features)
        Not copied where it is there in this form.
    """
    return as_rows(matrix, dtype, backend) if is_sparse(matrix) else backend.put(matrix)


def as_numbers(matrix: NDArray[Any], name: str) -> NDArray[Any]:
    """Return a NumPy array of numbers; Python objects become float64, text never does."""
    if matrix.dtype.kind in "SUT":
        msg = f"`{name}` must hold numbers; got text, {matrix.dtype}. Convert or encode it first."
        raise InvalidTypeError(msg)
    if matrix.dtype.kind != "O":
        return matrix
    values = matrix.ravel().tolist()
    numbers = [np.nan if type(value).__name__ in _MISSING else value for value in values]
    try:
        if any(isinstance(value, str | bytes) for value in numbers):
            msg = "text"
            raise TypeError(msg)  # noqa: TRY301 - float() would take "1.5"
        return np.asarray(numbers, dtype=np.float64).reshape(matrix.shape)
    except (TypeError, ValueError):
        raise _not_a_number(numbers, matrix.shape, name) from None


def _not_a_number(values: list[Any], shape: tuple[int, ...], name: str) -> InvalidTypeError:
    """Find the first object that is no number."""
    for position, value in enumerate(values):
        try:
            is_number = not isinstance(value, str | bytes) and np.ndim(float(value)) == 0
        except (TypeError, ValueError):
            is_number = False
        if not is_number:
            place = tuple(int(index) for index in np.unravel_index(position, shape))
            got = f"{value!r} of type {type(value).__name__} at {place}"
            # scikit-learn looks for the words that float() itself has for this.
            msg = f"`{name}` must hold real numbers; got {got}. No argument must be a string, only a real number."
            return InvalidTypeError(msg)
    return InvalidTypeError(f"`{name}` must hold real numbers; got objects that are none.")


def _check_kind(is_complex: bool, matrix: Any, name: str) -> None:  # noqa: FBT001 - a private predicate
    """Refuse complex numbers."""
    if is_complex:
        msg = f"`{name}` must hold real numbers; got {matrix.dtype}. Complex data not supported. Pass {name}.real?"
        raise InvalidValueError(msg)


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    """Refuse what is not a matrix, or holds nothing."""
    if len(shape) != 2:
        advice = f" Reshape your data: {name}[:, None] is one feature, {name}[None, :] one sample."
        msg = f"`{name}` must have shape (n_samples, n_features); got shape {shape}.{advice if len(shape) == 1 else ''}"
        raise InvalidValueError(msg)
    for count, what in zip(shape, ("sample", "feature"), strict=True):
        if count == 0:
            msg = f"`{name}` must hold data; found 0 {what}(s) (shape={shape}) while a minimum of 1 is required."
            raise InvalidValueError(msg)


def check_features(estimator: Any, X: Any, matrix: Array, *, reset: bool) -> None:
    """Set, or compare, the estimator's ``n_features_in_`` and ``feature_names_in_``.

    Parameters
    ----------
    estimator : BaseEstimator
        Its attributes are set if `reset`.
    X : array_like or data frame
        As the user passed it.
    matrix : array of shape (n_samples, n_features)
        From :func:`as_matrix`.
    reset : bool
        Whether a fit begins.

    Raises
    ------
    InvalidValueError
        For another number of features, or other names, than in the fit.
    InvalidTypeError
        For names of which only some are strings.
    """
    try:
        validate_data(estimator, X if hasattr(X, "columns") else matrix, reset=reset, skip_check_array=True)
    except ValueError as error:
        raise InvalidValueError(str(error)) from None
    except TypeError as error:
        raise InvalidTypeError(str(error)) from None


def check_same_place(estimator: Any, matrix: Array, method: str) -> None:
    """Hold scikit-learn's rule where the user has turned its array API dispatch on: all arrays live where `fit` was.

    With the dispatch off, the default, ``X`` may live anywhere: it is brought to the coefficients chunk by chunk.
    """
    if not get_config().get("array_api_dispatch", False):
        return
    fitted, given = backend_of(estimator.coef_), place_of(matrix)
    if fitted.xp is not given.xp or fitted.device != given.device:
        msg = (
            f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace and the same device "
            f"as those passed to fit(): {fitted.name!r}; got {given.name!r}. Pass X there, use `to`, or turn "
            "scikit-learn's array_api_dispatch off."
        )
        raise InvalidValueError(msg)
