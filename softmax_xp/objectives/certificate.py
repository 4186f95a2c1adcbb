# SPDX-License-Identifier: BSD-3-Clause
"""A proven bound on how far a linear model is from the minimum of its objective.

The problem and its dual
------------------------
With the weighted targets ``t_i``, ``mass_i = sum_c t_ic``, ``z_i = x_i W + b``, and ``total`` as the mean divides,

    f(W, b) = sum_i (mass_i * logsumexp(z_i) - t_i . z_i) / total + penalty(W)

``logsumexp(z)`` is the maximum of ``q . z - sum_c q_c log q_c`` over the probabilities ``q``, reached at the softmax
``p``. So for any probabilities ``q_i``, with ``A = X' (mass * q - t) / total`` and ``r = sum_i (mass_i q_i - t_i) /
total``, Fenchel's inequality gives

    f(W', b') >= D(q) = -sum_i mass_i sum_c q_ic log q_ic / total - conjugate(-A)      for all W', b', if r = 0

where ``conjugate`` is that of the penalty; ``r = 0`` is what the free bias asks for. Hence ``f(W, b) - D(q)`` bounds
``f(W, b) - min f``. Subtracting two numbers of the size of ``f`` would leave rounding. But the difference is a sum of
terms none of which is negative:

    f(W, b) - D(q) = sum_i mass_i KL(q_i || p_i) / total  +  sum over entries of (penalty(w) + conjugate(-a) + w a)

With an L2 penalty the last terms are ``(l2 w + a)**2 / (2 l2)``; with both, ``l1 |w| + l2 w**2 / 2 + max(|a| - l1,
0)**2 / (2 l2) + w a``; with L1 alone ``l1 |w| + w a``, provided that ``|a| <= l1`` everywhere. For ``q = p`` this is
the square of the gradient over ``2 l2``: the certificate is as small as the gradient says, and not smaller.

From probabilities to a feasible q
----------------------------------
1. The bias is made optimal for the weight, which makes ``r`` zero to rounding, and lowers ``f`` besides: see
   :mod:`softmax_xp.objectives.bias`.
2. What is left of ``r`` is removed by one exact step of transport: each sample gives up the share ``r_c / sum_i mass_i
   p_ic`` of its probability in each class in excess, and gets it back in the classes in need, in proportion to their
   need. Rows stay distributions, and columns are exact to rounding. (Scaling alone is not enough: on nearly
   separable data what it leaves would let the bound fall below the truth.)
3. With L1 alone, ``q`` is drawn towards the targets, ``t + theta * (mass * q - t)``, until ``|theta * a| <= l1``. Each
   sample keeps its mass and each column its sum.

4. With all probability on the targets, ``q = t / mass``, the bound is the objective itself, which no loss falls below:
   the better of the two counts.

Rounding
--------
Everything is computed in float64 where the device has it, chunk by chunk, whatever the float of the fit. What rounding
may have taken from the sums is added:

* A ``q`` that is feasible up to rounding costs the dual value ``r`` times the best bias, and with L1 a slope's excess
  over ``l1`` times the best weight: some roundings of the bias, of the weight and of the value.
* A slope ``a_jc`` is a sum of terms ``x_ij (mass_i q_ic - t_ic)`` of size up to ``size_j (mass_i q_ic + t_ic)``, all of
  which cancel where a feature has a mean far above its spread. Let ``delta`` bound what rounding moves ``A`` by. The
  penalty's terms are not negative, and their derivative is ``1 / l2``-Lipschitz; so it is at most ``sqrt(2 gap / l2)``,
  and they grow by no more than ``sqrt(2 gap / l2) * delta + delta**2 / (2 l2)``.
* Logits ``z`` that are off by ``rho`` make another ``p``. ``KL(q || p)`` has the derivative ``p - q`` by them, which is
  at most ``sqrt(2 KL)`` in the sum of its sizes (Pinsker's inequality): it grows by no more than ``sqrt(2 KL) * rho +
  rho**2 / 2``.

References
----------
H.-F. Yu, F.-L. Huang, C.-J. Lin, "Dual coordinate descent methods for logistic regression and maximum entropy models",
2011 (the dual). E. Ndiaye, O. Fercoq, A. Gramfort, J. Salmon, "Gap safe screening rules for sparsity enforcing
penalties", 2017 (feasible points by shrinking).
"""

