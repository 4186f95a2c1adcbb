# SPDX-License-Identifier: BSD-3-Clause
"""Standard errors, Wald tests and confidence intervals of a fitted softmax model.

Adding one vector to the coefficients of all classes changes no probability, so without a penalty single classes'
coefficients mean nothing; their differences do. All statistics here are about the *contrasts* of each class to a
reference class, ``G_c = W_c - W_reference``, as in statsmodels' MNLogit.

The penalty of the symmetric model acts on the contrasts as well. Minimised over the common vector, which the losses
do not see, ``sum_c |W_c|^2 / (2 C)`` is ``sum_cd P_cd G_c . G_d / 2`` with ``P = (I - 1 1' / n_classes) / C``. Where
two classes have one column, that is the contrast, and ``P = 1 / C``. So the Hessian of the contrasts is

    H = sum_i m_i (diag(p_i) - p_i p_i') (x) x_i x_i'  +  P (x) I (features only)

with the probabilities ``p_i`` of all classes but the reference, and ``m_i`` the weight of sample i. Its inverse is also
what the delta method makes of the full model's pseudo-inverse, whichever class is the reference.
"""

__all__ = ["coefficient_summary"]

import math
import warnings
from collections.abc import Sequence
from functools import partial
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from softmax_xp.errors import InvalidValueError, SoftmaxXPWarning
from softmax_xp.estimators.identification import LIMIT_FLOOR, Inverse, invert_information
from softmax_xp.estimators.information import (
    Coordinates,
    Floats,
    Information,
    gather_information,
    measure_coordinates,
    mirror_lower,
)
from softmax_xp.estimators.summary_input import SummaryInput, prepare_summary
from softmax_xp.estimators.summary_table import Summary
from softmax_xp.typing import Array

# How far a coefficient may be from the optimum: in standard errors, so that z is right to its second decimal, ...
_FAR_IN_ERRORS = 1e-2
# ... or relative to itself, because float32 fits do not come closer.
_FAR_RELATIVE = 1e-3


