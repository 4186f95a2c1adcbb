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

from typing import Any, NamedTuple

from softmax_xp.backend import array_namespace, as_array, backend_of
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.typing import Array

# NumPy adds pairwise along a contiguous axis and one term after the other along a strided one, where a million float32
# terms lose three digits. Up to this many terms the worst case stays below 1e-5.
_LONGEST_STRIDED_SUM = 128


class ShiftedExponentials(NamedTuple):
    """What the whole softmax family is made of; reductions keep their axis."""

    maximum: Array  # the largest score, whatever it is
    shifted: Array  # x - maximum, at most 0
    exponentials: Array  # exp(shifted)
    total: Array  # sum of the exponentials, at least 1; NaN where the maximum is not finite


def shifted_exponentials(x: Array, *, axis: int = -1) -> ShiftedExponentials:
    """Return the scores less their maximum, the exponentials of that, and their sum.

    Infinite scores subtract to NaN here, of which NumPy warns: call this within :meth:`Backend.scope`.

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
    shifted = x - maximum
    exponentials = xp.exp(shifted)
    return ShiftedExponentials(maximum, shifted, exponentials, xp.sum(exponentials, axis=axis, keepdims=True))


def _log_total(parts: ShiftedExponentials, axis: int) -> Array:
    """Return log(total) with full relative accuracy down to the smallest normal number."""
    xp = array_namespace(parts.shifted)
    at_maximum = parts.shifted == 0
    ties = xp.sum(xp.astype(at_maximum, parts.shifted.dtype), axis=axis, keepdims=True)
    rest = xp.sum(xp.where(at_maximum, 0.0, parts.exponentials), axis=axis, keepdims=True)
    return xp.log1p(rest + (ties - 1.0))


def _as_scores(x: Array, axis: int) -> tuple[Array, int, Any]:
    """Check ``x``; bring it to its float of computation; also return where the classes are, and the answer's dtype."""
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
    if x.dtype != dtype:
        x = xp.astype(x, dtype)
    if x.shape[axis] <= _LONGEST_STRIDED_SUM:
        return x, axis, answer
    # Flattening is the standard's one way to make an array contiguous. It costs nothing where the array is so already.
    x = xp.moveaxis(x, axis, -1)
    return xp.reshape(xp.reshape(x, (-1,)), x.shape), -1, answer


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
    scores, classes, dtype = _as_scores(x, axis)
    xp = array_namespace(scores)
    with backend_of(scores).scope():  # the difference of two huge scores may be -inf, which is right
        parts = shifted_exponentials(scores, axis=classes)
    probabilities = parts.exponentials
    probabilities /= parts.total
    return xp.astype(xp.moveaxis(probabilities, classes, axis), dtype, copy=False)


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
    scores, classes, dtype = _as_scores(x, axis)
    xp = array_namespace(scores)
    with backend_of(scores).scope():
        parts = shifted_exponentials(scores, axis=classes)
        logarithms = parts.shifted - _log_total(parts, classes)
    return xp.astype(xp.moveaxis(logarithms, classes, axis), dtype, copy=False)


def logsumexp(x: Array, axis: int = -1, *, keepdims: bool = False) -> Array:
    """Return ``log(sum(exp(x)))``, the smooth maximum, without overflow.

    The result is ``maximum + log(total)``, and its error is small relative to the larger of the two, thus relative
    to the result itself where the maximum is not negative. A negative maximum may cancel: where the sum of the
    exponentials themselves is close to 1, the result is close to 0 and only its absolute error is small.

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
    scores, classes, dtype = _as_scores(x, axis)
    xp = array_namespace(scores)
    with backend_of(scores).scope():
        parts = shifted_exponentials(scores, axis=classes)
        # A maximum of +-inf is its own logsumexp, and NaN spreads by itself.
        result = xp.where(xp.isfinite(parts.maximum), parts.maximum + _log_total(parts, classes), parts.maximum)
    result = xp.moveaxis(result, classes, axis) if keepdims else xp.squeeze(result, axis=classes)
    return xp.astype(result, dtype, copy=False)
