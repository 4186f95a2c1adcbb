# SPDX-License-Identifier: BSD-3-Clause
"""What a summary of coefficients starts from: checked data, and the model as contrasts to a reference class."""

__all__ = ["SummaryInput", "prepare_summary"]

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import array_namespace, as_array, to_host
from softmax_xp.data.validation import check_lengths, check_matrix, check_sample_weight
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.information import Floats
from softmax_xp.typing import Array

# 1.2 GB for a matrix over them, of which a summary holds four to six.
_MOST_COEFFICIENTS = 12_000


class SummaryInput(NamedTuple):
    """Samples, and a model in terms of contrasts."""

    X: Array  # (n_samples, n_features), where the caller has it; sparse arrays in a format that can slice rows
    targets: Array  # (n_samples,) class numbers on the host, or (n_samples, n_classes)
    sample_weight: Floats  # (n_samples,), on the host
    contrasts: Floats  # (n_contrasts, n_terms), the intercept first
    order: NDArray[np.int64]  # (n_classes,): the number of the reference class, then those of the others
    penalty: Floats  # (n_contrasts, n_contrasts)
    strength: float  # 1 / C
    terms: tuple[str, ...]
    classes: tuple[Any, ...]  # in this order
    has_intercept: bool


def prepare_summary(
    X: Any,
    targets: Any,
    weight: Array,
    bias: Array | None,
    *,
    C: float,
    l1_ratio: float,
    sample_weight: Any,
    reference: Any,
    feature_names: Sequence[str] | None,
    class_names: Sequence[Any] | None,
) -> SummaryInput:
    """Check what :func:`softmax_xp.estimators.summary.coefficient_summary` is given, which documents it."""
    strength = _check_penalty(C, l1_ratio)
    X = _as_samples(X)
    weight, bias = _check_coefficients(weight, bias, X.shape[1])
    n_classes = max(2, weight.shape[1])
    labels = _names("class_names", class_names, range(n_classes), n_classes)
    features = _names("feature_names", feature_names, [f"x{place}" for place in range(X.shape[1])], X.shape[1])
    place = _place_of(reference, labels)
    order = np.r_[place, np.delete(np.arange(n_classes), place)]
    columns = weight if bias is None else np.vstack([bias, weight])
    is_single = columns.shape[1] == 1
    if is_single:  # the logit of class 0 is zero
        columns = np.hstack([np.zeros_like(columns), columns])
    return SummaryInput(
        X,
        _as_targets(targets, X, n_classes),
        _weights(sample_weight, X),
        np.ascontiguousarray((columns[:, order[1:]] - columns[:, order[:1]]).T) + 0.0,  # no -0.0
        order,
        strength * (np.eye(n_classes - 1) - (0.0 if is_single else 1.0 / n_classes)),
        strength,
        features if bias is None else ("(intercept)", *features),
        tuple(labels[number] for number in order),
        bias is not None,
    )


def _check_penalty(C: float, l1_ratio: float) -> float:
    """Return 1 / C for a penalty that has standard errors."""
    if not isinstance(C, Real) or not C > 0.0:
        msg = f"`C` must be a number above 0, infinite for no penalty; got {C!r}."
        raise InvalidValueError(msg)
    if l1_ratio and math.isfinite(C):
        msg = (
            f"`l1_ratio` must be 0 for standard errors; got {l1_ratio!r}. The L1 penalty selects coefficients by these "
            "very data, after which Wald's tests and intervals are not valid. Fit with l1_ratio=0, or with C=inf on "
            "features that were selected on other samples."
        )
        raise InvalidValueError(msg)
    return 1.0 / float(C)


def _as_samples(X: Any) -> Array:
    """Return a checked array, or a sparse one in a format whose rows can be sliced."""
    if "toarray" not in dir(X):
        X = as_array(X)
        check_matrix(X)
        return X
    if X.dtype.kind not in "biuf":
        msg = f"`X` must hold real numbers; got dtype {X.dtype}. Convert or encode it first."
        raise InvalidTypeError(msg)
    X = X.tocsr()
    if not bool((abs(X.data) < np.inf).all()):
        msg = "`X` must be finite; got NaN or infinity among its stored values. Remove these samples first."
        raise InvalidValueError(msg)
    return X


