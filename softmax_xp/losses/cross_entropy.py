# SPDX-License-Identifier: BSD-3-Clause
"""Cross-entropy of a softmax: the softmax loss, with PyTorch's options and meanings."""

__all__ = ["CrossEntropy"]

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, final

from array_api_compat import device

from softmax_xp.backend import array_namespace, as_array
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.hyperparameters import POSITIVE, SHARE, check_hyperparameters
from softmax_xp.losses.contract import Targets
from softmax_xp.ops.labels import as_index, check_labels, one_hot, places, subtract_at
from softmax_xp.ops.softmax import shifted_exponentials
from softmax_xp.typing import Array


@final
@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """Softmax loss: the negative log-probability of the target, in nats for each sample.

    With ``p = softmax(logits / temperature)`` and the smoothed, weighted target ``t`` of a sample,

        t[c]     = class_weight[c] * ((1 - label_smoothing) * target[c] + label_smoothing / n_classes)
        value    = -sample_weight * sum(t * log(p))
        gradient =  sample_weight * (sum(t) * p - t) / temperature

    where ``target`` is a soft target or 1 at the label. The mean divides, as in PyTorch, by the sum of
    ``sample_weight * class_weight[label]`` for labels and by the sum of ``sample_weight`` for soft targets.

    Parameters
    ----------
    label_smoothing : float, default: 0.0
        The share of the target that is spread evenly over all classes, in [0, 1].
    class_weight : sequence of float, optional
        One weight for each class, not negative.
    ignore_index : int, optional
        Samples with this label count for nothing. For class numbers only. PyTorch's default is -100; here none is,
        so that a stray negative label is an error.
    temperature : float, default: 1.0
        The logits are divided by it. Positive.

    Raises
    ------
    InvalidValueError
        For a value outside the ranges above.

    See Also
    --------
    softmax_xp.losses.mean_value_and_gradient : The mean over samples.

    Notes
    -----
    Two differences from ``torch.nn.functional.cross_entropy``: where every sample of a batch is ignored the mean
    is 0, not NaN; and a soft target of 0 at a logit of -inf contributes 0, not NaN.

    References
    ----------
    .. [1] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception architecture for
       computer vision", 2016 (label smoothing).

    Examples
    --------
    >>> from softmax_xp import CrossEntropy
    >>> CrossEntropy(label_smoothing=0.1)
    CrossEntropy(label_smoothing=0.1, class_weight=None, ignore_index=None, temperature=1.0)
    """

    label_smoothing: float = 0.0
    class_weight: Sequence[float] | None = None
    ignore_index: int | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(self, label_smoothing=SHARE, temperature=POSITIVE)
        if self.class_weight is not None:
            # A tuple compares, hashes and pickles; an array would not compare to one bool.
            weights = tuple(float(weight) for weight in self.class_weight)
            if not all(isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
                msg = f"`class_weight` must hold finite weights >= 0, not all of them 0; got {weights}."
                raise InvalidValueError(msg)
            object.__setattr__(self, "class_weight", weights)

    def prepare(self, targets: Array, n_classes: int, *, dtype: Any, sample_weight: Array | None = None) -> Targets:
        """Fold labels, weights and ignored samples into one record.

        Parameters
        ----------
        targets : array
            Class numbers of shape (n_samples,), or soft targets of shape (n_samples, n_classes).
        n_classes : int
            How many classes there are.
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
            For labels out of range, or arrays whose shapes do not fit.
        """
        targets = as_array(targets)
        xp = array_namespace(targets)
        if targets.ndim not in {1, 2}:
            msg = f"`targets` must have shape (n_samples,) or (n_samples, n_classes); got {tuple(targets.shape)}."
            raise InvalidValueError(msg)
        class_weight = None
        if self.class_weight is not None:
            if len(self.class_weight) != n_classes:
                msg = f"`class_weight` must hold {n_classes} weights, one for each class; got {len(self.class_weight)}."
                raise InvalidValueError(msg)
            class_weight = xp.asarray(self.class_weight, dtype=dtype, device=device(targets))
        if sample_weight is not None:
            if sample_weight.shape != (targets.shape[0],):
                msg = f"`sample_weight` must have shape ({targets.shape[0]},); got {tuple(sample_weight.shape)}."
                raise InvalidValueError(msg)
            sample_weight = xp.astype(sample_weight, dtype, copy=False)
        if targets.ndim == 2:
            return self._prepare_soft(targets, n_classes, dtype, sample_weight, class_weight)
        targets = as_index(targets)
        check_labels(targets, targets.shape[0], n_classes, ignore_index=self.ignore_index)
        if self.ignore_index is not None:
            counts = targets != self.ignore_index
            targets = xp.where(counts, targets, 0)
            counted = xp.astype(counts, dtype)
            sample_weight = counted if sample_weight is None else sample_weight * counted
        weight = sample_weight
        if class_weight is not None:
            weight = xp.take(class_weight, targets, axis=0)
            weight = weight if sample_weight is None else weight * sample_weight
        return Targets(targets, None, weight, sample_weight, class_weight)

    def _prepare_soft(
        self, targets: Array, n_classes: int, dtype: Any, sample_weight: Array | None, class_weight: Array | None
    ) -> Targets:
        """Prepare soft targets, whose mean divides by the sample weights alone."""
        xp = array_namespace(targets)
        if self.ignore_index is not None:
            msg = f"`ignore_index` must be None with soft targets, which have no labels; got {self.ignore_index}."
            raise InvalidTypeError(msg)
        if targets.shape[1] != n_classes:
            msg = f"`targets` must have {n_classes} columns, one for each class; got shape {tuple(targets.shape)}."
            raise InvalidValueError(msg)
        distribution = xp.astype(targets, dtype, copy=False)
        return Targets(xp.argmax(distribution, axis=1), distribution, sample_weight, sample_weight, class_weight)

    def value_and_gradient(
        self, logits: Array, targets: Targets, *, scale: Array | float = 1.0, axis: int = -1
    ) -> tuple[Array, Array]:
        """Return each sample's weighted loss, and ``scale`` times the gradient of their sum.

        Parameters
        ----------
        logits : array of float, shape (n_samples, n_classes), or its transpose with ``axis=0``
            Scores.
        targets : Targets
            From :meth:`prepare`.
        scale : array of shape () or float, default: 1.0
            Multiplies the gradient only; one over the total weight makes it that of the mean.
        axis : {-1, 0}, default: -1
            The axis of the classes.

        Returns
        -------
        value : array of shape (n_samples,)
            In nats, times the sample's weight.
        gradient : array of the shape of ``logits``
            Fresh.
        """
        if self.temperature != 1.0:
            logits = logits / self.temperature
            scale = scale / self.temperature
        if targets.distribution is not None or self.label_smoothing:
            return self._soft(logits, targets, scale, axis)
        xp = array_namespace(logits)
        _, shifted, gradient, total = shifted_exponentials(logits, axis=axis)
        place = places(targets.labels, axis=axis)
        value = xp.log(xp.squeeze(total, axis=axis)) - shifted[place]
        if targets.weight is None:
            row_scale = scale
            gradient *= scale / total
        else:
            value *= targets.weight
            row_scale = targets.weight * scale
            gradient *= xp.expand_dims(row_scale, axis=axis) / total
        return value, subtract_at(gradient, place, row_scale, axis=axis)

    def _soft(self, logits: Array, targets: Targets, scale: Array | float, axis: int) -> tuple[Array, Array]:
        """Compute with the whole target distribution, as soft targets and label smoothing need."""
        xp = array_namespace(logits)
        n_classes = logits.shape[axis]
        if targets.distribution is None:
            target = one_hot(targets.labels, n_classes, dtype=logits.dtype, axis=axis)
        else:
            target = targets.distribution.T if axis == 0 else targets.distribution
        if self.label_smoothing:
            target = target * (1.0 - self.label_smoothing) + self.label_smoothing / n_classes
        if targets.class_weight is not None:
            target = target * (targets.class_weight[:, None] if axis == 0 else targets.class_weight)
        if targets.sample_weight is not None:
            target = target * xp.expand_dims(targets.sample_weight, axis=axis)
        _, shifted, exponentials, total = shifted_exponentials(logits, axis=axis)
        mass = xp.sum(target, axis=axis, keepdims=True)
        # 0 * -inf is NaN, but a target of zero asks nothing of its logit.
        entropy = xp.sum(target * xp.where(target == 0, 0.0, shifted), axis=axis)
        value = xp.squeeze(mass * xp.log(total), axis=axis) - entropy
        exponentials *= mass / total
        exponentials -= target
        exponentials *= scale
        return value, exponentials