__all__ = ["certify"]

from math import inf
from typing import Any, NamedTuple, cast, final

from softmax_xp.backend import array_namespace, backend_of, scalar, scalars
from softmax_xp.losses.contract import CurvedLoss, Targets
from softmax_xp.objectives.bias import polished_bias
from softmax_xp.objectives.linear import LinearObjective
from softmax_xp.solvers.contract import Certificate
from softmax_xp.typing import Array, LinearParams

# What may be left of the bias's slope before its share in the gradient is worth a product with the data.
_LEFT = 1e-13
# Sums are off by some roundings of their terms; long ones are added in blocks. A scale may be 1.5 times too small.
_ROUNDINGS = 8.0


class _Sums(NamedTuple):
    """What one chunk adds to the bound."""

    loss: Array  # sum of the weighted losses
    divergence: Array  # sum of mass * KL(q || p)
    slope: Array  # X' (mass * q - t), (n_features, n_columns)
    gradient: Array  # X' (mass * p - t), the same where the two do not differ


def certify(
    linear: LinearObjective,
    params: LinearParams,
    *,
    n_columns: int,
    l1: float,
    l2: float,
    sizes: Array,
    tol: float = 0.0,
) -> tuple[LinearParams, Certificate, float]:
    """Bound the distance of a linear model's objective from its minimum.

    Parameters
    ----------
    linear : LinearObjective
        Data, targets and a loss that is a :class:`~softmax_xp.losses.CurvedLoss`.
    params : LinearParams
        The weight (n_features, n_columns), and the bias (n_columns,), or None for a model without.
    n_columns : int
        Of the logits.
    l1, l2 : float
        Strengths of the penalties ``sum(abs(weight))`` and ``sum(weight * weight) / 2``.
    sizes : array of shape (n_features, 1)
        About the largest entry of each feature.
    tol : float, default: 0.0
        How small the bound needs to be, in nats: the bias is polished until what is left of it costs next to nothing
        of this; with 0 until only rounding is left.

    Returns
    -------
    params : LinearParams
        The same weight, and the bias that is best for it.
    certificate : Certificate
        Of these. Its bound is infinite where ``l1`` and ``l2`` are both 0.
    passes : float
        How often the data were read, in units of one value and gradient.
    """
    bound = _Bound(linear, params, n_columns, _small_residual(tol, l2, sizes))
    value, divergence, slope, gradient = bound.sums(1.0)
    xp = array_namespace(slope)
    weight, sizes = bound.model.weight, xp.astype(sizes, slope.dtype)
    value = value + l1 * xp.sum(xp.abs(weight)) + 0.5 * l2 * xp.sum(weight * weight)
    rounding = _Rounding(bound, sizes, value, l1, l2)
    gap = value + rounding.certain  # all probability on the targets is feasible, and no loss is negative
    if l2:
        gap = xp.minimum(gap, rounding.added(divergence, _penalty_gap(weight, slope, l1, l2)))
    if l1:
        largest = scalar(xp.max(xp.abs(slope)))  # host: decides whether a second pass is needed
        theta = min(1.0, l1 / largest) if largest > 0.0 else 1.0
        if theta < 1.0:
            _, divergence, slope, _ = bound.sums(theta)
        gap = xp.minimum(gap, rounding.added(divergence, _penalty_gap(weight, slope, l1, l2, allowed=True)))
    if not (l1 or l2):
        gap = xp.full_like(value, inf)
    norm = _gradient_norm(weight, gradient, bound.residual, l1, l2)
    bounded, at, steepest = scalars(gap, value, norm)  # host: the certificate
    return bound.in_dtype(params), Certificate(bounded, at, steepest), bound.passes + bound.model.passes


