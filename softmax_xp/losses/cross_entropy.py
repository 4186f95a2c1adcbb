# SPDX-License-Identifier: BSD-3-Clause
"""Cross-entropy of a softmax: the softmax loss, with PyTorch's options and meanings."""

__all__ = ["CrossEntropy"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from softmax_xp.backend import array_namespace, backend_of
from softmax_xp.hyperparameters import POSITIVE, SHARE, check_hyperparameters
from softmax_xp.losses.contract import Targets
from softmax_xp.losses.targets import checked_class_weight, prepare_targets, soft_target
from softmax_xp.ops.cross_entropy import softmax_cross_entropy
from softmax_xp.ops.curvature import relative_entropy_terms, softmax_curvature_product
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
        object.__setattr__(self, "class_weight", checked_class_weight(self.class_weight))

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
        overwrite_logits: bool = False,
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
        overwrite_logits : bool, default: False
            Whether the caller gives the logits up: a kernel may then write the gradient over them.

        Returns
        -------
        value : array of shape (n_samples,)
            In nats, times the sample's weight.
        gradient : array of the shape of ``logits``
            Fresh, or the logits where they were given up.
        """
        if targets.distribution is not None:
            if self.temperature != 1.0:
                logits = logits / self.temperature
                scale = scale / self.temperature
            return self._soft(logits, targets, scale, axis)
        smoothing = self.label_smoothing
        return softmax_cross_entropy(
            logits,
            targets.labels,
            # Without smoothing both weights of a sample are one number, which is there already.
            sample_weight=targets.sample_weight if smoothing else targets.weight,
            class_weight=targets.class_weight if smoothing else None,
            scale=scale,
            label_smoothing=smoothing,
            temperature=self.temperature,
            axis=axis,
            overwrite_logits=overwrite_logits,
        )

    def _soft(self, logits: Array, targets: Targets, scale: Array | float, axis: int) -> tuple[Array, Array]:
        """Compute with the whole target distribution."""
        xp = array_namespace(logits)
        target = self._target(targets, logits.shape[axis], logits.dtype, axis)
        _, shifted, exponentials, total = shifted_exponentials(logits, axis=axis)
        mass = xp.sum(target, axis=axis, keepdims=True)
        # 0 * -inf is NaN, but a target of zero asks nothing of its logit.
        entropy = xp.sum(target * xp.where(target == 0, 0.0, shifted), axis=axis)
        value = xp.squeeze(mass * xp.log(total), axis=axis) - entropy
        exponentials *= mass / total
        exponentials -= target
        exponentials *= scale
        return value, exponentials

    def n_columns(self, n_classes: int) -> int:
        """Return how many columns of logits there are: one for each class.

        Parameters
        ----------
        n_classes : int
            How many classes there are.

        Returns
        -------
        int
            ``n_classes``.
        """
        return n_classes

    def probabilities(self, logits: Array, *, axis: int = -1) -> Array:
        """Return ``softmax(logits / temperature)``.

        Parameters
        ----------
        logits : array of float, shape (n_samples, n_classes), or its transpose with ``axis=0``
            Scores.
        axis : {-1, 0}, default: -1
            The axis of the classes.

        Returns
        -------
        array of the shape of ``logits``
            Fresh.
        """
        if self.temperature != 1.0:
            logits = logits / self.temperature
        parts = shifted_exponentials(logits, axis=axis)
        probabilities = parts.exponentials
        probabilities /= parts.total
        return probabilities

    def mass(self, targets: Targets) -> Array | None:
        """Return the sum of each sample's weighted, smoothed target.

        Parameters
        ----------
        targets : Targets
            From :meth:`prepare`.

        Returns
        -------
        array of shape (n_samples,) or None
            None stands for one each. Not for writing: it may be a member of ``targets``.
        """
        if targets.distribution is not None:
            xp, (_, n_classes) = array_namespace(targets.distribution), targets.distribution.shape
            return xp.sum(self._target(targets, n_classes, targets.distribution.dtype, -1), axis=-1)
        if targets.class_weight is None or not self.label_smoothing:
            return targets.weight
        xp = array_namespace(targets.labels)
        spread = self.label_smoothing * xp.mean(targets.class_weight)
        by_class = (1.0 - self.label_smoothing) * targets.class_weight + spread
        mass = xp.take(by_class, targets.labels, axis=0)
        return mass if targets.sample_weight is None else mass * targets.sample_weight

    def target_matrix(self, targets: Targets, n_columns: int, *, dtype: Any, axis: int = -1) -> Array:
        """Return each sample's weighted, smoothed target, with zeros written out.

        Parameters
        ----------
        targets : Targets
            From :meth:`prepare`.
        n_columns : int
            How many classes there are.
        dtype : dtype
            Of the result.
        axis : {-1, 0}, default: -1
            The axis of the classes.

        Returns
        -------
        array of shape (n_samples, n_columns), or its transpose with ``axis=0``
            ``sample_weight * t``. Fresh.
        """
        target = self._target(targets, n_columns, dtype, axis)
        # Without weights the target may be the caller's own soft targets.
        return array_namespace(target).astype(target, dtype, copy=True)

    def curvature_product(self, probabilities: Array, direction: Array, *, axis: int = -1) -> Array:
        """Return ``(diag(p) - p p') direction / temperature**2`` for each sample.

        Parameters
        ----------
        probabilities : array of float, shape (n_samples, n_classes), or its transpose with ``axis=0``
            From :meth:`probabilities`.
        direction : array of the shape of ``probabilities``
            In the logits.
        axis : {-1, 0}, default: -1
            The axis of the classes.

        Returns
        -------
        array of the shape of ``probabilities``
            Without the mass. Fresh.
        """
        product = softmax_curvature_product(probabilities, direction, axis=axis)
        if self.temperature != 1.0:
            product /= self.temperature**2
        return product

    def divergence(self, q: Array, p: Array, *, axis: int = -1, logits: Array | None = None) -> Array:
        """Return the relative entropy ``sum(q * log(q / p) - q + p)`` of each sample, accurate down to ``q = p``.

        Parameters
        ----------
        q : array of float, shape (n_samples, n_classes), or its transpose with ``axis=0``
            Probabilities.
        p : array of the shape of ``q``
            Probabilities.
        axis : {-1, 0}, default: -1
            The axis of the classes.
        logits : array of the shape of ``q``, optional
            Where ``p`` came from. With them the answer is finite even where a member of ``p`` underflowed to 0.

        Returns
        -------
        array of shape (n_samples,)
            In nats, never negative.
        """
        xp, log_p = array_namespace(q), None
        if logits is not None:
            with backend_of(q).scope():
                _, log_p, _, total = shifted_exponentials(logits / self.temperature, axis=axis)
            log_p -= xp.log(total)
        return xp.sum(relative_entropy_terms(q, p, q - p, log_p), axis=axis)

    def _target(self, targets: Targets, n_classes: int, dtype: Any, axis: int) -> Array:
        """Return the weighted, smoothed target of each sample; not for writing."""
        return soft_target(targets, n_classes, dtype=dtype, axis=axis, label_smoothing=self.label_smoothing)