def coefficient_summary(
    X: Any,
    targets: Any,
    weight: Array,
    bias: Array | None,
    *,
    C: float = math.inf,
    l1_ratio: float = 0.0,
    sample_weight: Any = None,
    covariance: Literal["model", "sandwich"] = "model",
    confidence: float = 0.95,
    reference: Any = None,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[Any] | None = None,
) -> Summary:
    """Return the coefficients of a fitted softmax model against a reference class, with their standard errors.

    The model is assumed to minimise ``sum_i m_i loss_i + (1 - l1_ratio) / (2 C) * sum(weight ** 2)`` on these data.

    Parameters
    ----------
    X : array or sparse array of shape (n_samples, n_features)
        The samples of the fit, of any library on any device. Read in chunks of rows, of at most 16 MB as float64.
    targets : array of shape (n_samples,) or (n_samples, n_classes)
        Class numbers, or soft targets, whose rows need not sum to 1: the sum counts as weight, which is how class
        weights enter there.
    weight : array of shape (n_features, n_columns)
        One column for each class, or for two classes a single one: the logit of class 1.
    bias : array of shape (n_columns,) or None
        The intercepts, None for a model without.
    C : float, default=inf
        Inverse strength of the penalty, in scikit-learn's meaning; infinite for none.
    l1_ratio : float, default=0.0
        Share of the L1 penalty; only 0 has standard errors.
    sample_weight : array_like of shape (n_samples,), optional
        As in the fit, times each sample's class weight if there were any.
    covariance : {"model", "sandwich"}, default="model"
        "model" is the inverse of the Hessian: right if the model holds and the weights are *frequencies*, and then the
        same as with each sample repeated ``sample_weight`` times. It scales with the weights. "sandwich" is
        ``H^-1 (sum_i s_i s_i') H^-1`` with the samples' scores ``s_i = m_i (p_i - y_i) (x) x_i``, thus their weights
        squared: consistent also if the model is wrong, and for sampling (survey), importance and class weights. It
        does not change with the weights' scale, and is not that of repeated samples. No small-sample correction (HC0).
    confidence : float, default=0.95
        Of the intervals.
    reference : object, optional
        The class to compare with, one of ``class_names``; by default the first, as in statsmodels.
    feature_names : sequence of str, optional
        By default "x0", "x1", ....
    class_names : sequence, optional
        By default the class numbers.

    Returns
    -------
    Summary
        With NaN for the standard errors of coefficients that the data do not determine.

    Raises
    ------
    InvalidTypeError
        For data of a wrong kind.
    InvalidValueError
        For values that make no sense, a class without samples, an L1 penalty, or a model whose covariance would not
        fit into memory.

    Warns
    -----
    SoftmaxXPWarning
        Where features are collinear, where the classes are separated so that no unpenalised optimum exists, and where
        the coefficients are not the optimum for these data.

    Notes
    -----
    *With a penalty* the estimates are shrunk towards 0, and so are their standard errors: the Hessian H includes
    the penalty. "model" is then the covariance of the Laplace approximation to the posterior under independent normal
    priors of variance C on the entries of ``weight``, and the intervals are approximate credible intervals. Read as
    frequentist statements, z, p and the intervals are approximate: they ignore the bias of the estimates, which is
    small only where the penalty is weak against the data. "sandwich" has the penalised Hessian as its bread, and
    estimates the variance of the penalised estimates about their own expectation.

    After an *L1* penalty has chosen the coefficients, no such statement is valid, hence the error.

    References
    ----------
    H. White, "Maximum likelihood estimation of misspecified models", 1982, for the sandwich; statsmodels' MNLogit for
    the conventions.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.estimators.summary import coefficient_summary
    >>> X, codes = np.array([[0.0], [0.0], [1.0], [1.0], [1.0]]), np.array([0, 1, 0, 1, 1])
    >>> summary = coefficient_summary(X, codes, np.array([[np.log(2.0)]]), np.zeros(1), feature_names=["dose"])
    >>> summary.standard_error.round(3)  # sqrt(1 + 1) and sqrt(1 + 1 + 1 + 1/2)
    array([[1.414, 1.871]])
    >>> summary.terms
    ('(intercept)', 'dose')
    """
    _check_options(covariance, confidence)
    given = prepare_summary(
        X, targets, weight, bias, C=C, l1_ratio=l1_ratio, sample_weight=sample_weight, reference=reference,
        feature_names=feature_names, class_names=class_names,
    )  # fmt: skip
    is_counted = given.sample_weight > 0.0
    with np.errstate(all="ignore"):  # what is not finite is looked for
        coordinates = measure_coordinates(
            given.X, is_counted, has_intercept=given.has_intercept, strength=given.strength
        )
        gather = partial(
            gather_information, given.X, given.targets, given.contrasts, given.sample_weight, coordinates,
            order=given.order, penalty=given.penalty,
        )  # fmt: skip
        information = gather(with_meat=covariance == "sandwich")
        _check_information(information, given.classes)
        limit = None if given.strength > 0.0 else partial(gather, floor=LIMIT_FLOOR)
        inverse = invert_information(information, coordinates, limit)
        matrix = _covariance(inverse, information, coordinates)
        statistics = _wald(given.contrasts, matrix, confidence)
        notes = tuple(_notes(inverse, coordinates, statistics, given))
    for note in notes:
        warnings.warn(note, SoftmaxXPWarning, stacklevel=3)
    return Summary(
        **statistics,
        covariance=matrix,
        terms=given.terms,
        classes=given.classes[1:],
        reference=given.classes[0],
        covariance_type=covariance,
        confidence=float(confidence),
        C=float(C),
        n_samples=information.n_samples,
        total_weight=float(information.class_weight.sum()),
        notes=notes,
    )


def _check_options(covariance: str, confidence: float) -> None:
    if covariance not in ("model", "sandwich"):  # a set would hash what the user gave
        msg = f"`covariance` must be 'model' or 'sandwich'; got {covariance!r}."
        raise InvalidValueError(msg)
    if not isinstance(confidence, Real) or not 0.0 < confidence < 1.0:
        msg = f"`confidence` must be a number between 0 and 1; got {confidence!r}. Pass 0.95 for 95 %."
        raise InvalidValueError(msg)