def _check_coefficients(weight: Array, bias: Array | None, n_features: int) -> tuple[Floats, Floats | None]:
    """Return the coefficients on the host in float64."""
    weight = to_host(weight).astype(np.float64)
    if weight.ndim != 2 or weight.shape[0] != n_features or weight.shape[1] == 0:
        msg = (
            f"`weight` must have shape (n_features, n_columns) with the {n_features} features of `X`; "
            f"got shape {weight.shape}. Pass coef_.T."
        )
        raise InvalidValueError(msg)
    bias = None if bias is None else to_host(bias).astype(np.float64)
    if bias is not None and bias.shape != weight.shape[1:]:
        msg = f"`bias` must have shape ({weight.shape[1]},), one for each column of `weight`; got shape {bias.shape}."
        raise InvalidValueError(msg)
    if not (np.isfinite(weight).all() and (bias is None or np.isfinite(bias).all())):
        msg = "`weight` and `bias` must be finite; got NaN or infinity. Fit the model again."
        raise InvalidValueError(msg)
    n_coefficients = (weight.shape[0] + (bias is not None)) * max(1, weight.shape[1] - 1)
    if n_coefficients > _MOST_COEFFICIENTS:
        msg = (
            f"`weight` must have at most {_MOST_COEFFICIENTS} coefficients for a summary; got {n_coefficients}, whose "
            f"covariance alone takes {8e-9 * n_coefficients**2:.0f} GB. Pass fewer features or classes."
        )
        raise InvalidValueError(msg)
    return weight, bias


def _names(argument: str, names: Sequence[Any] | None, default: Sequence[Any], count: int) -> tuple[Any, ...]:
    """Return one name for each; NumPy's scalars become Python's, which print as what they are."""
    found = tuple(default if names is None else (to_host(names).tolist() if "tolist" in dir(names) else names))
    if len(found) != count:
        msg = f"`{argument}` must have {count} entries, as `weight` has; got {len(found)}."
        raise InvalidValueError(msg)
    return found


def _place_of(reference: Any, labels: tuple[Any, ...]) -> int:
    if reference is None:
        return 0
    if np.ndim(reference) != 0 or reference not in labels:
        known = ", ".join(repr(label) for label in labels[:10]) + (", ..." if len(labels) > 10 else "")
        msg = f"`reference` must be one of the classes {known}; got {reference!r}."
        raise InvalidValueError(msg)
    return labels.index(reference)


def _weights(sample_weight: Any, X: Array) -> Floats:
    """Return one weight for each sample, on the host."""
    if sample_weight is None:
        return np.ones(X.shape[0])
    host = to_host(sample_weight)
    check_sample_weight(host, X.shape[0])
    return host.astype(np.float64)


def _as_targets(targets: Any, X: Array, n_classes: int) -> Array:
    """Return checked class numbers on the host, or soft targets where they are."""
    targets = as_array(targets)
    check_lengths(X, targets, name="targets")
    if targets.ndim == 2:
        if targets.shape[1] != n_classes:
            msg = f"`targets` must have a column for each of the {n_classes} classes; got shape {tuple(targets.shape)}."
            raise InvalidValueError(msg)
        xp = array_namespace(targets)
        if not bool(xp.all(xp.logical_and(targets >= 0.0, targets < math.inf))):
            msg = "`targets` must be finite and not negative; got soft targets that are not. Pass probabilities."
            raise InvalidValueError(msg)
        return targets
    codes = to_host(targets)
    if codes.ndim != 1 or codes.dtype.kind not in "iu":
        msg = f"`targets` must be class numbers, or soft targets; got dtype {codes.dtype} of shape {codes.shape}."
        raise InvalidTypeError(msg)
    if codes.min() < 0 or codes.max() >= n_classes:
        msg = f"`targets` must be between 0 and {n_classes - 1}; got values from {codes.min()} to {codes.max()}."
        raise InvalidValueError(msg)
    return codes
