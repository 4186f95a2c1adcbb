# SPDX-License-Identifier: BSD-3-Clause
"""Samples that the estimators leave where they are stored: their features, and where they are of no use."""

__all__ = ["check_source_features", "in_memory"]

from typing import Any

import numpy as np

from softmax_xp.data.source import Source
from softmax_xp.data.streamed import is_streamed
from softmax_xp.errors import InvalidTypeError, InvalidValueError


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
