# SPDX-License-Identifier: BSD-3-Clause
"""The Hessian of a linear model's mean loss at one point, as products, as a metric, and as a matrix.

With ``p_i`` the probabilities of sample ``i`` and ``x_i`` its scaled features, followed by a 1 for the bias,

    Hessian = sum_i mass_i * (diag(p_i) - p_i p_i') (x) (x_i x_i') / total + diag(l2)

where ``(x)`` is Kronecker's product: class by class in blocks of features. A product with a direction ``V`` needs no
Hessian: ``d_i = V' x_i`` are the changes of the logits, and ``X' (mass * (p * d - p * (p . d)))`` is the answer.
"""

__all__ = ["LinearCurvature"]

from collections.abc import Iterator
from typing import TYPE_CHECKING, final

from softmax_xp.backend import array_namespace
from softmax_xp.losses.contract import Targets
from softmax_xp.objectives.metric_sums import metric_of_rows
from softmax_xp.objectives.surrogate import DiagonalSurrogate, KroneckerSurrogate, hessian_of_rows, surrogate_of_rows
from softmax_xp.ops.linear import along_axis, class_axis, linear_logits, params_gradient
from softmax_xp.solvers.contract import Metric
from softmax_xp.typing import Array, LinearParams

if TYPE_CHECKING:
    from softmax_xp.objectives.convex import ConvexObjective


@final
class LinearCurvature:
    """The Hessian of a :class:`~softmax_xp.objectives.ConvexObjective` at one point.

    Parameters
    ----------
    objective : ConvexObjective
        Whose.
    point : array of shape (n_rows, n_columns)
        Where.
    """

    def __init__(self, objective: "ConvexObjective", point: Array) -> None:
        self.objective = objective
        self.point, self.params = point, objective.params(point)
        self.axis = class_axis(objective.n_columns, objective.backend)
        self._kept: list[Array] | None = None

    def product(self, direction: Array) -> Array:
        """Return the Hessian times ``direction``: one pass, or one and a half where probabilities are too many to keep.

        Parameters
        ----------
        direction : array of the shape of a point
            Any.

        Returns
        -------
        array of the shape of ``direction``
            Fresh.
        """
        objective, axis = self.objective, self.axis
        along, scale = objective.params(direction), objective.total_scale()
        bias = objective.fit_intercept

        def chunk_product(chunk: tuple[Array, Targets, Array | None]) -> LinearParams:
            rows = objective.linear.rows(chunk[0])
            probabilities = self._probabilities(rows) if chunk[2] is None else chunk[2]
            change = along_axis(linear_logits(along, rows), axis)
            bent = objective.loss.curvature_product(probabilities, change, axis=axis)
            bent *= self._weight(chunk[1], scale)
            return params_gradient(bent, rows, bias=bias, axis=axis)

        with objective.backend.scope():
            limits = objective.linear.limits(objective.n_columns)
            total, total_bias = objective.backend.sum_chunks(chunk_product, self._chunks(), limits)
            objective.passes += 1.0 if self._kept is not None else 1.5
            total /= objective.scale
            xp = array_namespace(total)
            result = total if total_bias is None else xp.concat((total, total_bias[None, :]), axis=0)
            return result if objective.l2_rows is None else result + objective.l2_rows * direction

    def metric(self) -> Metric:
        """Return a metric, from a sample of the rows: see :mod:`softmax_xp.objectives.metric`.

        Returns
        -------
        Metric
            Positive definite.
        """
        with self.objective.backend.scope():
            return metric_of_rows(self.objective, self.point, self._weights_of_rows)

    def surrogate(self) -> KroneckerSurrogate | DiagonalSurrogate:
        """Return a stand-in for the Hessian to multiply with: see :mod:`softmax_xp.objectives.surrogate`.

        Returns
        -------
        KroneckerSurrogate or DiagonalSurrogate
            Positive definite.
        """
        with self.objective.backend.scope():
            return surrogate_of_rows(self.objective, self._probabilities, self.axis)

    def hessian(self, entries: Array) -> Array:
        """Return the Hessian for some entries of a flat point, as it is.

        Parameters
        ----------
        entries : array of int, shape (n_entries,)
            The entry in row ``d`` and column ``c`` of a point is ``d * n_columns + c``.

        Returns
        -------
        array of shape (n_entries, n_entries)
            Positive semidefinite up to rounding; in float64 where there is one.
        """
        with self.objective.backend.scope():
            return hessian_of_rows(self.objective, self._probabilities, self.axis, entries)

    def _weights_of_rows(self, rows: Array, targets: Targets) -> Array:
        """Return the curvature of some samples in each column, times their mass: shape (n_rows, n_columns)."""
        p = self._probabilities(rows)
        weights = p * (1.0 - p)
        weights = weights.T if self.axis == 0 else weights
        mass = self.objective.loss.mass(targets)
        return weights if mass is None else weights * mass[:, None]

    def matrix(self) -> Array:
        """Return the Hessian as a matrix, made definite where the softmax leaves it singular; in float64 if there is.

        Adding one vector to the weights of all classes changes no probability. Where a penalty does not decide, the
        Hessian is zero along such a direction, and so is the gradient: any positive curvature there
        leaves the Newton step as it is.

        Returns
        -------
        array of shape (n_columns * n_rows, n_columns * n_rows)
            Columns vary slowest.
        """
        with self.objective.backend.scope():
            return self.objective.hessian_matrix().at(self._probabilities, self.axis)

    def _probabilities(self, rows: Array) -> Array:
        logits = along_axis(linear_logits(self.params, rows), self.axis)
        return self.objective.loss.probabilities(logits, axis=self.axis)

    def _weight(self, targets: Targets, scale: Array | float) -> Array | float:
        """Return what multiplies each sample's curvature, ready to meet an array of logits."""
        mass = self.objective.loss.mass(targets)
        if mass is None:
            return scale
        return (mass * scale)[None, :] if self.axis == 0 else (mass * scale)[:, None]

    def _chunks(self) -> Iterator[tuple[Array, Targets, Array | None]]:
        """Yield the data with the probabilities where they are few enough to keep; keep them at the first time."""
        objective = self.objective
        linear, n_columns = objective.linear, objective.n_columns
        keeps = linear.keeps_logits(n_columns, linear.itemsize)
        if self._kept is None and keeps:
            chunks, limits = linear.chunks(n_columns, kept=True), linear.limits(n_columns)
            rows_of = linear.rows
            self._kept = list(
                objective.backend.map_chunks(lambda chunk: self._probabilities(rows_of(chunk[0])), chunks, limits)
            )
            objective.passes += 0.5
        for number, (rows, targets) in enumerate(linear.chunks(n_columns, kept=keeps)):
            yield rows, targets, None if self._kept is None else self._kept[number]
