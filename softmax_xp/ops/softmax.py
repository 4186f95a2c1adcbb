# SPDX-License-Identifier: BSD-3-Clause
"""softmax, log-softmax and logsumexp over any namespace of the Array API standard.

All three share one shift. With ``maximum`` the largest score along ``axis``,

    shifted = x - maximum            (no exponential can overflow)
    total = sum(exp(shifted))        (at least 1)

    softmax     = exp(shifted) / total
    logsumexp   = maximum + log(total)
    log_softmax = shifted - log(total)

The logarithm never sees ``total`` itself. The terms that equal the maximum are counted, not summed, so that
``log(total) = log1p(ties - 1 + rest)`` keeps its relative accuracy where one class has nearly all probability.

Scores that are not finite
--------------------------
=====================  ==================  =====================  ===========
the scores hold        softmax             log_softmax            logsumexp
=====================  ==================  =====================  ===========
-inf beside finite     0 at the -inf       -inf at the -inf       finite
-inf only              NaN                 NaN                    -inf
+inf                   NaN                 NaN                    +inf
NaN                    NaN                 NaN                    NaN
=====================  ==================  =====================  ===========

A softmax with +inf among its scores, or with nothing but -inf, has no limit that all approaches agree on, so it
is NaN, as in SciPy, PyTorch and JAX; no floating-point warning is raised on the way.
"""

__all__ = ["ShiftedExponentials", "log_softmax", "logsumexp", "shifted_exponentials", "softmax"]

from typing import NamedTuple

from softmax_xp.backend import array_namespace, as_array, backend_of
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.typing import Array


class ShiftedExponentials(NamedTuple):
    """What the whole softmax family is made of; reductions keep their axis."""

    maximum: Array  # the largest score, whatever it is
    shifted: Array  # x - maximum, at most 0; NaN in rows whose maximum is not finite
    exponentials: Array  # exp(shifted)
    total: Array  # sum of the exponentials, at least 1


def shifted_exponentials(x: Array, *, axis: int = -1) -> ShiftedExponentials:
    """Return the scores less their maximum, the exponentials of that, and their sum.

    Parameters
    ----------
    x : array of float
        Scores.
    axis : int, default: -1
        The axis that holds the classes.

    Returns
    -------
    ShiftedExponentials
        Fresh arrays: the caller may overwrite them.
    """
    xp = array_namespace(x)
    maximum = xp.max(x, axis=axis, keepdims=True)
    # inf - inf raises a floating-point warning in NumPy, and inf - NaN does not: both are NaN.
    shift = xp.where(xp.isfinite(maximum), maximum, xp.nan)
    shifted = x - shift
    exponentials = xp.exp(shifted)
    return ShiftedExponentials(maximum, shifted, exponentials, xp.sum(exponentials, axis=axis, keepdims=True))


def _log_total(parts: ShiftedExponentials, axis: int) -> Array:
    """Return log(total) with full relative accuracy down to the smallest normal number."""
    xp = array_namespace(parts.shifted)
    at_maximum = parts.shifted == 0
    ties = xp.sum(xp.astype(at_maximum, parts.shifted.dtype), axis=axis, keepdims=True)
    rest = xp.sum(xp.where(at_maximum, 0.0, parts.exponentials), axis=axis, keepdims=True)
    return xp.log1p(rest + (ties - 1.0))


def _as_scores(x: Array, axis: int) -> tuple[Array, object]:
    """Check ``x`` and bring it to the float in which it is computed; also return the dtype of the answer."""
    x = as_array(x)
    xp = array_namespace(x)
    if xp.isdtype(x.dtype, "complex floating"):
        msg = f"`x` must hold real scores; got {x.dtype}."
        raise InvalidTypeError(msg)
    if not -x.ndim <= axis < x.ndim:
        msg = f"`axis` must be an axis of `x`, which has {x.ndim}; got {axis}."
        raise InvalidValueError(msg)
    if x.shape[axis] == 0:
        msg = f"`x` must hold at least one score along axis {axis}; got shape {tuple(x.shape)}."
        raise InvalidValueError(msg)
    dtype = backend_of(x).float_dtype(x.dtype)
    # float16 and bfloat16 are computed in float32 and come back as they came; integers come back as floats.
    answer = x.dtype if str(x.dtype).endswith("float16") else dtype
    return (x if x.dtype == dtype else xp.astype(x, dtype)), answer


