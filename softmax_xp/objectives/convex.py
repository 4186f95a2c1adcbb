# SPDX-License-Identifier: BSD-3-Clause
"""What the convex solvers see of a linear model: one array in well-scaled coordinates, curvature, and a certificate.

    value(weight, bias) = sum(mass * logsumexp(z) - t . z) / total + l1 * sum(|weight|) + l2 / 2 * sum(weight**2)
    z = X @ weight + bias

with the weighted targets ``t`` of :class:`softmax_xp.losses.CurvedLoss`, ``mass = sum(t)`` of each sample, and the
``total`` weight of :func:`softmax_xp.losses.contract.reciprocal_total`. scikit-learn's ``C`` and ``l1_ratio`` are
``l2 = (1 - l1_ratio) / (C * total)`` and ``l1 = l1_ratio / (C * total)``.

Coordinates
-----------
A point is ``(scale * weight, bias)``, where ``scale`` is about the largest entry of each feature. So features of 1e30
and of 1e-30 both enter with size 1, squares neither overflow nor vanish, and no copy of ``X`` is made. Each scale is a
power of two, so that the way there and back changes no bit.
"""

__all__ = ["ConvexObjective"]

from typing import final

from softmax_xp.backend import Backend, array_namespace, backend_of
from softmax_xp.data.sparse import to_dense
from softmax_xp.errors import InvalidValueError
from softmax_xp.losses.contract import CurvedLoss, Targets, reciprocal_total
from softmax_xp.objectives.certificate import certify
from softmax_xp.objectives.curvature import LinearCurvature
from softmax_xp.objectives.linear import LinearObjective
from softmax_xp.objectives.matrix import HessianMatrix
from softmax_xp.objectives.scaling import feature_scale, survey_of_rows
from softmax_xp.solvers.contract import Certified
from softmax_xp.typing import Array, LinearParams

# Rows of a sample whose mean is good enough for an estimate.
_MEAN_SAMPLES = 1 << 14