def _check_information(information: Information, labels: tuple[Any, ...]) -> None:
    """Refuse what no statistics can be made of."""
    if not (np.isfinite(information.hessian).all() and np.isfinite(information.gradient).all()):
        msg = "`X` times the coefficients must be finite in float64; got an overflow. Scale the features first."
        raise InvalidValueError(msg)
    for label, total in zip(labels, information.class_weight.tolist(), strict=True):
        if total <= 0.0:
            msg = (
                f"`targets` must hold a sample of positive weight of each class; got none of class {label!r}, "
                "about which the data thus say nothing. Fit without this class."
            )
            raise InvalidValueError(msg)


def _covariance(inverse: Inverse, information: Information, coordinates: Coordinates) -> Floats:
    """Return the covariance of the contrasts of the features as they are, NaN where nothing is known."""
    matrix = inverse.matrix
    if information.meat is not None:
        matrix = matrix @ information.meat @ matrix
    shape = (*inverse.step.shape, *inverse.step.shape)
    matrix = coordinates.restore(coordinates.restore(matrix.reshape(shape), axis=1), axis=3)
    unknown = np.logical_not(inverse.is_identified)
    matrix[unknown] = np.nan
    matrix[:, :, unknown] = np.nan
    matrix = matrix.reshape(information.hessian.shape)
    mirror_lower(matrix)
    return matrix


def _wald(contrasts: Floats, covariance: Floats, confidence: float) -> dict[str, Floats]:
    """Compute what Wald's test says, with full relative accuracy far out in the tail."""
    from scipy.special import ndtr, ndtri

    standard_error = np.sqrt(np.diag(covariance)).reshape(contrasts.shape)
    z = contrasts / standard_error
    half_width = -ndtri(0.5 * (1.0 - confidence)) * standard_error
    return {
        "coefficient": contrasts,
        "standard_error": standard_error,
        "z": z,
        "p_value": 2.0 * ndtr(-np.abs(z)),
        "lower": contrasts - half_width,
        "upper": contrasts + half_width,
    }


def _notes(inverse: Inverse, coordinates: Coordinates, statistics: dict[str, Floats], given: SummaryInput) -> list[str]:
    """Say what is not identified and why, and whether the coefficients are an optimum at all."""
    notes = []
    if inverse.is_collinear.any():
        terms = ", ".join(_shorten([given.terms[place] for place in np.flatnonzero(inverse.is_collinear.any(axis=0))]))
        notes.append(
            f"The features are collinear: these data do not determine the coefficients of {terms}, whose standard "
            "errors are NaN. Drop a feature, or fit with a penalty."
        )
    if inverse.is_separated.any():
        notes.append(
            "The classes are separated: the likelihood has no maximum, and the fit stopped on its way to infinite "
            f"coefficients. Standard errors are NaN for {_list_coefficients(inverse.is_separated, given)}. "
            "Fit with a penalty (a finite C), or compare with another `reference`."
        )
    step = coordinates.restore(inverse.step.copy(), axis=1)
    coefficient, error = statistics["coefficient"], statistics["standard_error"]
    is_far = np.abs(step) > _FAR_IN_ERRORS * error + _FAR_RELATIVE * np.abs(coefficient)
    if is_far.any():
        distance = np.where(is_far, np.abs(step) / error, 0.0)
        contrast, term = np.unravel_index(distance.argmax(), distance.shape)
        notes.append(
            f"The coefficients are not the optimum for these data: {given.terms[term]} of class "
            f"{given.classes[contrast + 1]} is about {distance.max():.2g} standard errors away from it. "
            "Pass X, y and sample_weight as in the fit, or fit with a smaller `tol`."
        )
    return notes


def _list_coefficients(mask: NDArray[np.bool_], given: SummaryInput) -> str:
    """Name the marked coefficients, class by class."""
    marked = [
        (label, "all" if row.all() else ", ".join(_shorten([given.terms[place] for place in np.flatnonzero(row)])))
        for label, row in zip(given.classes[1:], mask, strict=True)
        if row.any()
    ]
    return "; ".join(_shorten([f"class {label} ({terms})" for label, terms in marked]))


def _shorten(names: list[str]) -> list[str]:
    """Keep the first few."""
    return names if len(names) <= 5 else [*names[:5], f"{len(names) - 5} more"]
