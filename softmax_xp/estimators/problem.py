# SPDX-License-Identifier: BSD-3-Clause
"""The boundary of a fit: check data and labels, choose device and float, and move everything there once."""

__all__ = ["FitProblem", "FittedParts", "check_dense", "counting", "prepare_fit", "settle_device"]

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import Backend, array_namespace, backend_of, scalar, to_host
from softmax_xp.data.dask_source import on_host
from softmax_xp.data.open_source import source_and_labels
from softmax_xp.data.rows import has_sparse_rows, place_of, select_rows, take_rows
from softmax_xp.data.streamed import stream_matrix
from softmax_xp.data.validation import check_width
from softmax_xp.devices import get_backend
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.settings import AUTO, FitSettings
from softmax_xp.estimators.streamed_input import check_source_features, in_memory
from softmax_xp.estimators.targets import Targeted, read_class_weight, read_sample_weight, read_targets
from softmax_xp.estimators.validation import as_matrix, check_features, put_rows
from softmax_xp.losses import CrossEntropy, Logistic
from softmax_xp.losses.contract import CurvedLoss, Targets, reciprocal_total, take_targets
from softmax_xp.objectives import LinearObjective
from softmax_xp.typing import Array, LinearParams


class FitProblem(NamedTuple):
    """Everything that a fit needs, on one device."""

    home: Backend  # where X came from and results go
    linear: LinearObjective  # data, targets and loss
    targeted: Targeted  # as the user's y was read
    class_weight: tuple[float, ...] | None

    @property
    def backend(self) -> Backend:
        """Where the fit runs."""
        return backend_of(self.linear.targets.labels)

    @property
    def classes(self) -> NDArray[Any]:
        """The classes, sorted, on the host."""
        return self.targeted.classes

    @property
    def n_features(self) -> int:
        """The number of features."""
        return int(self.linear.X.shape[1])

    @property
    def reciprocal_total(self) -> float:
        """One over what the mean loss divides by."""
        reciprocal = reciprocal_total(self.linear.targets)
        return reciprocal if isinstance(reciprocal, float) else scalar(reciprocal)

    @property
    def dtype(self) -> Any:
        """The float of the computation."""
        return self.linear.dtype

    def put(self, params: LinearParams) -> LinearParams:
        """Bring parameters to the device and the float of the fit."""
        weight, bias = params
        return LinearParams(
            self.backend.put(weight, self.dtype), None if bias is None else self.backend.put(bias, self.dtype)
        )


def check_dense(problem: FitProblem) -> None:
    """Refuse sparse data where minibatches are gathered."""
    if has_sparse_rows(problem.linear.X):
        msg = (
            "`X` must be dense for minibatches; got a sparse array. Use a full-batch solver, such as solver='auto', or "
            "pass X.toarray() if it fits in memory."
        )
        raise InvalidTypeError(msg)


def counting(problem: FitProblem) -> FitProblem:
    """Leave out the samples of weight 0, which would still be read, and fill places in batches.

    Zero times a huge feature is zero, but zero times what overflows is not: only left out are they as if absent.

    Parameters
    ----------
    problem : FitProblem
        Of all samples.

    Returns
    -------
    FitProblem
        The same where all samples count; else with a copy of those that do.
    """
    linear, targeted = problem.linear, problem.targeted
    mass = problem.linear.targets.weight
    if mass is None:
        return problem
    if scalar(array_namespace(mass).min(mass)) > 0.0:  # host: once for each fit
        return problem
    rows = np.flatnonzero(to_host(mass) > 0)
    index, read = problem.backend.put(rows), targeted.targets
    return problem._replace(
        linear=replace(linear, X=select_rows(linear.X, rows), targets=take_targets(linear.targets, index)),
        targeted=targeted._replace(targets=take_rows(read, backend_of(read).put(rows))),
    )


class FittedParts(NamedTuple):
    """What a fit leaves; the estimator makes its attributes of them."""

    params: LinearParams  # one column for two classes, else one for each; on the device of the fit
    n_iter: int
    status: str
    certificate: Any
    history: Any
    solver: str


