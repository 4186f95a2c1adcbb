# SPDX-License-Identifier: BSD-3-Clause
"""Logistic loss: the cross-entropy of two classes in one column of logits."""

__all__ = ["Logistic"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from softmax_xp.backend import array_namespace
from softmax_xp.errors import InvalidValueError
from softmax_xp.hyperparameters import POSITIVE, check_hyperparameters
from softmax_xp.losses.contract import Targets
from softmax_xp.losses.targets import checked_class_weight, prepare_targets, soft_target
from softmax_xp.ops.curvature import relative_entropy_terms, sigmoid_and_complement
from softmax_xp.typing import Array


@final
@dataclass(frozen=True, slots=True)
class Logistic:
    """Two classes in one column of logits, as in scikit-learn's binary ``LogisticRegression``.

    With ``z = logits / temperature``, ``p = sigmoid(z)`` the probability of class 1, and the weighted targets
    ``t[c] = sample_weight * class_weight[c] * target[c]`` of a sample,

        value    = t[0] * softplus(z) + t[1] * softplus(-z)
        gradient = (t[0] * p - t[1] * (1 - p)) / temperature

    where ``target`` is a soft target or 1 at the label. It is :class:`CrossEntropy` of the logits ``(0, z)``, and has
    its mean. Both tails keep their relative accuracy: neither ``1 - p`` nor a loss near 0 is a difference.

    Parameters
    ----------
    class_weight : sequence of float, optional
        Two weights, not negative.
    ignore_index : int, optional
        Samples with this label count for nothing. For class numbers only.
    temperature : float, default: 1.0
        The logits are divided by it. Positive.

    Raises
    ------
    InvalidValueError
        For a value outside the ranges above.

    See Also
    --------
    CrossEntropy : Any number of classes, one column each. Minibatch training wants that one.

    References
    ----------
    .. [1] D. R. Cox, "The regression analysis of binary sequences", 1958.
    .. [2] M. Maechler, "Accurately computing log(1 - exp(-|a|))", 2012 (the two sides of ``log1p`` and ``exp``).

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.losses import Logistic, mean_value_and_gradient
    >>> value, gradient = mean_value_and_gradient(Logistic(), np.array([[800.0]]), np.array([0]))
    >>> float(value), float(gradient[0, 0])
    (800.0, 1.0)
    """

    class_weight: Sequence[float] | None = None
    ignore_index: int | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(self, temperature=POSITIVE)
        object.__setattr__(self, "class_weight", checked_class_weight(self.class_weight))

    def prepare(self, targets: Array, n_classes: int, *, dtype: Any, sample_weight: Array | None = None) -> Targets:
        """Fold labels, weights and ignored samples into one record.

        Parameters
        ----------
        targets : array
            0 or 1, of shape (n_samples,), or soft targets of shape (n_samples, 2).
        n_classes : int
            Must be 2.
        dtype : dtype
            The float of the logits.
        sample_weight : array of float, shape (n_samples,), optional
            How much each sample counts.

        Returns
        -------
        Targets
            On the device of ``targets``.

        Raises
        ------
        InvalidTypeError
            For soft targets together with ``ignore_index``, which is a label.
        InvalidValueError
            For more or fewer than two classes, labels out of range, or arrays whose shapes do not fit.
        """
        self.n_columns(n_classes)
        return prepare_targets(
            targets,
            n_classes,
            dtype=dtype,
            sample_weight=sample_weight,
            class_weight=self.class_weight,
            ignore_index=self.ignore_index,
        )

    def value_and_gradient(
        self,
        logits: Array,
        targets: Targets,
        *,
        scale: Array | float = 1.0,
        axis: int = -1,
        overwrite_logits: bool = False,  # noqa: ARG002 - with one column there is little to gain
    ) -> tuple[Array, Array]:
        """Return each sample's weighted loss, and ``scale`` times the gradient of their sum.

        Parameters
        ----------
        logits : array of float, shape (n_samples, 1), or (1, n_samples) with ``axis=0``
            Scores of class 1.
        targets : Targets
            From :meth:`prepare`.
        scale : array of shape () or float, default: 1.0
            Multiplies the gradient only; one over the total weight makes it that of the mean.
        axis : {-1, 0}, default: -1
            The axis of the one column.

        Returns
        -------
        value : array of shape (n_samples,)
            In nats, times the sample's weight.
        gradient : array of the shape of ``logits``
            Fresh.

        Raises
        ------
        InvalidValueError
            For logits of another number of columns.
        """
        z = self._one_column(logits, axis)
        if self.temperature != 1.0:
            scale = scale / self.temperature
        if targets.distribution is not None:
            return self._soft(z, targets, scale, axis)
        xp = array_namespace(z)
        # The loss of class 1 at z is that of class 0 at -z, so one softplus serves both.
        is_one = targets.labels == 1
        against = xp.where(is_one, -z, z)
        wrong, _, value = sigmoid_and_complement(against)
        value += xp.clip(against, min=0.0)
        gradient = xp.where(is_one, -wrong, wrong)
        if targets.weight is not None:
            value *= targets.weight
            gradient *= targets.weight
        gradient *= scale
        return value, xp.expand_dims(gradient, axis=axis)

    def _soft(self, z: Array, targets: Targets, scale: Array | float, axis: int) -> tuple[Array, Array]:
        """Compute with the weights of both classes, as soft targets need."""
        xp = array_namespace(z)
        target = soft_target(targets, 2, dtype=z.dtype, axis=0)
        for_0, for_1 = target[0, :], target[1, :]
        p, complement, log_tail = sigmoid_and_complement(z)
        # 0 * inf is NaN, but a target of zero asks nothing of its logit.
        value = for_0 * xp.where(for_0 == 0, 0.0, log_tail + xp.clip(z, min=0.0))
        value += for_1 * xp.where(for_1 == 0, 0.0, log_tail - xp.clip(z, max=0.0))
        p *= for_0
        complement *= for_1
        p -= complement
        p *= scale
        return value, xp.expand_dims(p, axis=axis)

    def n_columns(self, n_classes: int) -> int:
        """Return how many columns of logits there are: one.

        Parameters
        ----------
        n_classes : int
            Must be 2.

        Returns
        -------
        int
            1.

        Raises
        ------
        InvalidValueError
            For another number of classes.
        """
        if n_classes != 2:
            msg = f"`n_classes` must be 2 for one column of logits; got {n_classes}. Use CrossEntropy for more."
            raise InvalidValueError(msg)
        return 1

    def probabilities(self, logits: Array, *, axis: int = -1) -> Array:
        """Return ``sigmoid(logits / temperature)``, the probability of class 1.

        Parameters
        ----------
        logits : array of float, shape (n_samples, 1), or (1, n_samples) with ``axis=0``
            Scores of class 1.
        axis : {-1, 0}, default: -1
            The axis of the one column.

        Returns
        -------
        array of the shape of ``logits``
            Fresh.
        """
        p = sigmoid_and_complement(self._one_column(logits, axis)).sigmoid
        return array_namespace(p).expand_dims(p, axis=axis)

    def mass(self, targets: Targets) -> Array | None:
        """Return the sum of each sample's weighted target.

        Parameters
        ----------
        targets : Targets
            From :meth:`prepare`.

        Returns
        -------
        array of shape (n_samples,) or None
            None stands for one each. Not for writing: it may be a member of ``targets``.
        """
        if targets.distribution is None:
            return targets.weight
        target = soft_target(targets, 2, dtype=targets.distribution.dtype)
        return array_namespace(target).sum(target, axis=-1)

    def target_matrix(self, targets: Targets, n_columns: int, *, dtype: Any, axis: int = -1) -> Array:
        """Return the weighted target ``t[1]`` of class 1.

        Parameters
        ----------
        targets : Targets
            From :meth:`prepare`.
        n_columns : int
            Must be 1.
        dtype : dtype
            Of the result.
        axis : {-1, 0}, default: -1
            The axis of the one column.

        Returns
        -------
        array of shape (n_samples, 1), or (1, n_samples) with ``axis=0``
            Fresh.

        Raises
        ------
        InvalidValueError
            For another number of columns.
        """
        if n_columns != 1:
            raise InvalidValueError(_columns_message("n_columns", n_columns))
        target = soft_target(targets, 2, dtype=dtype, axis=0)[1, :]
        # Without weights the target may be a view of the caller's own soft targets.
        xp = array_namespace(target)
        return xp.expand_dims(xp.astype(target, dtype, copy=True), axis=axis)

    def curvature_product(self, probabilities: Array, direction: Array, *, axis: int = -1) -> Array:  # noqa: ARG002
        """Return ``p * (1 - p) * direction / temperature**2``.

        Parameters
        ----------
        probabilities : array of float, shape (n_samples, 1), or (1, n_samples) with ``axis=0``
            From :meth:`probabilities`.
        direction : array of the shape of ``probabilities``
            In the logits.
        axis : {-1, 0}, default: -1
            The axis of the one column.

        Returns
        -------
        array of the shape of ``probabilities``
            Without the mass. Fresh.
        """
        product = self._curvature(probabilities)
        product *= direction
        return product

    def divergence(self, q: Array, p: Array, *, axis: int = -1, logits: Array | None = None) -> Array:
        """Return the relative entropy of ``(1 - q, q)`` to ``(1 - p, p)`` of each sample, accurate down to ``q = p``.

        Parameters
        ----------
        q : array of float, shape (n_samples, 1), or (1, n_samples) with ``axis=0``
            Probabilities of class 1.
        p : array of the shape of ``q``
            Probabilities of class 1.
        axis : {-1, 0}, default: -1
            The axis of the one column.
        logits : array of the shape of ``q``, optional
            Where ``p`` came from. Without them a ``p`` that was rounded to 1, as float64 does beyond logits of 37 and
            float32 beyond 17, is infinitely far from every smaller ``q``; with them nothing was rounded.

        Returns
        -------
        array of shape (n_samples,)
            In nats, never negative.
        """
        xp = array_namespace(q)
        q_1, p_1 = xp.squeeze(q, axis=axis), xp.squeeze(p, axis=axis)
        q_0 = 1.0 - q_1
        if logits is None:
            difference = q_1 - p_1
            first = relative_entropy_terms(q_1, p_1, difference)
            return first + relative_entropy_terms(q_0, 1.0 - p_1, -difference)
        z = self._one_column(logits, axis)
        p_1, p_0, _ = sigmoid_and_complement(z)
        # The smaller of two probabilities is the one that knows a small difference.
        difference = xp.where(z > 0, p_0 - q_0, q_1 - p_1)
        # Where a probability underflows its logarithm is the logit itself.
        return relative_entropy_terms(q_1, p_1, difference, z) + relative_entropy_terms(q_0, p_0, -difference, -z)

    def _one_column(self, logits: Array, axis: int) -> Array:
        """Return the logits of class 1, flat and divided by the temperature."""
        if logits.ndim != 2 or logits.shape[axis] != 1:
            raise InvalidValueError(_columns_message("logits", tuple(logits.shape)))
        z = array_namespace(logits).squeeze(logits, axis=axis)
        return z if self.temperature == 1.0 else z / self.temperature

    def _curvature(self, p: Array) -> Array:
        """Return the second derivative of a sample of mass 1."""
        curvature = 1.0 - p
        curvature *= p
        if self.temperature != 1.0:
            curvature /= self.temperature**2
        return curvature


def _columns_message(name: str, got: object) -> str:
    """Say that there is one column."""
    return f"`{name}` must have one column, the logit of class 1; got {got}. Use CrossEntropy for one for each class."