@final
class _Rounding:
    """What rounding may have taken from a bound: see the head of this module."""

    def __init__(self, bound: "_Bound", sizes: Array, value: Array, l1: float, l2: float) -> None:
        xp = array_namespace(value)
        self.l2, self.few = l2, _ROUNDINGS * xp.finfo(value.dtype).eps
        reach = xp.max(xp.sum(xp.abs(bound.model.weight) * sizes, axis=0))
        self.certain = self.few * (xp.abs(value) + bound.reach_of_bias() + (reach if l1 else 0.0))
        self.rho = self.few * (reach + bound.largest_bias())
        self.delta = self.few * bound.moved() * xp.sqrt(xp.sum(sizes * sizes))

    def added(self, divergence: Array, of_penalty: Array) -> Array:
        """Return the bound that these two parts make, with all that rounding may have taken from it."""
        xp = array_namespace(divergence)
        gap = (divergence + of_penalty) * (1.0 + 1e-12) + self.certain
        gap = gap + (xp.sqrt(2.0 * divergence) + 0.5 * self.rho) * self.rho
        if not self.l2:
            return gap  # a slope's rounding is among the certain ones
        return gap + (xp.sqrt(of_penalty * (2.0 / self.l2)) + self.delta * (0.5 / self.l2)) * self.delta


def _small_residual(tol: float, l2: float, sizes: Array) -> float:
    """Return a slope of the bias that costs the bound no more than some hundredths of ``tol``.

    Transport moves the probability ``r``, which costs about ``r * log(1 / p)``; it turns the slope of a weight by ``r``
    times about the mean of its feature, and of that the square over ``2 l2`` is added up.
    """
    if not tol or not l2:
        return 0.0
    xp = array_namespace(sizes)
    length = scalar(xp.sqrt(xp.sum(sizes * sizes)))  # host: once for each certificate
    return min(1e-3 * tol, 0.1 * (l2 * tol) ** 0.5 / length) if 0.0 < length < inf else 0.0


def _penalty_gap(weight: Array, slope: Array, l1: float, l2: float, *, allowed: bool = False) -> Array:
    """Return the sum of ``penalty(w) + conjugate(-a) + w a``; ``allowed``: no ``|a|`` exceeds ``l1``."""
    xp = array_namespace(weight)
    if not l1:
        both = l2 * weight + slope
        return xp.sum(both * both) * (0.5 / l2)
    terms = l1 * xp.abs(weight) + weight * slope
    if l2:
        terms = terms + 0.5 * l2 * weight * weight
    if not allowed:
        excess = xp.maximum(xp.abs(slope) - l1, xp.zeros_like(slope))
        terms = terms + excess * excess * (0.5 / l2)
    return xp.sum(xp.maximum(terms, xp.zeros_like(terms)))


def _gradient_norm(weight: Array, slope: Array, bias: Array | None, l1: float, l2: float) -> Array:
    """Return the largest absolute entry of the smallest subgradient, from the loss's slopes."""
    xp = array_namespace(weight)
    gradient = slope + l2 * weight
    if l1:
        at_kink = xp.maximum(xp.abs(gradient) - l1, xp.zeros_like(gradient))
        gradient = xp.where(weight == 0, at_kink, gradient + l1 * xp.sign(weight))
    norm = xp.max(xp.abs(gradient))
    return norm if bias is None else xp.maximum(norm, xp.max(xp.abs(bias)))