def settle_device(device: str | Backend | None, matrix: Array) -> Backend:
    """Choose where to compute.

    Parameters
    ----------
    device : str, Backend or None
        None follows the data. So does "auto", except for NumPy arrays, which go to a GPU where there is one.
    matrix : array of shape (n_samples, n_features)
        The data.

    Returns
    -------
    Backend
        Ready to use.
    """
    home = place_of(matrix)
    follows = device is None or (device == AUTO and home.name != "cpu")
    return home if follows else get_backend(device)


def prepare_fit(
    estimator: Any,
    settings: FitSettings,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    classes: Any = None,
    known: Any = None,
    reset: bool = True,
    target: str | None = None,
    may_stream: bool = False,
) -> FitProblem:
    """Check everything, and put it where the fit runs.

    Parameters
    ----------
    estimator : BaseEstimator
        Gets ``n_features_in_`` and ``feature_names_in_`` if `reset`, else must agree with them.
    settings : FitSettings
        Its parameters.
    X : array_like, Source or path, of shape (n_samples, n_features)
        Real features.
    y : array_like of shape (n_samples,) or (n_samples, n_classes)
        Labels or soft targets; None for those of a source.
    sample_weight : array_like of shape (n_samples,) or None
        Weights.
    classes : array_like of shape (n_classes,), optional
        All classes.
    known : array_like, optional
        The classes of a stream so far: `y` may bring new ones, and two classes have a column each.
    reset : bool, default=True
        Whether this is a first fit.
    target : str, optional
        The column of the labels, where ``X`` is the path of a table.
    may_stream : bool, default=False
        Whether ``X`` may stay in its storage.

    Returns
    -------
    FitProblem
        On one device.
    """
    source, y = source_and_labels(X, y, target=target)
    matrix = as_matrix(X) if source is None else stream_matrix(source)
    if source is None:
        check_features(estimator, X, matrix, reset=reset)
    else:
        if not may_stream:
            in_memory(matrix, "partial_fit, SoftmaxClassifierCV and softmax_path")
        check_source_features(estimator, source, reset=reset)
    backend = settle_device(settings.device, matrix)
    dtype = backend.float_dtype(_float_name(settings.dtype, matrix, backend))
    dtype_name = "float32" if dtype == backend.xp.float32 else "float64"
    if source is None:
        check_width(matrix, dtype_name)
    targeted = read_targets(y, matrix, classes=classes, known=known, name=type(estimator).__name__)
    weight = read_sample_weight(on_host(sample_weight), matrix.shape[0])
    class_weight = read_class_weight(settings.class_weight, targeted, weight, more_to_come=known is not None)
    n_classes = len(targeted.classes)
    loss: CurvedLoss = (
        Logistic(class_weight=class_weight)
        if known is None and n_classes == 2
        else CrossEntropy(class_weight=class_weight)
    )
    with backend.scope():
        targets = loss.prepare(
            backend.put(targeted.targets),
            n_classes,
            dtype=dtype,
            sample_weight=None if weight is None else backend.put(weight, dtype),
        )
        _check_total(targets)
    rows = put_rows(matrix, backend, dtype) if source is None else stream_matrix(source, backend, dtype_name)
    linear = LinearObjective(rows, targets, loss, None, dtype, memory_budget=settings.memory_budget)
    return FitProblem(place_of(matrix), linear, targeted, class_weight)


def _check_total(targets: Targets) -> None:
    """Refuse weights whose sum is no number to divide by: zero, or beyond the float of the fit."""
    if targets.weight is None:
        return
    xp = array_namespace(targets.weight)
    total = scalar(xp.sum(targets.weight))
    if not xp.finfo(targets.weight.dtype).smallest_normal <= total < math.inf:
        msg = (
            f"`sample_weight`, times `class_weight`, must have a sum above 0 that {targets.weight.dtype} can hold; got "
            f"{total:g}. Divide the weights by their mean."
        )
        raise InvalidValueError(msg)


def _float_name(dtype: Any, matrix: Array, backend: Backend) -> Any:
    """Return the float that was asked for, else that of the data; float64 data are float32 where there is no wider."""
    if dtype is not None:
        return dtype
    wide = getattr(place_of(matrix).xp, "float64", None)
    return "float32" if matrix.dtype == wide and not backend.capabilities.float64 else matrix.dtype
