# SPDX-License-Identifier: BSD-3-Clause
"""To and from scikit-learn's ``LogisticRegression``, which minimises the same objective."""

__all__ = ["PeerParts", "as_logistic_regression", "parts_of_logistic_regression"]

import inspect
from math import inf, isinf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import to_host
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.solvers import SOLVERS

_SHARED = ("C", "class_weight", "fit_intercept", "max_iter", "random_state", "tol", "verbose", "warm_start")


class PeerParts(NamedTuple):
    """What a ``LogisticRegression`` knows."""

    params: dict[str, Any]  # of a SoftmaxClassifier
    attributes: dict[str, Any]  # empty before its fit


def parts_of_logistic_regression(peer: Any) -> PeerParts:
    """Read parameters and results of scikit-learn's classifier.

    Parameters
    ----------
    peer : sklearn.linear_model.LogisticRegression
        Fitted or not.

    Returns
    -------
    PeerParts
        For a SoftmaxClassifier of the same objective, tolerance and predictions.

    Raises
    ------
    InvalidTypeError
        For another estimator.
    InvalidValueError
        For one-versus-rest models, whose probabilities are no softmax.
    """
    from sklearn.linear_model import LogisticRegression

    if type(peer) is not LogisticRegression:
        msg = f"`peer` must be a LogisticRegression; got {type(peer).__name__}."
        raise InvalidTypeError(msg)
    # Older releases: `penalty` chooses, and several classes may be fitted one against the rest.
    penalty = getattr(peer, "penalty", "deprecated")
    is_fitted = hasattr(peer, "coef_")
    is_apart = getattr(peer, "multi_class", "auto") not in {"auto", "deprecated", "multinomial"}
    if (is_apart or peer.solver == "liblinear") and is_fitted and len(peer.classes_) > 2:
        msg = "`peer` must be a softmax model; got one that was fitted one class against the rest. Fit it with 'lbfgs'."
        raise InvalidValueError(msg)
    params = {name: getattr(peer, name) for name in _SHARED}
    params |= {"stopping": "gradient", "solver": peer.solver if peer.solver in SOLVERS else "auto"}
    params["l1_ratio"] = {"l1": 1.0, "l2": 0.0, None: 0.0}.get(penalty, peer.l1_ratio or 0.0)
    params["C"] = inf if penalty is None else params["C"]
    if params["l1_ratio"] > 0.0:
        params["solver"] = "auto"
    if not is_fitted:
        return PeerParts(params, {})
    names = ("coef_", "intercept_", "classes_", "n_iter_", "n_features_in_", "feature_names_in_")
    return PeerParts(params, {name: getattr(peer, name) for name in names if hasattr(peer, name)})


def as_logistic_regression(estimator: Any) -> Any:
    """Return scikit-learn's classifier with the coefficients, and as far as it has them the parameters, of ours.

    Parameters
    ----------
    estimator : SoftmaxClassifier
        Fitted or not.

    Returns
    -------
    sklearn.linear_model.LogisticRegression
        On NumPy arrays.
    """
    from sklearn.linear_model import LogisticRegression

    params = {name: getattr(estimator, name) for name in _SHARED}
    ratio, name = estimator.l1_ratio, getattr(estimator, "solver_", estimator.solver)
    params["solver"] = "saga" if ratio > 0 else name if name in {"lbfgs", "newton-cg", "newton-cholesky"} else "lbfgs"
    if inspect.signature(LogisticRegression).parameters["penalty"].default == "deprecated":
        params["l1_ratio"] = ratio
    else:  # scikit-learn before 1.8
        params["penalty"] = None if isinf(estimator.C) else {0.0: "l2", 1.0: "l1"}.get(ratio, "elasticnet")
        params |= {"l1_ratio": ratio} if params["penalty"] == "elasticnet" else {}
    peer = LogisticRegression(**params)
    if hasattr(estimator, "classes_"):
        peer.coef_, peer.intercept_ = _copy(estimator.coef_), _copy(estimator.intercept_)
        peer.classes_, peer.n_features_in_ = estimator.classes_.copy(), estimator.n_features_in_
        peer.n_iter_ = _copy(estimator.n_iter_)
        if hasattr(estimator, "feature_names_in_"):
            peer.feature_names_in_ = estimator.feature_names_in_.copy()
    return peer


def _copy(array: Any) -> NDArray[Any]:
    """Return a NumPy array of its own."""
    return np.array(to_host(array))
