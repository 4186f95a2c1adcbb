# SPDX-License-Identifier: BSD-3-Clause
"""The softmax loss of a linear classifier with its gradient, and prediction."""

__all__ = ["predict_softmax_loss", "softmax_loss"]

from typing import Any

from softmax_xp.backend import as_array, backend_of
from softmax_xp.data.sparse import is_sparse
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import LinearObjective
from softmax_xp.ops.memory import check_memory_budget
from softmax_xp.penalties import L2
from softmax_xp.typing import Array, LinearParams

_LOSS = CrossEntropy()


def softmax_loss(
    W: Array, X: Array, y: Array, reg: float = 0.0, *, memory_budget: int | None = None
) -> tuple[Array, Array]:
    """Compute the softmax loss of a linear classifier and its gradient.

        loss = mean(-log(softmax(X @ W)[n, y[n]])) + 0.5 * reg * sum(W * W)

    Parameters
    ----------
    W : array of float, shape (n_features, n_classes)
        Weights. A bias is a column of ones in ``X``.
    X : array of shape (n_samples, n_features)
        Features, on the device of ``W``.
    y : array of int, shape (n_samples,)
        Class numbers in ``0 .. n_classes - 1``. Moved to the device of ``W`` if they are elsewhere.
    reg : float, default: 0.0
        Strength of the squared penalty. Note the factor one half: the gradient's term is ``reg * W``.
    memory_budget : int, optional
        The most bytes to allocate: for the logits of some rows with what is computed from them, for the gradient, and
        for those rows' part of it. The fewer they are, the fewer rows are computed at once; the loss stays exact.

    Returns
    -------
    loss : array of shape ()
        In nats. A NumPy scalar, which is a Python float, where ``W`` is a NumPy array.
    dW : array of the shape of ``W``
        Its gradient.

    Raises
    ------
    DeviceMismatchError
        When ``W`` and ``X`` live in different places.
    InvalidTypeError
        For labels that are not integers, a sparse ``X``, or a memory budget that is none.
    InvalidValueError
        For shapes that do not fit, labels out of range, or a memory budget too small for one row, in which case the
        message names the least. The check of the labels is the call's one host read on a GPU.

    References
    ----------
    .. [1] J. S. Bridle, "Probabilistic interpretation of feedforward classification network outputs, with
       relationships to statistical pattern recognition", 1990.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> loss, dW = sx.softmax_loss(np.zeros((2, 2)), np.array([[1000.0, 0.0], [0.0, 1.0]]), np.array([0, 1]), 0.1)
    >>> float(loss)
    0.6931471805599453
    >>> dW
    array([[-250.  ,  250.  ],
           [   0.25,   -0.25]])
    """
    _check_dense(X)
    W, X = as_array(W), as_array(X)
    backend = backend_of(W, X, names=("W", "X"))
    if W.ndim != 2 or X.ndim != 2 or X.shape[1] != W.shape[0] or W.shape[1] == 0 or X.shape[0] == 0:
        msg = (
            "`W` and `X` must have shapes (n_features, n_classes) and (n_samples, n_features), with at least one of "
            f"each; got {tuple(W.shape)} and {tuple(X.shape)}."
        )
        raise InvalidValueError(msg)
    dtype = backend.float_dtype(W.dtype)
    backend.float_dtype(X.dtype)  # refuses complex numbers and strings
    penalty = L2(reg) if reg else None
    labels = backend.put(as_array(y))
    if labels.shape != X.shape[:1]:
        msg = f"`y` must have shape ({X.shape[0]},), one label for each row of `X`; got {tuple(labels.shape)}."
        raise InvalidValueError(msg)
    targets = _LOSS.prepare(labels, W.shape[1], dtype=dtype)
    weight = W if W.dtype == dtype else backend.xp.astype(W, dtype)
    with backend.scope():
        objective = LinearObjective(X, targets, _LOSS, penalty, dtype, memory_budget=check_memory_budget(memory_budget))
        objective.check_budget(W.shape[1])
        loss, gradient = objective.value_and_gradient(LinearParams(weight))
    return loss, gradient.weight


def predict_softmax_loss(W: Array, X: Array) -> Array:
    """Return the class number with the largest score: ``argmax(X @ W, axis=1)``.

    Parameters
    ----------
    W : array of shape (n_features, n_classes)
        Weights.
    X : array of shape (n_samples, n_features)
        Features, on the device of ``W``.

    Returns
    -------
    array of int, shape (n_samples,)
        Class numbers; a tie goes to the lower one.

    Raises
    ------
    DeviceMismatchError
        When ``W`` and ``X`` live in different places.
    InvalidTypeError
        For a sparse ``X``.
    InvalidValueError
        For shapes that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> sx.predict_softmax_loss(np.eye(2), np.array([[0.0, 1.0], [1.0, 1.0]]))
    array([1, 0])
    """
    _check_dense(X)
    W, X = as_array(W), as_array(X)
    backend = backend_of(W, X, names=("W", "X"))
    xp = backend.xp
    if W.ndim != 2 or X.ndim != 2 or X.shape[1] != W.shape[0]:
        msg = f"`X` must have shape (n_samples, {W.shape[0]}), the rows of `W`; got {tuple(X.shape)}."
        raise InvalidValueError(msg)
    dtype = backend.float_dtype(W.dtype)
    backend.float_dtype(X.dtype)  # refuses complex numbers and strings
    with backend.scope():
        return xp.argmax(xp.astype(X, dtype, copy=False) @ xp.astype(W, dtype, copy=False), axis=1)


def _check_dense(X: Any) -> None:
    """Refuse sparse matrices, which are no arrays of the standard."""
    if is_sparse(X):
        msg = (
            f"`X` must be dense; got {type(X).__name__}. Pass X.toarray() if it fits in memory, or use "
            "SoftmaxClassifier, which takes sparse data."
        )
        raise InvalidTypeError(msg)
