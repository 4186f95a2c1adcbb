# SPDX-License-Identifier: BSD-3-Clause
"""The best bias for a given weight: a problem in ``n_columns`` variables that meets the data through their logits only.

With ``p_i = softmax(x_i W + b)``, the mean loss has the slope ``r = sum_i (mass_i p_i - t_i) / total`` along ``b`` and
the curvature ``sum_i mass_i (diag(p_i) - p_i p_i') / total``. Newton's method on that is Sinkhorn's scaling of the
columns of ``p``, made quadratically convergent.

For many classes the curvature costs more than everything else. Then it is computed once and used for several steps,
which converge no longer quadratically, but fast. And a fit in a narrow float makes its first steps in that float, where
the logits have to be computed anew for each.

References
----------
R. Sinkhorn, "Diagonal equivalence to matrices with prescribed row and column sums", 1967.
"""

__all__ = ["BiasProblem", "polished_bias"]

from collections.abc import Iterable
from math import inf
from typing import Any, cast, final

from softmax_xp.backend import array_namespace, backend_of, scalar
from softmax_xp.data.rows import entry_count
from softmax_xp.losses.contract import CurvedLoss, Targets, reciprocal_total
from softmax_xp.objectives.linear import LinearObjective
from softmax_xp.objectives.remote import joined
from softmax_xp.ops.linear import along_axis, class_axis
from softmax_xp.threads import Limits
from softmax_xp.typing import Array, LinearParams

# Newton's method for the bias ends when it has converged to rounding; from a solver's last point that takes two or
# three steps, and one for each nat where a class never occurs.
_STEPS = 30
# Entries of a row that meet the logits in the time of an exponential each, and of their outer product.
_NARROW = 64
# From so many classes on the curvature is used for several steps.
_MANY = 128
# The certificate, which goes through the data with this problem, makes so many arrays of the size of the logits.
_COPIES = 20


