# SPDX-License-Identifier: BSD-3-Clause
"""The summary of a fitted classifier: its coefficients, and the data of its fit read as the fit read them."""

__all__ = ["summary_of"]

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from softmax_xp.backend import to_host
from softmax_xp.errors import InvalidValueError
from softmax_xp.estimators.summary import coefficient_summary
from softmax_xp.estimators.targets import read_class_weight, read_sample_weight, read_targets
from softmax_xp.estimators.validation import as_matrix, check_features, check_fitted

if TYPE_CHECKING:
    from softmax_xp.estimators.classifier import SoftmaxClassifier
    from softmax_xp.estimators.summary_table import Summary


def summary_of(
    classifier: "SoftmaxClassifier",
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    covariance: Literal["model", "sandwich"],
    confidence: float,
    reference: Any,
    classes: Any,
) -> "Summary":
    """Return what :meth:`SoftmaxClassifier.summary` does, which documents the parameters.

    Parameters
    ----------
    classifier : SoftmaxClassifier
        Fitted.
    X, y, sample_weight : array_like
        The data of the fit.
    covariance : {"model", "sandwich"}
        Which one.
    confidence : float
        Of the intervals.
    reference : object or None
        The class to compare with.
    classes : array_like of shape (n_classes,) or None
        The names of the columns of soft targets.

    Returns
    -------
    Summary
        Prints as a table.

    Raises
    ------
    InvalidValueError
        For other classes than those of the fit, and for what :func:`coefficient_summary` refuses.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 0, 1])
    >>> sx.SoftmaxClassifier(tol=1e-10).fit(X, y).summary(X, y).terms
    ('(intercept)', 'x0')
    """
    check_fitted(classifier)
    matrix = as_matrix(X)
    check_features(classifier, X, matrix, reset=False)
    targeted = read_targets(y, matrix, classes=classes, known=classifier.classes_)
    if len(targeted.classes) != len(classifier.classes_):
        new = [label for label in targeted.classes.tolist() if label not in classifier.classes_.tolist()]
        msg = f"`y` must have the classes of the fit; got {new} besides. Pass the data of the fit."
        raise InvalidValueError(msg)
    weight = read_sample_weight(sample_weight, matrix.shape[0])
    by_class = read_class_weight(classifier.class_weight, targeted, weight)
    targets = targeted.targets
    if by_class is not None and targeted.is_soft:
        targets = to_host(targets) * np.asarray(by_class)
    elif by_class is not None:
        weight = np.asarray(by_class)[targets] * (1.0 if weight is None else to_host(weight))
    return coefficient_summary(
        matrix,
        targets,
        classifier.coef_.T,
        classifier.intercept_ if classifier.fit_intercept else None,
        C=classifier.C,
        l1_ratio=classifier.l1_ratio,
        sample_weight=weight,
        covariance=covariance,
        confidence=confidence,
        reference=reference,
        feature_names=getattr(classifier, "feature_names_in_", None),
        class_names=classifier.classes_.tolist(),
    )
