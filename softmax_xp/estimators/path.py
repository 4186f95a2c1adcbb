# SPDX-License-Identifier: BSD-3-Clause
"""All coefficients along a path of strengths, each with its certificate."""

__all__ = ["SoftmaxPath", "check_full_batch", "read_strengths", "softmax_path"]

import math
from numbers import Integral
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import Backend
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.classifier import SoftmaxClassifier
from softmax_xp.estimators.coefficients import as_coefficients
from softmax_xp.estimators.folds import Folds
from softmax_xp.estimators.heads import HeadFitter, warn_of_heads
from softmax_xp.estimators.problem import counting, prepare_fit
from softmax_xp.estimators.settings import FitSettings
from softmax_xp.solvers import Certificate, Solver
from softmax_xp.typing import Array


class SoftmaxPath(NamedTuple):
    """The models of :func:`softmax_path`, in the order of the strengths that were passed."""

    Cs: NDArray[np.float64]  # (n_Cs,)
    coefs: Array  # (n_Cs, n_classes, n_features); for two classes (n_Cs, 1, n_features)
    intercepts: Array  # (n_Cs, n_classes) or (n_Cs, 1)
    certificates: list[Certificate]  # how far each can be from its minimum
    statuses: list[str]  # why each fit ended
    n_iter: NDArray[np.int32]  # (n_Cs,)
    classes: NDArray[Any]  # (n_classes,)


def read_strengths(Cs: Any) -> NDArray[np.float64]:
    """Return the strengths that a user means.

    Parameters
    ----------
    Cs : int or array_like of float
        The strengths, or how many between 1e-4 and 1e4, evenly spaced in their logarithms.

    Returns
    -------
    array of shape (n_Cs,)
        In their order.

    Raises
    ------
    InvalidTypeError
        For what are no numbers.
    InvalidValueError
        For none, or for values that are not above 0.
    """
    if isinstance(Cs, Integral) and not isinstance(Cs, bool):
        if Cs < 1:
            msg = f"`Cs` must be at least 1 where it is a number of values; got {Cs}."
            raise InvalidValueError(msg)
        return np.logspace(-4, 4, int(Cs))
    try:
        values = np.asarray(Cs)
    except ValueError:  # lists of different lengths
        values = np.empty((0, 0))
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        msg = f"`Cs` must be a number of values, or a sequence of numbers; got {Cs!r}."
        raise InvalidTypeError(msg)
    if len(values) == 0 or not (values > 0).all():
        msg = f"`Cs` must hold numbers above 0, at least one; got {values.tolist()}. Pass math.inf for no penalty."
        raise InvalidValueError(msg)
    return values.astype(np.float64)


def softmax_path(
    X: Any,
    y: Any,
    Cs: Any = 10,
    *,
    sample_weight: Any = None,
    l1_ratio: float = 0.0,
    fit_intercept: bool = True,
    class_weight: dict[Any, float] | Literal["balanced"] | None = None,
    solver: str | Solver = "auto",
    tol: float = 1e-4,
    max_iter: int = 1000,
    stopping: str = "certificate",
    device: str | Backend | None = "auto",
    dtype: Any = None,
) -> SoftmaxPath:
    """Fit :class:`softmax_xp.SoftmaxClassifier` for many values of ``C``, for less than each would cost alone.

    Parameters
    ----------
    X : array_like, data frame or sparse array of shape (n_samples, n_features)
        Real features.
    y : array_like of shape (n_samples,) or (n_samples, n_classes)
        Labels or soft targets.
    Cs : int or array_like of float, default=10
        Inverse strengths of the penalty, ``math.inf`` for none; or how many between 1e-4 and 1e4, evenly spaced in
        their logarithms.
    sample_weight : array_like of shape (n_samples,), optional
        How much each sample counts.
    l1_ratio : float, default=0.0
        This and all that follow as in :class:`softmax_xp.SoftmaxClassifier`.
    fit_intercept : bool, default=True
        Whether there is a bias.
    class_weight : dict, "balanced" or None, default=None
        Factors of the sample weights.
    solver : str or Solver, default="auto"
        How to fit.
    tol : float, default=1e-4
        In nats of the mean objective.
    max_iter : int, default=1000
        The most iterations of one head.
    stopping : {"certificate", "gradient"}, default="certificate"
        What `tol` bounds.
    device : str, Backend or None, default="auto"
        Where to compute.
    dtype : str or dtype, default=None
        The float of the computation.

    Returns
    -------
    SoftmaxPath
        Coefficients, intercepts and certificates, where ``X`` lives, in the order of `Cs`.

    Raises
    ------
    InvalidTypeError
        For data or parameters of a wrong kind.
    InvalidValueError
        For values that make no sense.

    See Also
    --------
    softmax_xp.SoftmaxClassifierCV : Chooses among them by cross-validation.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> path = sx.softmax_path(X, y, [0.1, 1.0, 10.0], device="cpu")
    >>> path.coefs.shape
    (3, 1, 1)
    >>> max(certificate.bound for certificate in path.certificates) < 1e-4
    True
    """
    estimator = SoftmaxClassifier(
        l1_ratio=l1_ratio,
        fit_intercept=fit_intercept,
        class_weight=class_weight,
        solver=solver,
        tol=tol,
        max_iter=max_iter,
        stopping=stopping,
        device=device,
        dtype=dtype,
    )
    settings = FitSettings.of(estimator)
    check_full_batch(settings)
    values = read_strengths(Cs)
    problem = counting(prepare_fit(estimator, settings, X, y, sample_weight))
    distinct, place = np.unique(values, return_inverse=True)
    strengths = [float(C) for C in distinct]
    folds = Folds(np.ones((1, problem.linear.X.shape[0]), dtype=np.int64), ())
    fitter = HeadFitter(problem, folds, settings, max([C for C in strengths if not math.isinf(C)], default=1.0))
    fits = [heads[0] for heads in fitter.path([0], strengths, settings.l1_ratio)]
    warn_of_heads(fits, fitter.notes)
    xp = problem.backend.xp
    parts = [as_coefficients(fit.params) for fit in fits]
    order = place.reshape(-1).tolist()
    return SoftmaxPath(
        values,
        problem.home.put(xp.stack([parts[number][0] for number in order])),
        problem.home.put(xp.stack([parts[number][1] for number in order])),
        [fits[number].certificate for number in order],
        [str(fits[number].status) for number in order],
        np.asarray([fits[number].n_iter for number in order], dtype=np.int32),
        problem.classes,
    )


def check_full_batch(settings: FitSettings) -> None:
    """Refuse solvers that step on minibatches, whose fits are too far from an optimum to be compared."""
    if settings.is_minibatch:
        msg = f"`solver` must be a full-batch solver for many strengths, such as 'auto'; got {settings.solver!r}."
        raise InvalidValueError(msg)
