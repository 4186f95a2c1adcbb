# SPDX-License-Identifier: BSD-3-Clause
"""Samples that the estimators leave where they are stored: paths and sources in place of ``X``."""

__all__ = ["check_source_features", "in_memory", "source_and_labels", "source_of", "stream_matrix"]

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from softmax_xp.backend import Backend, backend_of
from softmax_xp.data.dask_source import DaskSource, is_dask, on_host
from softmax_xp.data.numpy_files import load_label_file
from softmax_xp.data.open_source import open_source
from softmax_xp.data.source import Source, is_source
from softmax_xp.data.streamed import StreamedRows, is_streamed
from softmax_xp.errors import InvalidTypeError, InvalidValueError


def source_of(X: Any, *, target: str | None = None, feature_names: Sequence[str] | None = None) -> Source | None:
    """Return the source that ``X`` is, or names; None for arrays.

    Parameters
    ----------
    X : object
        What the user passed.
    target : str, optional
        The column of the labels.
    feature_names : sequence of str, optional
        The columns to read.

    Returns
    -------
    Source or None
        Opened where ``X`` is a path.

    Raises
    ------
    InvalidValueError
        For a target where there is no path that has columns.
    """
    if isinstance(X, str | os.PathLike):
        names = None if feature_names is None else list(feature_names)  # of an array, too
        return open_source(X, target=target, feature_names=names)
    if target is not None:
        msg = f"`target` must be None unless `X` is the path of a table; got {target!r} with X of {type(X).__name__}."
        raise InvalidValueError(msg)
    if isinstance(X, StreamedRows):
        return X.source
    if is_dask(X):
        return DaskSource.of(X)
    return X if is_source(X) else None


def source_and_labels(X: Any, y: Any, *, target: str | None = None) -> tuple[Source | None, Any]:
    """Return the source that ``X`` is, or names, and the labels of a fit.

    Parameters
    ----------
    X : object
        What the user passed as samples.
    y : object
        As labels: None stands for those of the source, a path for a file of labels.
    target : str, optional
        The column of the labels.

    Returns
    -------
    source : Source or None
        None where ``X`` is an array.
    y : object
        The labels, as they were passed or read.

    Raises
    ------
    InvalidValueError
        If there are two sources of labels, or none.
    """
    if y is not None and target is not None:
        msg = f"`y` and `target` must not both be given; got labels and the column {target!r}. Pass one."
        raise InvalidValueError(msg)
    source, y = source_of(X, target=target), on_host(y)
    if isinstance(y, str | os.PathLike):
        return source, load_label_file(y)
    if source is None or y is not None:
        return source, y
    if source.labels is None:
        msg = f"`y` must be given for {source.name}, which holds no labels; got None. Pass y, or open_source(labels=)."
        raise InvalidValueError(msg)
    return source, source.labels


def stream_matrix(source: Source, backend: Backend | None = None, dtype_name: str = "float64") -> StreamedRows:
    """Return the rows of a source on their way to a device.

    Parameters
    ----------
    source : Source
        The samples.
    backend : Backend, optional
        Where to; by default the host.
    dtype_name : str, default: "float64"
        The float of the computation, which all entries must fit.

    Returns
    -------
    StreamedRows
        Its rows are checked as they are read.
    """
    narrows = dtype_name == "float32" and source.dtype == np.float64
    largest = float(np.finfo(np.float32).max) if narrows else np.inf
    return StreamedRows(source, backend_of(np.empty(0)) if backend is None else backend, largest)


def in_memory(matrix: Any, what: str) -> None:
    """Refuse streamed samples where they cannot be used."""
    if is_streamed(matrix):
        msg = (
            f"`X` must be an array for {what}; got {matrix!r}, which is read from storage. Load it into memory, or use "
            "SoftmaxClassifier.fit."
        )
        raise InvalidTypeError(msg)


def check_source_features(estimator: Any, source: Source, *, reset: bool) -> None:
    """Set, or compare, the estimator's ``n_features_in_`` and ``feature_names_in_``.

    Parameters
    ----------
    estimator : BaseEstimator
        Its attributes are set if `reset`.
    source : Source
        The samples.
    reset : bool
        Whether a fit begins.

    Raises
    ------
    InvalidValueError
        For another number of features, or other names, than in the fit.
    """
    names, n_features = source.feature_names, source.shape[1]
    if reset:
        estimator.n_features_in_ = n_features
        estimator.__dict__.pop("feature_names_in_", None)
        if names is not None:
            estimator.feature_names_in_ = np.asarray(names, dtype=object)
        return
    if n_features != estimator.n_features_in_:
        # The words are scikit-learn's.
        msg = (
            f"`X` must have the features of the fit; got {source.name}, which has {n_features} features, but "
            f"{type(estimator).__name__} is expecting {estimator.n_features_in_} features as input."
        )
        raise InvalidValueError(msg)
    known = getattr(estimator, "feature_names_in_", None)
    if names is not None and known is not None and list(names) != list(known):
        other = next(pair for pair in zip(known, names, strict=True) if pair[0] != pair[1])
        msg = (
            f"`X` must have the features of the fit in their order; got {other[1]!r} in {source.name} where "
            f"{other[0]!r} was. Pass open_source(path, feature_names=classifier.feature_names_in_)."
        )
        raise InvalidValueError(msg)