@final
class ConvexObjective:
    """A linear model's mean loss with an L1 and an L2 penalty, for solvers; the bias is free.

    Parameters
    ----------
    linear : LinearObjective
        Data, targets and a :class:`~softmax_xp.losses.CurvedLoss`; without a penalty.
    n_classes : int
        How many classes there are; with two of them the loss may have one column.
    l1 : float, default: 0.0
        Strength of ``sum(abs(weight))``.
    l2 : float, default: 0.0
        Strength of ``sum(weight * weight) / 2``.
    fit_intercept : bool, default: True
        Whether there is a bias.

    Raises
    ------
    InvalidValueError
        For a loss with a temperature.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.losses import CrossEntropy
    >>> from softmax_xp.objectives import ConvexObjective, LinearObjective
    >>> loss, X = CrossEntropy(), np.asarray([[0.0], [1.0], [3.0]])
    >>> targets = loss.prepare(np.asarray([0, 1, 1]), 2, dtype=X.dtype)
    >>> objective = ConvexObjective(LinearObjective(X, targets, loss, None, X.dtype), 2, l2=0.1)
    >>> objective.shape
    (2, 2)
    >>> objective.certificate(objective.start()).certificate.bound > 0.1
    True
    """

    def __init__(
        self,
        linear: LinearObjective,
        n_classes: int,
        *,
        l1: float = 0.0,
        l2: float = 0.0,
        fit_intercept: bool = True,
    ) -> None:
        loss = linear.loss
        assert isinstance(loss, CurvedLoss)  # noqa: S101 - for the type checker; the estimators choose the loss
        if loss.temperature != 1.0:
            msg = f"`loss` must have a temperature of 1; got {loss.temperature}. Divide the fitted weights instead."
            raise InvalidValueError(msg)
        self.linear = linear
        self.loss: CurvedLoss = loss
        self.n_columns = loss.n_columns(n_classes)
        self.l1_strength, self.l2_strength = l1, l2
        self.fit_intercept = fit_intercept
        self.passes = 0.0
        self._matrix: HessianMatrix | None = None
        self._mean: tuple[Array, Array] | None = None
        self._survey: tuple[Array | None, Array] | None = None
        backend = self.backend
        xp = backend.xp
        with backend.scope():
            self.scale = feature_scale(linear, l2)  # (n_features, 1)
            free = xp.zeros((1, 1), dtype=linear.dtype, device=backend.device)
            # (n_rows, 1): nothing scales the bias.
            self._row_scale = xp.concat((self.scale, free + 1.0), axis=0) if fit_intercept else self.scale

            # Neither a strength nor the square of a scale need be within the range of the fit's float.
            wide = xp.astype(self.scale, xp.float64 if backend.capabilities.float64 else linear.dtype)

            def rows(strength: float, power: int) -> Array:
                scaled = xp.astype(strength / wide**power, linear.dtype)
                return xp.concat((scaled, free), axis=0) if fit_intercept else scaled

            self.l2_rows = rows(l2, 2) if l2 else None
            self.l1 = rows(l1, 1) if l1 else None

    @property
    def backend(self) -> Backend:
        """Where the data live."""
        return backend_of(self.linear.targets.labels)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of a point."""
        return self.linear.X.shape[1] + self.fit_intercept, self.n_columns

    def start(self) -> Array:
        """Return the point where all coefficients are zero.

        Returns
        -------
        array of shape (n_rows, n_columns)
            On the device of the data.
        """
        return self.backend.xp.zeros(self.shape, dtype=self.linear.dtype, device=self.backend.device)

    def point(self, params: LinearParams) -> Array:
        """Return the point of a weight and a bias.

        Parameters
        ----------
        params : LinearParams
            Of shapes (n_features, n_columns) and (n_columns,); the bias may be None.

        Returns
        -------
        array of shape (n_rows, n_columns)
            Fresh.
        """
        weight = params.weight * self.scale
        if not self.fit_intercept:
            return weight
        xp = array_namespace(weight)
        bias = xp.zeros_like(weight[0, :]) if params.bias is None else params.bias
        return xp.concat((weight, bias[None, :]), axis=0)

    def params(self, point: Array) -> LinearParams:
        """Return the weight and the bias of a point.

        Parameters
        ----------
        point : array of shape (n_rows, n_columns)
            From a solver.

        Returns
        -------
        LinearParams
            In the coordinates of ``X``.
        """
        if not self.fit_intercept:
            return LinearParams(point / self.scale, None)
        return LinearParams(point[:-1, :] / self.scale, point[-1, :])

    def features(self, rows: Array) -> Array:
        """Scale some rows, with their zeros written out, and append the constant feature of the bias.

        Parameters
        ----------
        rows : array, or sparse array, of shape (some, n_features)
            Converted.

        Returns
        -------
        array of shape (some, n_rows)
            What a point multiplies.
        """
        features = to_dense(rows) / self.scale[:, 0]
        if not self.fit_intercept:
            return features
        xp = array_namespace(features)
        return xp.concat((features, xp.ones_like(features[:, :1])), axis=1)

    def value_and_gradient(self, point: Array) -> tuple[Array, Array]:
        """Return the loss with the L2 penalty, and the gradient: one pass over the data.

        Parameters
        ----------
        point : array of shape (n_rows, n_columns)
            Where.

        Returns
        -------
        value : array of shape ()
            In nats; float64 on CPUs.
        gradient : array of the shape of ``point``
            Fresh.
        """
        self.passes += 1.0
        with self.backend.scope():
            value, (weight, bias) = self.linear.value_and_gradient(self.params(point))
            xp = array_namespace(weight)
            weight /= self.scale
            gradient = weight if bias is None else xp.concat((weight, bias[None, :]), axis=0)
            del weight  # of many classes each array of coefficients counts
            if self.l2_rows is not None:
                shrinking = self.l2_rows * point
                gradient += shrinking
                value = value + 0.5 * xp.astype(xp.sum(shrinking * point), value.dtype)
        return value, gradient

    def curvature(self, point: Array) -> LinearCurvature:
        """Return the Hessian of the smooth part.

        Parameters
        ----------
        point : array of shape (n_rows, n_columns)
            Where.

        Returns
        -------
        LinearCurvature
            Nothing is computed until it is asked.
        """
        return LinearCurvature(self, point)

    def hessian_matrix(self) -> HessianMatrix:
        """Return what makes explicit Hessians, made at the first call.

        Returns
        -------
        HessianMatrix
            Of this objective.
        """
        if self._matrix is None:
            self._matrix = HessianMatrix(self)
        return self._matrix

    def survey(self) -> tuple[Array | None, Array]:
        """Return what metrics need to know of the features, made at the first call.

        Returns
        -------
        mean : array of shape (n_features, 1) or None
            Of the scaled features that are far from zero; 0 for the others; None where none is.
        spread : array of shape (n_rows,)
            The mean square of the features less that.
        """
        if self._survey is None:
            self._survey = survey_of_rows(self)
        return self._survey

    def measures(self, point: Array, value: Array, gradient: Array) -> tuple[Array, Array, Array]:
        """Return the objective, its gradient's largest entry, and an estimate of the certificate, on the device.

        The estimate is the certificate itself where the bias is optimal and there is no L1 part: see
        :mod:`softmax_xp.objectives.certificate`. Elsewhere the certificate is that of a better bias. The step to it
        makes the slopes ``r`` of the biases vanish; where the samples that it moves are like the others, it takes
        ``outer(mean of the features, r)`` from those of the weights.

        Parameters
        ----------
        point : array of shape (n_rows, n_columns)
            Where.
        value, gradient : array
            From :meth:`value_and_gradient`.

        Returns
        -------
        total, norm, estimate : array of shape ()
            Of the dtype of ``value``.
        """
        l1, l2 = self.l1_strength, self.l2_strength
        xp = array_namespace(gradient)
        with self.backend.scope():
            gradient = xp.astype(gradient, value.dtype, copy=False) * self._row_scale
            # Of wide data the point is large: squares and absolute values would be further arrays of its size.
            norm = xp.maximum(xp.max(gradient), -xp.min(gradient))
            slope, bias = (gradient[:-1, :], gradient[-1, :]) if self.fit_intercept else (gradient, None)
            # Without a penalty there is nothing to estimate.
            mean, length = self._mean_features() if self.fit_intercept and (l1 or l2) else (None, None)
            if l1:
                weight = xp.astype(self.params(point).weight, value.dtype, copy=False)
                value = value + l1 * xp.sum(xp.abs(weight))
                estimate = self._estimate(weight, (slope if mean is None else slope - mean * bias) - l2 * weight)
                bent = xp.maximum(xp.abs(slope) - l1, xp.zeros_like(slope))
                norm = xp.max(xp.abs(xp.where(weight == 0, bent, slope + l1 * xp.sign(weight))))
                norm = norm if bias is None else xp.maximum(norm, xp.max(xp.abs(bias)))
            else:
                flat = xp.reshape(slope, (-1,))
                square = xp.vecdot(flat, flat)
                if mean is not None and length is not None:
                    # That of ``slope - mean * bias``, without a further array of this size.
                    less = square - xp.vecdot(2.0 * (mean.T @ slope)[0, :] - length * bias, bias)
                    square = xp.where(xp.isfinite(less), xp.where(less > 0.0, less, 0.0), square)
                estimate = square * (0.5 / l2) if l2 else xp.full_like(value, float("inf"))
            return value, norm, xp.minimum(estimate, value) if l1 or l2 else estimate

    def _mean_features(self) -> tuple[Array, Array]:
        """Return the weighted mean of a sample of the rows, (n_features, 1), and its square; made at the first call."""
        if self._mean is None:
            linear, xp = self.linear, self.backend.xp

            def sums_of(chunk: tuple[Array, Targets]) -> tuple[Array, Array]:
                rows, mass = linear.rows(chunk[0]), self.loss.mass(chunk[1])
                if mass is None:
                    mass = xp.ones(rows.shape[0], dtype=linear.dtype, device=self.backend.device)
                return rows.T @ mass[:, None], xp.sum(mass)

            chunks = linear.chunks(1, every=max(linear.X.shape[0] // _MEAN_SAMPLES, 1))
            sums, total = self.backend.sum_chunks(sums_of, chunks, linear.limits(1))
            mean = sums / xp.where(total > 0, total, xp.ones_like(total))
            mean = xp.astype(mean, self.backend.sum_dtype(linear.dtype), copy=False)
            self._mean = mean, xp.sum(mean * mean)
        return self._mean

    def _estimate(self, weight: Array, slope: Array) -> Array:
        """Estimate the certificate with an L1 part; ``slope`` is that of the loss alone."""
        l1, l2 = self.l1_strength, self.l2_strength
        xp = array_namespace(weight)
        size = xp.abs(weight)
        if l2:
            excess = xp.maximum(xp.abs(slope) - l1, xp.zeros_like(slope))
            return xp.sum(l1 * size + 0.5 * l2 * weight * weight + excess * excess * (0.5 / l2) + weight * slope)
        # The dual point is drawn towards the targets until every slope is allowed; what that costs in entropy is of
        # second order in the shrinkage, with a factor of about one nat.
        shrinkage = xp.minimum(l1 / xp.max(xp.abs(slope)), xp.ones_like(slope[0, 0]))
        return xp.sum(l1 * size + shrinkage * (weight * slope)) + (1.0 - shrinkage) ** 2

    def certificate(self, point: Array, tol: float = 0.0) -> Certified:
        """Prove how far a point is from the minimum: about one pass over the data, in float64 where there is one.

        Parameters
        ----------
        point : array of shape (n_rows, n_columns)
            Where.
        tol : float, default: 0.0
            How small a bound is asked for; work that would make it much smaller is left undone.

        Returns
        -------
        Certified
            With the bias made optimal for the weight.
        """
        with self.backend.scope():
            params, certificate, passes = certify(
                self.linear,
                self.params(point),
                n_columns=self.n_columns,
                l1=self.l1_strength,
                l2=self.l2_strength,
                sizes=self.scale,
                tol=tol,
            )
            self.passes += passes
            return Certified(self.point(params), certificate)

    def total_scale(self) -> Array | float:
        """Return one over the total weight, by which the sum over samples becomes a mean.

        Returns
        -------
        array of shape () or float
            Like :func:`softmax_xp.losses.contract.reciprocal_total`.
        """
        return reciprocal_total(self.linear.targets)
