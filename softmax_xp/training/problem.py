# SPDX-License-Identifier: BSD-3-Clause
"""The boundary of a fit: check what the user passed, and move it to the device once."""

__all__ = ["Problem", "prepare_problem"]

from collections.abc import Callable
from typing import Any, NamedTuple

from softmax_xp.backend import Backend, array_namespace, as_array, to_host
from softmax_xp.data.labels import encode_labels
from softmax_xp.data.open_source import source_and_labels
from softmax_xp.data.rows import place_of
from softmax_xp.data.source import Source, is_sparse_source
from softmax_xp.data.standardize import Standardization, fit_standardization
from softmax_xp.data.streamed import StreamedRows, is_streamed, stream_matrix
from softmax_xp.data.validation import (
    check_lengths,
    check_matrix,
    check_sample_weight,
    check_soft_targets,
    check_width,
    refuse_masked,
)
from softmax_xp.devices import get_backend
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.losses import Loss, Targets
from softmax_xp.objectives import LinearObjective
from softmax_xp.penalties import Penalty
from softmax_xp.typing import Array


class Problem(NamedTuple):
    """Everything that a training loop needs, on one device."""

    backend: Backend
    train: LinearObjective
    validation: LinearObjective | None
    classes: Any  # host array of shape (n_classes,)
    standardization: Standardization | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return n_samples, n_features, n_classes."""
        return (*self.train.X.shape, len(self.classes))


def prepare_problem(
    X: Any,
    y: Any,
    *,
    sample_weight: Any,
    validation: tuple[Any, ...] | None,
    classes: Any,
    device: str | Backend | None,
    dtype: Any,
    standardize: bool,
    loss: Loss,
    penalty: Penalty | None,
    memory_budget: int | None = None,
) -> Problem:
    """Check data and labels, choose the device and the float, and move everything there.

    Parameters
    ----------
    X : array_like, Source or path, of shape (n_samples, n_features)
        Real features. Moved to the device if it is elsewhere, in its own dtype; never copied there. Those of a source
        stay in their storage.
    y : array_like or None
        Labels of shape (n_samples,), or soft targets of shape (n_samples, n_classes).
    sample_weight : array_like of shape (n_samples,) or None
        Weights.
    validation : tuple or None
        ``(X, y)`` or ``(X, y, sample_weight)``.
    classes : array_like of shape (n_classes,) or None
        All classes, where ``y`` may lack some.
    device : str, Backend or None
        Where to compute.
    dtype : dtype or str or None
        The float in which to compute; None follows ``X``.
    standardize : bool
        Whether to centre and scale the features.
    loss : Loss
        Knows how to prepare targets.
    penalty : Penalty or None
        Becomes part of the training objective.
    memory_budget : int, optional
        The most bytes that one evaluation of the loss and its gradient may allocate.

    Returns
    -------
    Problem
        On one device.

    Raises
    ------
    InvalidTypeError
        For data of a wrong kind.
    InvalidValueError
        For values that make no sense, see :mod:`softmax_xp.data.validation`, and a memory budget too small for one row.
    """
    source, y = source_and_labels(X, y)
    X = _as_matrix(X, "X") if source is None else _as_stream(source, "X")
    backend = get_backend(place_of(X) if is_streamed(X) and device is None else device, like=X)
    float_dtype = backend.float_dtype(X.dtype if dtype is None else dtype)
    if y is None:
        msg = "`y` must hold one label for each sample; got None."
        raise InvalidTypeError(msg)
    codes, classes = _encode(y, X, classes, loss)
    # host: once, before training
    standardization = fit_standardization(to_host(X) if source is None else source) if standardize else None
    transform = None if standardization is None else _on_device(standardization, backend, float_dtype)

    dtype_name = "float32" if float_dtype == backend.xp.float32 else "float64"

    def objective(X: Array, codes: Any, weight: Any, penalty: Penalty | None) -> LinearObjective:
        targets = _targets(loss, backend, codes, weight, X.shape[0], len(classes), float_dtype)
        if not is_streamed(X):  # whose rows are checked as they come
            check_width(X, dtype_name)
        rows = stream_matrix(X.source, backend, dtype_name) if is_streamed(X) else backend.put(X)
        return LinearObjective(rows, targets, loss, penalty, float_dtype, transform, memory_budget)

    train = objective(X, codes, sample_weight, penalty)
    train.check_budget(len(classes))
    held_out = None
    if validation is not None:
        if not isinstance(validation, tuple | list) or len(validation) not in {2, 3}:
            msg = f"`validation` must be (X, y) or (X, y, sample_weight); got {type(validation).__name__}."
            raise InvalidTypeError(msg)
        X_held, y_held, *weight_held = validation
        source_held, y_held = source_and_labels(X_held, y_held)
        X_held = _as_matrix(X_held, "validation X") if source_held is None else _as_stream(source_held, "validation X")
        if X_held.shape[1] != X.shape[1]:
            msg = f"`validation X` must have {X.shape[1]} features like `X`; got {X_held.shape[1]}."
            raise InvalidValueError(msg)
        codes_held, _ = _encode(y_held, X_held, classes, loss)
        held_out = objective(X_held, codes_held, weight_held[0] if weight_held else None, None)
    return Problem(backend, train, held_out, classes, standardization)


def _as_matrix(X: Any, name: str) -> Array:
    """Return ``X`` as a checked array; data frames become NumPy arrays."""
    if "toarray" in dir(X):  # SciPy's and CuPy's sparse arrays, which NumPy would wrap as one object
        msg = f"`{name}` must be dense; got {type(X).__name__}. Pass {name}.toarray() if it fits in memory."
        raise InvalidTypeError(msg)
    refuse_masked(X, name)
    try:
        matrix = as_array(X)
    except ValueError as error:  # rows of different lengths
        msg = f"`{name}` must have shape (n_samples, n_features); got {type(X).__name__}: {error}"
        raise InvalidValueError(msg) from None
    check_matrix(matrix, name)
    return matrix


def _as_stream(source: Source, name: str) -> StreamedRows:
    """Return the rows of a source, which must be dense."""
    if is_sparse_source(source):
        msg = (
            f"`{name}` must be dense; got {source.name}, whose samples are sparse. Pass the matrix' toarray() if it "
            "fits in memory, or use a full-batch solver of SoftmaxClassifier."
        )
        raise InvalidTypeError(msg)
    return stream_matrix(source)


def _encode(y: Any, X: Array, classes: Any, loss: Loss) -> tuple[Any, Any]:
    """Return class numbers on the host, or soft targets as they came, and the classes."""
    refuse_masked(y, "y")
    nested = isinstance(y, list | tuple) and len(y) > 0 and isinstance(y[0], list | tuple)
    # As they are: NumPy would turn the numbers of a mixed list into strings.
    if isinstance(y, list | tuple) and not nested:
        codes, known = encode_labels(y, classes=classes, ignore_index=loss.ignore_index)
        check_lengths(X, codes)
        return codes, known
    targets = as_array(y)
    if targets.ndim == 2 and targets.shape[1] > 1 and array_namespace(targets).isdtype(targets.dtype, "real floating"):
        check_lengths(X, targets)
        check_soft_targets(targets, X.shape[0])
        n_classes = targets.shape[1]
        known = as_array(list(range(n_classes)) if classes is None else classes)
        if known.shape != (n_classes,):
            msg = f"`classes` must name the {n_classes} columns of the soft targets; got {len(known)} classes."
            raise InvalidValueError(msg)
        return targets, known
    codes, known = encode_labels(to_host(targets), classes=classes, ignore_index=loss.ignore_index)
    check_lengths(X, codes)
    return codes, known


def _targets(
    loss: Loss, backend: Backend, codes: Any, weight: Any, n_samples: int, n_classes: int, dtype: Any
) -> Targets:
    """Move labels and weights to the device and let the loss prepare them."""
    if weight is not None:
        refuse_masked(weight, "sample_weight")
        weight = as_array(weight)
        check_sample_weight(weight, n_samples)
        weight = backend.put(weight, dtype)
    with backend.scope():
        return loss.prepare(backend.put(codes), n_classes, dtype=dtype, sample_weight=weight)


def _on_device(standardization: Standardization, backend: Backend, dtype: Any) -> Callable[[Array], Array]:
    """Return the standardisation as a function of device arrays, its numbers moved there once."""
    mean, scale = backend.put(standardization.mean, dtype), backend.put(standardization.scale, dtype)

    def standardize(rows: Array) -> Array:
        rows = rows - mean
        rows /= scale
        return rows

    return standardize