@final
class BiasProblem:
    """A linear model's mean loss as a function of its bias.

    Parameters
    ----------
    linear : LinearObjective
        Data, targets and a loss that is a :class:`~softmax_xp.losses.CurvedLoss`.
    params : LinearParams
        The weight (n_features, n_columns), and the bias (n_columns,), or None for a model without.
    n_columns : int
        Of the logits.
    dtype : dtype
        The float in which to compute.
    """

    def __init__(self, linear: LinearObjective, params: LinearParams, n_columns: int, dtype: Any) -> None:
        self.linear, self.n_columns, self.dtype = linear, n_columns, dtype
        self.loss = cast("CurvedLoss", linear.loss)  # asking a protocol costs more than a sum over small data
        self.backend = backend_of(linear.targets.labels)
        xp = self.backend.xp
        weight, bias = params
        self.weight = xp.astype(weight, dtype, copy=False)
        # Chosen now: after the certificate another choice would be rounded anew, and be another model.
        self.bias = None if bias is None else _centred(xp.astype(bias, dtype))
        self.axis = class_axis(n_columns, self.backend)
        targets = linear.targets
        if targets.distribution is not None:  # whose total is that of the sample weights: no need to copy it
            targets = targets._replace(distribution=None, class_weight=None)
        self.scale = reciprocal_total(self._targets(targets))
        self.passes = 0.0
        self._kept: list[Array] | None = None
        self._columns: tuple[Array, Array, Array | None] | None = None  # where, and the sums there
        self._counts: Array | None = None

    @property
    def keeps_logits(self) -> bool:
        """Whether all logits are few enough to keep, so that a step costs no product with the data."""
        return self.linear.keeps_logits(self.n_columns, 8)

    def has_cheap_products(self) -> bool:
        """Tell whether a further product with the data costs less than a further step."""
        n_samples: int = self.linear.X.shape[0]
        return not self.keeps_logits or entry_count(self.linear.X) <= _NARROW * n_samples

    def polish(self, enough: float) -> float:
        """Make the bias optimal for the weight, or its slope ``enough``; return the slope that it had."""
        xp = self.backend.xp
        enough = max(4.0 * xp.finfo(self.dtype).eps, enough)
        first = smallest = last = inf
        best, share, idle = self.bias, 1.0, 0
        curvature: Array | None = None
        for _ in range(_STEPS):
            columns, counts = self.columns()
            residual = (columns - counts) * self.scale
            size = scalar(xp.sum(xp.abs(residual)))  # host: ends the loop
            first = size if first == inf else first
            if size < smallest:
                smallest, best = size, self.bias
            # Far from the best bias a whole step need not halve the slope, though two of them do; rounding never does.
            idle = idle + 1 if share == 1.0 and not size < 0.5 * last else 0
            if size <= enough or idle == 2:
                break
            if curvature is None or self.n_columns < _MANY or share < 1.0 or not size < 0.1 * last:
                curvature = self.curvature()
            step, share_of_step = _newton_step(residual, curvature * self.scale)
            last, share = size, scalar(share_of_step)  # host: with the size
            self.bias = self.bias - share * step
        self.bias = best
        return first

    def columns(self) -> tuple[Array, Array]:
        """Return the sums over samples of ``mass * p`` and of ``t``: half a pass, once for each bias."""
        if self._columns is None or self._columns[0] is not self.bias:
            self._columns = self.bias, *self._sums(bent=self.n_columns < _MANY)
        if self._counts is None:
            xp, samples = self.backend.xp, self.axis + 1
            chunks = self._rows_and_targets()

            def counts_of(chunk: tuple[Array, Targets]) -> tuple[Array]:
                return (xp.sum(self.mass_and_targets(self._targets(chunk[1]))[1], axis=samples),)

            (self._counts,) = self.backend.sum_chunks(counts_of, chunks, self.limits)
        return self._columns[1], self._counts

    def curvature(self) -> Array:
        """Return the sum over samples of ``mass * (diag(p) - p p')``, (n_columns, n_columns); no pass for few."""
        xp = self.backend.xp
        known = None if self._columns is None or self._columns[0] is not self.bias else self._columns[2]
        total = self._sums(bent=True)[1] if known is None else known
        assert total is not None  # noqa: S101 - it was asked for
        if self.n_columns == 1:
            return total
        # Its rows sum to zero; as sums over the other classes the diagonal is right even where each p is 0 or 1.
        identity = xp.eye(self.n_columns, dtype=self.dtype, device=self.backend.device)
        others = total * (1.0 - identity)
        return identity * xp.sum(others, axis=1) - others

    def _sums(self, *, bent: bool) -> tuple[Array, Array | None]:
        """Return the sums over samples of ``mass * p`` and, if asked for, of ``mass * p p'``."""
        xp, samples = self.backend.xp, self.axis + 1

        def chunk_sums(item: tuple[Array, Targets, Array | None]) -> tuple[Array, Array | None]:
            p = self.probabilities(item[0], item[2])
            mass = self.loss.mass(item[1])
            weighted = p if mass is None else (mass[None, :] if self.axis == 0 else mass[:, None]) * p
            columns = xp.sum(weighted, axis=samples)
            if not bent:
                return columns, None
            if self.n_columns == 1:
                return columns, xp.reshape(xp.sum(weighted * (1.0 - p)), (1, 1))
            return columns, weighted @ p.T if self.axis == 0 else weighted.T @ p

        columns, curvature = self.backend.sum_chunks(chunk_sums, self.chunks(), self.limits)
        return columns, curvature

    def probabilities(self, rows: Array, logits: Array | None) -> Array:
        """Return those of some rows, as they are stored, with their logits without the bias if these are known."""
        logits = self.logits(self.linear.rows(rows, self.dtype)) if logits is None else logits
        return self.loss.probabilities(self.shifted(logits), axis=self.axis)

    def logits(self, rows: Array) -> Array:
        """Return the logits without the bias, along the axis of the fit; ``rows`` are converted."""
        return along_axis(rows @ self.weight, self.axis)

    def shifted(self, logits: Array) -> Array:
        """Return the logits with the bias."""
        if self.bias is None:
            return logits
        return logits + (self.bias[:, None] if self.axis == 0 else self.bias)

    def mass_and_targets(self, targets: Targets) -> tuple[Array | float, Array]:
        """Return the mass, ready to meet the logits, and the weighted targets."""
        t = self.loss.target_matrix(targets, self.n_columns, dtype=self.dtype, axis=self.axis)
        mass = self.loss.mass(targets)
        if mass is None:
            return 1.0, t
        return (mass[None, :] if self.axis == 0 else mass[:, None]), t

    def total_mass(self) -> Array:
        """Return the sum of all masses."""
        xp = self.backend.xp

        def mass_of(chunk: tuple[Array, Targets]) -> tuple[Array]:
            mass = self.loss.mass(self._targets(chunk[1]))
            if mass is None:
                return (xp.full((1,), chunk[1].labels.shape[0], dtype=self.dtype, device=self.backend.device),)
            return (xp.reshape(xp.sum(mass), (1,)),)

        (total,) = self.backend.sum_chunks(mass_of, self._rows_and_targets(), self.limits)
        return total

    def chunks(self) -> Iterable[tuple[Array, Targets, Array | None]]:
        """Return the data with their logits, where these are few enough to keep."""
        self.passes += 0.5 if self._kept is None else 0.0
        if self._kept is None and self.keeps_logits:
            convert, chunks = self.linear.rows, self._rows_and_targets()
            logits_of = self.backend.map_chunks(
                lambda chunk: self.logits(convert(chunk[0], self.dtype)), chunks, self.limits
            )
            self._kept = list(logits_of)

        def join(chunk: tuple[Array, Targets], kept: Array | None) -> tuple[Array, Targets, Array | None]:
            return chunk[0], self._targets(chunk[1]), kept

        return joined(self._rows_and_targets(), self._kept, join)

    @property
    def limits(self) -> Limits:
        """What memory has room for while the data are read."""
        return self.linear.limits(self.n_columns, dtype=self.dtype, copies=_COPIES)

    def _rows_and_targets(self) -> Iterable[tuple[Array, Targets]]:
        """Return the data, cut the same way for as long as logits are kept."""
        return self.linear.chunks(self.n_columns, dtype=self.dtype, copies=_COPIES, kept=self.keeps_logits)

    def _targets(self, targets: Targets) -> Targets:
        """Return targets whose weights have the dtype of the computation."""
        xp = self.backend.xp
        labels, *floats = targets
        wide = Targets(labels, *(None if part is None else xp.astype(part, self.dtype) for part in floats))
        if wide.distribution is None and wide.class_weight is not None and wide.sample_weight is not None:
            # The product was rounded to the dtype of the fit: each mass must be the sum of its targets here.
            wide = wide._replace(weight=xp.take(wide.class_weight, labels, axis=0) * wide.sample_weight)
        return wide