def softmax(x: Array, axis: int = -1) -> Array:
    """Turn scores into probabilities: ``exp(x) / sum(exp(x))``, without overflow.

    Parameters
    ----------
    x : array of shape (..., n_classes, ...)
        Scores. Integers are computed in the backend's default float, float16 and bfloat16 in float32.
    axis : int, default: -1
        The axis that holds the classes.

    Returns
    -------
    array of the shape of ``x``
        Probabilities, which sum to 1 along ``axis``. The module's docstring says what scores that are not
        finite give.

    Raises
    ------
    InvalidTypeError
        For scores that are not real numbers.
    InvalidValueError
        For an axis that ``x`` has not, or without a score along it.

    See Also
    --------
    log_softmax : Its logarithm, finite where a probability underflows.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax
       functions", IMA Journal of Numerical Analysis, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> sx.softmax(np.array([[1000.0, 1000.0], [0.0, -np.inf]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    scores, dtype = _as_scores(x, axis)
    parts = shifted_exponentials(scores, axis=axis)
    probabilities = parts.exponentials
    probabilities /= parts.total
    return array_namespace(scores).astype(probabilities, dtype, copy=False)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """Turn scores into log-probabilities: ``x - logsumexp(x)``, finite where a probability underflows.

    Parameters
    ----------
    x : array of shape (..., n_classes, ...)
        Scores. Integers are computed in the backend's default float, float16 and bfloat16 in float32.
    axis : int, default: -1
        The axis that holds the classes.

    Returns
    -------
    array of the shape of ``x``
        Log-probabilities, in nats, at most 0.

    Raises
    ------
    InvalidTypeError
        For scores that are not real numbers.
    InvalidValueError
        For an axis that ``x`` has not, or without a score along it.

    See Also
    --------
    softmax : The probabilities themselves.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> sx.log_softmax(np.array([0.0, -1000.0]))
    array([    0., -1000.])
    """
    scores, dtype = _as_scores(x, axis)
    parts = shifted_exponentials(scores, axis=axis)
    logarithms = parts.shifted - _log_total(parts, axis)
    return array_namespace(scores).astype(logarithms, dtype, copy=False)


def logsumexp(x: Array, axis: int = -1, *, keepdims: bool = False) -> Array:
    """Return ``log(sum(exp(x)))``, the smooth maximum, without overflow.

    Its error is a few units in the last place of ``max(abs(x))``. Where the sum of exponentials is itself close to 1
    the result is close to 0 by cancellation, and that bound is no longer a relative one.

    Parameters
    ----------
    x : array of shape (..., n_classes, ...)
        Scores. Integers are computed in the backend's default float, float16 and bfloat16 in float32.
    axis : int, default: -1
        The axis to reduce.
    keepdims : bool, default: False
        Keep the reduced axis with length one.

    Returns
    -------
    array
        In nats, without ``axis`` unless ``keepdims``.

    Raises
    ------
    InvalidTypeError
        For scores that are not real numbers.
    InvalidValueError
        For an axis that ``x`` has not, or without a score along it.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> float(sx.logsumexp(np.array([1000.0, 1000.0])))
    1000.6931471805599
    """
    scores, dtype = _as_scores(x, axis)
    xp = array_namespace(scores)
    parts = shifted_exponentials(scores, axis=axis)
    # A maximum of +-inf is its own logsumexp, and NaN spreads by itself.
    result = xp.where(xp.isfinite(parts.maximum), parts.maximum + _log_total(parts, axis), parts.maximum)
    if not keepdims:
        result = xp.squeeze(result, axis=axis)
    return xp.astype(result, dtype, copy=False)