@final
class _Bound:
    """The passes over the data that a certificate takes."""

    def __init__(self, linear: LinearObjective, params: LinearParams, n_columns: int, enough: float) -> None:
        self.linear, self.loss, self.n_columns = linear, cast("CurvedLoss", linear.loss), n_columns
        self.backend = backend_of(linear.targets.labels)
        xp = self.backend.xp
        dtype: Any = xp.float64 if self.backend.capabilities.float64 else linear.dtype
        self.give: Array | None = None  # (n_columns,) the share that each class gives up
        self.take: Array | None = None  # (n_columns,) how what was given up is spread
        self.residual: Array | None = None  # (n_columns,) the slope of the objective along the bias
        self.left = 0.0  # the sum of its sizes
        self.shares: Array | None = None  # (n_columns,) of the classes in the total weight
        self.passes = 0.0
        self.model = polished_bias(linear, params, n_columns, dtype, enough)
        self.axis, self.scale = self.model.axis, self.model.scale
        if params.bias is not None:
            self._plan_transport()

    def in_dtype(self, params: LinearParams) -> LinearParams:
        """Return the polished parameters in the dtype of the fit."""
        if params.bias is None:
            return params
        return LinearParams(params.weight, self.backend.xp.astype(self.model.bias, params.bias.dtype))

    def _plan_transport(self) -> None:
        """Note which share of its probabilities each class gives up, and who receives it."""
        xp = self.backend.xp
        columns, counts = self.model.columns()
        residual = columns - counts
        self.residual, self.shares = residual * self.scale, counts * self.scale
        self.left = scalar(xp.sum(xp.abs(self.residual)))  # host: once
        zero = xp.zeros_like(residual)
        if self.n_columns == 1:
            total = self.model.total_mass()
            # Class 1 gives to class 0, or takes from it; the one column is that of class 1.
            self.give = xp.maximum(residual, zero) / xp.where(columns > 0, columns, 1.0)
            rest = total - columns
            self.take = xp.maximum(-residual, zero) / xp.where(rest > 0, rest, 1.0)
            return
        self.give = xp.maximum(residual, zero) / xp.where(columns > 0, columns, 1.0)
        need = xp.maximum(-residual, zero)
        total_need = xp.sum(need)
        self.take = need / xp.where(total_need > 0, total_need, 1.0)

    def reach_of_bias(self) -> Array | float:
        """Return by how much the bias moves the mean logits, apart from a shift of all classes."""
        bias = self.model.bias
        if bias is None or self.shares is None:
            return 0.0
        xp = array_namespace(bias)
        if self.n_columns > 1:
            bias = bias - xp.sum(self.shares * bias) / xp.sum(self.shares)
        return xp.sum(self.shares * xp.abs(bias))

    def largest_bias(self) -> Array | float:
        """Return the largest size of a bias."""
        bias = self.model.bias
        return 0.0 if bias is None else array_namespace(bias).max(array_namespace(bias).abs(bias))

    def moved(self) -> Array | float:
        """Return how much of the targets, and as much of the probabilities, meets the features of one size."""
        if self.shares is not None:
            return 2.0 * array_namespace(self.shares).sqrt(array_namespace(self.shares).sum(self.shares * self.shares))
        return 2.0 * self.model.total_mass()[0] * self.scale

    def sums(self, theta: float) -> tuple[Array, Array, Array, Array]:
        """Return the mean loss and divergence, the slope A, and the gradient; ``q`` drawn towards the targets."""
        xp = self.backend.xp
        model = self.model
        apart_from_p = theta == 1.0 and self.left > _LEFT

        def chunk_sums(item: tuple[Array, Targets, Array | None]) -> _Sums:
            rows, targets, logits = self.linear.rows(item[0], model.dtype), item[1], item[2]
            logits = model.shifted(model.logits(rows) if logits is None else logits)
            p = self.loss.probabilities(logits, axis=self.axis)
            q = self._transported(p)
            mass, t = model.mass_and_targets(targets)
            if theta < 1.0:
                positive = xp.where(mass > 0, mass, xp.ones_like(mass)) if isinstance(mass, type(t)) else mass
                q = t / positive + theta * (q - t / positive)
            difference = mass * q - t
            values, _ = self.loss.value_and_gradient(logits, targets, axis=self.axis)
            apart = self.loss.divergence(q, p, axis=self.axis, logits=logits)
            apart = apart if isinstance(mass, float) else apart * xp.squeeze(mass, axis=self.axis)
            slope = self._product(rows, difference)
            gradient = self._product(rows, mass * p - t) if apart_from_p else None
            return _Sums(xp.sum(values), xp.sum(apart), slope, gradient)

        self.passes += 1.0 if apart_from_p else 0.5
        loss, divergence, slope, gradient = self.backend.sum_chunks(chunk_sums, model.chunks(), model.limits)
        slope = slope * self.scale
        gradient = slope if gradient is None else gradient * self.scale
        return loss * self.scale, divergence * self.scale, slope, gradient

    def _transported(self, p: Array) -> Array:
        """Return probabilities whose columns have the sums of the targets."""
        if self.give is None or self.take is None:
            return p
        if self.n_columns == 1:
            return p * (1.0 - self.give) + (1.0 - p) * self.take
        xp = array_namespace(p)
        shape = (-1, 1) if self.axis == 0 else (1, -1)
        give, take = xp.reshape(self.give, shape), xp.reshape(self.take, shape)
        given = p * give
        return p - given + xp.sum(given, axis=self.axis, keepdims=True) * take

    def _product(self, rows: Array, difference: Array) -> Array:
        """Return the slope of weights that goes with one of logits."""
        return rows.T @ (difference.T if self.axis == 0 else difference)