def polished_bias(
    linear: LinearObjective, params: LinearParams, n_columns: int, dtype: Any, enough: float
) -> BiasProblem:
    """Make a model's bias the best one for its weight, of those that the float of the fit has.

    Parameters
    ----------
    linear, params, n_columns, dtype : object
        Those of :class:`BiasProblem`; ``dtype`` is the widest.
    enough : float
        What may be left of the slope along the bias, as the sum of its sizes.

    Returns
    -------
    BiasProblem
        With that bias.
    """
    narrow = linear.dtype
    problem = BiasProblem(linear, params, n_columns, dtype)
    if params.bias is None:
        return problem
    enough = enough if problem.has_cheap_products() else 0.0
    if dtype == narrow:
        problem.polish(enough)
        return problem
    xp = problem.backend.xp
    given = xp.astype(xp.astype(problem.bias, narrow), dtype)
    if problem.keeps_logits:
        first = problem.polish(max(enough, xp.finfo(narrow).eps))
        best = xp.astype(problem.bias, narrow)
    else:
        # What is finer than the bias can be is not worth a product with the data in the widest float.
        rough = BiasProblem(linear, params, n_columns, narrow)
        first = rough.polish(enough)
        best, problem.passes = rough.bias, rough.passes
    # The bias that the caller gets has the dtype of the fit, and the bound is that of this very bias. Of the few near
    # the best one the given one may be better.
    problem.bias = xp.astype(best, dtype)
    columns, counts = problem.columns()
    if scalar(xp.sum(xp.abs(columns - counts)) * problem.scale) > first:  # host: once for each certificate
        problem.bias = given
    return problem


def _centred(bias: Array) -> Array:
    """Return the bias of equal probabilities that sums to 0 over the classes, to which Newton's steps add nothing."""
    return bias - array_namespace(bias).mean(bias) if bias.shape[0] > 1 else bias


def _newton_step(residual: Array, curvature: Array) -> tuple[Array, Array]:
    """Return Newton's step, and the share of it that is sure to lower the objective.

    The third derivative along a step is at most its second one times ``reach``, the step's range over the classes. So a
    share ``u / reach`` of a Newton step lowers the objective if ``(exp(u) - 1 - u) / u < reach``: for ``u`` up to 1.75
    where ``reach > u``, and for ``u = log1p(reach)``.
    """
    xp = array_namespace(residual)
    n = residual.shape[0]
    finfo = xp.finfo(residual.dtype)
    identity = xp.eye(n, dtype=residual.dtype, device=backend_of(residual).device)
    # Where all probabilities are 0 or 1 there may be no curvature at all; the step must not overflow.
    size = xp.clip(xp.max(curvature), min=finfo.smallest_normal**0.5)
    # One constant added to all classes changes nothing: curvature there is free to choose.
    common = size / n if n > 1 else 0.0
    jitter = max(1e-13, 4.0 * finfo.eps)
    step = xp.linalg.solve(curvature + common + jitter * size * identity, residual[:, None])[:, 0]
    reach = xp.max(step) - xp.min(step) if n > 1 else xp.max(xp.abs(step))
    share = xp.clip(xp.log1p(reach), min=1.75) / xp.where(reach > 0, reach, xp.ones_like(reach))
    return step, xp.clip(share, max=1.0)
