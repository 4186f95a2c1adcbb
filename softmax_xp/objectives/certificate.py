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
1. The bias is made optimal for the weight by Newton's method in ``n_columns`` variables, on logits that need no further
   product with ``X``. That is Sinkhorn's scaling of the columns of ``p``, made quadratically convergent, and it lowers
   ``f`` besides.
2. What is left of ``r`` is removed by one exact step of transport: each sample gives up the share ``r_c / sum_i mass_i
   p_ic`` of its probability in each class in excess, and gets it back in the classes in need, in proportion to their
   need. Rows stay distributions, and columns are exact to rounding. (Scaling alone is not enough: on nearly
   separable data what it leaves would let the bound fall below the truth.)
3. With L1 alone, ``q`` is drawn towards the targets, ``t + theta * (mass * q - t)``, until ``|theta * a| <= l1``. Each
   sample keeps its mass and each column its sum.

Everything is computed in float64 where the device has it, chunk by chunk, whatever the float of the fit. A ``q`` that
is feasible up to rounding only costs the dual value ``r`` times the best bias, and with L1 a slope's excess over ``l1``
times the best weight; for these the bound has some roundings of the bias, of the weight and of the value added.

References
----------
H.-F. Yu, F.-L. Huang, C.-J. Lin, "Dual coordinate descent methods for logistic regression and maximum entropy models",
2011 (the dual). E. Ndiaye, O. Fercoq, A. Gramfort, J. Salmon, "Gap safe screening rules for sparsity enforcing
penalties", 2017 (feasible points by shrinking). R. Sinkhorn, "Diagonal equivalence to matrices with prescribed row and
column sums", 1967.
"""

__all__ = ["certify"]

from collections.abc import Iterator
from math import inf
from typing import Any, NamedTuple, final

from softmax_xp.backend import array_namespace, backend_of, scalar, to_host
from softmax_xp.data.sparse import is_sparse
from softmax_xp.losses.contract import CurvedLoss, Targets, reciprocal_total
from softmax_xp.objectives.linear import LinearObjective
from softmax_xp.ops.linear import along_axis, class_axis
from softmax_xp.solvers.contract import Certificate
from softmax_xp.typing import Array, LinearParams

# Newton's method for the bias ends when it has converged to rounding; from a solver's last point that takes two or
# three steps, and one for each nat where a class never occurs.
_BIAS_STEPS = 30
# What may be left of the bias's slope before its share in the gradient is worth a product with the data.
_LEFT = 1e-13
# Entries of a row that meet the logits in the time of an exponential each, and of their outer product.
_NARROW = 64


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
    bound = _Bound(linear, params, n_columns)
    if params.bias is not None:
        bound.polish(_small_residual(tol, l2, sizes) if tol and bound.has_cheap_products() else 0.0)
    value, divergence, slope, gradient = bound.sums(1.0)
    xp = array_namespace(slope)
    weight = bound.params.weight
    value = value + l1 * xp.sum(xp.abs(weight)) + 0.5 * l2 * xp.sum(weight * weight)
    gap = divergence + _penalty_gap(weight, slope, l1, l2) if l2 else None
    if l1:
        largest = scalar(xp.max(xp.abs(slope)))  # host: decides whether a second pass is needed
        theta = min(1.0, l1 / largest) if largest > 0.0 else 1.0
        if theta < 1.0:
            _, divergence, slope_theta, _ = bound.sums(theta)
            shrunk = divergence + _penalty_gap(weight, slope_theta, l1, l2, allowed=True)
        else:
            shrunk = divergence + _penalty_gap(weight, slope, l1, l2, allowed=True)
        gap = shrunk if gap is None else xp.minimum(gap, shrunk)
    norm = _gradient_norm(weight, gradient, bound.residual, l1, l2)
    if gap is None:
        gap = xp.full_like(value, inf)
    rounding = xp.abs(value) + bound.reach_of_bias()
    if l1:
        rounding = rounding + xp.max(xp.sum(xp.abs(weight * xp.astype(sizes, weight.dtype)), axis=0))
    gap = gap * (1.0 + 1e-12) + 8.0 * xp.finfo(value.dtype).eps * rounding
    bounded, at, steepest = to_host(xp.stack((gap, value, norm))).tolist()  # host: the certificate
    return bound.in_dtype(params), Certificate(bounded, at, steepest), bound.passes


def _small_residual(tol: float, l2: float, sizes: Array) -> float:
    """Return a slope of the bias that costs the bound no more than some hundredths of ``tol``.

    Transport moves the probability ``r``, which costs about ``r * log(1 / p)``; it turns the slope of a weight by ``r``
    times about the mean of its feature, and of that the square over ``2 l2`` is added up.
    """
    if not l2:
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

    def __init__(self, linear: LinearObjective, params: LinearParams, n_columns: int) -> None:
        assert isinstance(linear.loss, CurvedLoss)  # noqa: S101 - see ConvexObjective
        self.linear, self.loss, self.n_columns = linear, linear.loss, n_columns
        self.backend = backend_of(linear.targets.labels)
        xp = self.backend.xp
        self.dtype: Any = xp.float64 if self.backend.capabilities.float64 else linear.dtype
        weight, bias = params
        self.params = LinearParams(xp.astype(weight, self.dtype), None if bias is None else xp.astype(bias, self.dtype))
        self.axis = class_axis(n_columns, self.backend)
        self.scale = reciprocal_total(self._wide_targets(linear.targets))
        self.give: Array | None = None  # (n_columns,) the share that each class gives up
        self.take: Array | None = None  # (n_columns,) how what was given up is spread
        self.residual: Array | None = None  # (n_columns,) the slope of the objective along the bias
        self.left = 0.0  # the sum of its sizes
        self.shares: Array | None = None  # (n_columns,) of the classes in the total weight
        self.passes = 0.0
        self._kept: list[Array] | None = None
        self._summed: tuple[LinearParams, tuple[Array, Array, Array]] | None = None  # and where

    def in_dtype(self, params: LinearParams) -> LinearParams:
        """Return the polished parameters in the dtype of the fit."""
        if params.bias is None:
            return params
        return LinearParams(params.weight, self.backend.xp.astype(self.params.bias, params.bias.dtype))

    def has_cheap_products(self) -> bool:
        """Tell whether a further product with the data costs less than a further step of polishing."""
        n_samples, n_features = self.linear.X.shape
        entries = self.linear.X.data.shape[0] if is_sparse(self.linear.X) else n_samples * n_features
        cheap: bool = entries <= _NARROW * n_samples
        return cheap

    def polish(self, enough: float) -> None:
        """Make the bias optimal for the weight, or its slope ``enough``, and note what the transport has to do."""
        xp = self.backend.xp
        given, first = self.params, inf
        last, before, undamped = inf, self.params, 1.0
        for _ in range(_BIAS_STEPS):
            columns, counts, curvature = self._columns()
            residual = (columns - counts) * self.scale
            size = scalar(xp.sum(xp.abs(residual)))  # host: ends the loop
            first = size if self.params is given else first
            if undamped == 1.0 and not size < 0.5 * last:
                self.params = before if size > last else self.params
                break
            if size <= max(4.0 * xp.finfo(self.dtype).eps, enough):
                break
            step, share = self._bias_step(residual, curvature * self.scale)
            last, before, undamped = size, self.params, scalar(share)  # host: with the size
            self.params = LinearParams(self.params.weight, self.params.bias - share * step)
        if self.dtype != self.linear.dtype:
            # The bias that the caller gets has the dtype of the fit, and the bound is that of this very bias.
            narrow = xp.astype(xp.astype(self.params.bias, self.linear.dtype), self.dtype)
            self.params = LinearParams(self.params.weight, narrow)
        self._plan_transport()
        if self.dtype != self.linear.dtype and self.left > first:
            # Of a narrow float's few biases near the best one, the given one was better.
            self.params = given
            self._plan_transport()

    def _bias_step(self, residual: Array, curvature: Array) -> tuple[Array, Array]:
        """Return Newton's step, and the share of it that is sure to lower the objective.

        The third derivative along a step is at most its second one times ``reach``, the step's range over the classes.
        So a share ``u / reach`` of a Newton step lowers the objective if ``(exp(u) - 1 - u) / u < reach``: for ``u`` up
        to 1.75 where ``reach > u``, and for ``u = log1p(reach)``.
        """
        xp = array_namespace(residual)
        n = self.n_columns
        identity = xp.eye(n, dtype=self.dtype, device=self.backend.device)
        # Where all probabilities are 0 or 1 there may be no curvature at all; the step must not overflow.
        size = xp.clip(xp.max(curvature), min=xp.finfo(self.dtype).smallest_normal ** 0.5)
        # One constant added to all classes changes nothing: curvature there is free to choose.
        common = size / n if n > 1 else 0.0
        step = xp.linalg.solve(curvature + common + 1e-13 * size * identity, residual[:, None])[:, 0]
        reach = xp.max(step) - xp.min(step) if n > 1 else xp.max(xp.abs(step))
        share = xp.clip(xp.log1p(reach), min=1.75) / xp.where(reach > 0, reach, xp.ones_like(reach))
        return step, xp.clip(share, max=1.0)

    def _plan_transport(self) -> None:
        """Note which share of its probabilities each class gives up, and who receives it."""
        xp = self.backend.xp
        columns, counts, _ = self._columns()
        residual = columns - counts
        self.residual, self.shares = residual * self.scale, counts * self.scale
        self.left = scalar(xp.sum(xp.abs(self.residual)))  # host: once
        zero = xp.zeros_like(residual)
        if self.n_columns == 1:
            total = self._total_mass()
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
        bias = self.params.bias
        if bias is None or self.shares is None:
            return 0.0
        xp = array_namespace(bias)
        if self.n_columns > 1:
            bias = bias - xp.sum(self.shares * bias) / xp.sum(self.shares)
        return xp.sum(self.shares * xp.abs(bias))

    def sums(self, theta: float) -> tuple[Array, Array, Array, Array]:
        """Return the mean loss and divergence, the slope A, and the gradient; ``q`` drawn towards the targets."""
        xp = self.backend.xp
        apart_from_p = theta == 1.0 and self.left > _LEFT

        def chunk_sums(item: tuple[Array, Targets, Array | None]) -> _Sums:
            rows, targets, logits = self.linear.rows(item[0], self.dtype), item[1], item[2]
            logits = self._shifted(self._logits(rows) if logits is None else logits)
            p = self.loss.probabilities(logits, axis=self.axis)
            q = self._transported(p)
            mass, t = self._mass_and_targets(targets)
            if theta < 1.0:
                positive = xp.where(mass > 0, mass, xp.ones_like(mass)) if isinstance(mass, type(t)) else mass
                q = t / positive + theta * (q - t / positive)
            difference = mass * q - t
            values, _ = self.loss.value_and_gradient(logits, targets, axis=self.axis)
            apart = self.loss.divergence(q, p, axis=self.axis, logits=logits)
            apart = apart if isinstance(mass, float) else apart * xp.squeeze(mass, axis=self.axis)
            slope = self._product(rows, difference)
            gradient = self._product(rows, mass * p - t) if apart_from_p else slope
            return _Sums(xp.sum(values), xp.sum(apart), slope, gradient)

        self.passes += 1.0 if apart_from_p else 0.5
        total: _Sums | None = None
        for part in self.backend.map_chunks(chunk_sums, self._chunks()):
            total = part if total is None else _Sums(*(a + b for a, b in zip(total, part, strict=True)))
        assert total is not None  # noqa: S101 - there is at least one chunk
        return (
            total.loss * self.scale,
            total.divergence * self.scale,
            total.slope * self.scale,
            total.gradient * self.scale,
        )

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

    def _columns(self) -> tuple[Array, Array, Array]:
        """Return the sums over samples of ``mass * p`` and ``t``, and of the bias's curvature."""
        if self._summed is None or self._summed[0] is not self.params:
            self._summed = self.params, self._sum_columns()
        return self._summed[1]

    def _sum_columns(self) -> tuple[Array, Array, Array]:
        """Read the data for :meth:`_columns`."""
        xp = self.backend.xp

        def chunk_columns(item: tuple[Array, Targets, Array | None]) -> tuple[Array, Array, Array]:
            logits = self._logits_of(item[0]) if item[2] is None else item[2]
            p = self.loss.probabilities(self._shifted(logits), axis=self.axis)
            mass, t = self._mass_and_targets(item[1])
            weighted = mass * p
            samples = self.axis + 1
            if self.n_columns == 1:
                curvature = xp.reshape(xp.sum(weighted * (1.0 - p)), (1, 1))
            else:
                curvature = weighted @ p.T if self.axis == 0 else weighted.T @ p
            return xp.sum(weighted, axis=samples), xp.sum(t, axis=samples), curvature

        total: tuple[Array, ...] | None = None
        for part in self.backend.map_chunks(chunk_columns, self._chunks()):
            total = part if total is None else tuple(a + b for a, b in zip(total, part, strict=True))
        assert total is not None  # noqa: S101 - there is at least one chunk
        columns, counts, curvature = total
        if self.n_columns > 1:
            # Its rows sum to zero; as sums over the other classes the diagonal is right even where each p is 0 or 1.
            identity = xp.eye(self.n_columns, dtype=self.dtype, device=self.backend.device)
            others = curvature * (1.0 - identity)
            curvature = identity * xp.sum(others, axis=1) - others
        return columns, counts, curvature

    def _total_mass(self) -> Array:
        """Return the sum of all masses."""
        mass = self.loss.mass(self._wide_targets(self.linear.targets))
        xp = self.backend.xp
        if mass is None:
            n_samples = self.linear.targets.labels.shape[0]
            return xp.full((1,), n_samples, dtype=self.dtype, device=self.backend.device)
        return xp.reshape(xp.sum(mass), (1,))

    def _mass_and_targets(self, targets: Targets) -> tuple[Array | float, Array]:
        """Return the mass, ready to meet the logits, and the weighted targets."""
        t = self.loss.target_matrix(targets, self.n_columns, dtype=self.dtype, axis=self.axis)
        mass = self.loss.mass(targets)
        if mass is None:
            return 1.0, t
        return (mass[None, :] if self.axis == 0 else mass[:, None]), t

    def _product(self, rows: Array, difference: Array) -> Array:
        """Return the slope of weights that goes with one of logits."""
        return rows.T @ (difference.T if self.axis == 0 else difference)

    def _logits_of(self, rows: Array) -> Array:
        """Return the logits of rows as they are stored."""
        return self._logits(self.linear.rows(rows, self.dtype))

    def _logits(self, rows: Array) -> Array:
        """Return the logits without the bias, along the axis of the fit."""
        return along_axis(rows @ self.params.weight, self.axis)

    def _shifted(self, logits: Array) -> Array:
        bias = self.params.bias
        if bias is None:
            return logits
        return logits + (bias[:, None] if self.axis == 0 else bias)

    def _wide_targets(self, targets: Targets) -> Targets:
        """Return targets whose weights have the dtype of the certificate."""
        xp = self.backend.xp
        labels, *floats = targets
        wide = Targets(labels, *(None if part is None else xp.astype(part, self.dtype) for part in floats))
        if wide.distribution is None and wide.class_weight is not None and wide.sample_weight is not None:
            # The product was rounded to the dtype of the fit: each mass must be the sum of its targets here.
            wide = wide._replace(weight=xp.take(wide.class_weight, labels, axis=0) * wide.sample_weight)
        return wide

    def _chunks(self) -> Iterator[tuple[Array, Targets, Array | None]]:
        """Yield the data with their logits, where these are few enough to keep."""
        self.passes += 0.5 if self._kept is None else 0.0
        if self._kept is None and self.linear.keeps_logits(self.n_columns, 8):
            chunks = self.linear.chunks(self.n_columns)
            self._kept = list(self.backend.map_chunks(lambda chunk: self._logits_of(chunk[0]), chunks))
        for number, (rows, targets) in enumerate(self.linear.chunks(self.n_columns)):
            yield rows, self._wide_targets(targets), None if self._kept is None else self._kept[number]
