# SPDX-License-Identifier: BSD-3-Clause
"""What a loss is: values and gradients with respect to the logits, one for each sample.

Weights enter in one place, :class:`Targets`, made once for a fit; the mean is taken in one place,
:func:`mean_value_and_gradient` for whole arrays and the objectives for data. A loss never sums over samples.
"""

__all__ = ["CurvedLoss", "Loss", "Targets", "mean_value_and_gradient", "reciprocal_total", "take_targets"]

from typing import Any, NamedTuple, Protocol, runtime_checkable

from softmax_xp.backend import array_namespace, backend_of
from softmax_xp.errors import InvalidValueError
from softmax_xp.typing import Array


class Targets(NamedTuple):
    """What each sample should be, and how much it counts.

    Made by :meth:`Loss.prepare` from what the user passes. None stands for "one each", so that the common case
    costs nothing.
    """

    labels: Array  # (n_samples,) class numbers; 0 for an ignored sample, the likeliest class of a soft target
    distribution: Array | None = None  # (n_samples, n_classes) soft targets
    weight: Array | None = None  # (n_samples,) what the mean divides by: sample_weight * class_weight[label]
    sample_weight: Array | None = None  # (n_samples,) without the class weights; 0 for an ignored sample
    class_weight: Array | None = None  # (n_classes,)


@runtime_checkable
class Loss(Protocol):
    """A loss over logits; frozen, so it prints, compares and pickles."""

    @property
    def temperature(self) -> float:
        """What the logits are divided by; a trained model's probabilities need it too."""
        ...

    @property
    def ignore_index(self) -> int | None:
        """The label of samples that do not count."""
        ...

    def prepare(self, targets: Array, n_classes: int, *, dtype: Any, sample_weight: Array | None = None) -> Targets:
        """Turn labels or soft targets, and weights, into :class:`Targets`, once for a fit.

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
        """
        ...

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
            Folded into factors that are computed anyway, so that a mean costs no pass of its own.
        axis : {-1, 0}, default: -1
            The axis of the classes.
        overwrite_logits : bool, default: False
            Whether the caller gives the logits up: a kernel may then write the gradient over them.

        Returns
        -------
        value : array of shape (n_samples,)
            In nats, times the sample's weight.
        gradient : array of the shape of ``logits``
            The caller may overwrite it: fresh, or the logits where they were given up.
        """
        ...


@runtime_checkable
class CurvedLoss(Loss, Protocol):
    """A loss that also shows a convex solver its curvature and its dual.

    With ``t`` the weighted target of a sample (:meth:`target_matrix`), ``mass = sum(t)``, ``p`` its probabilities and
    ``temperature = 1``,

        value    = mass * logsumexp(z) - sum(t * z)
        gradient = mass * p - t
        Hessian  = mass * (diag(p) - p p')

    in the logits ``z``, or the same with two classes in one column. A temperature divides the logits, thus the
    gradient once more and the Hessian twice more: :meth:`curvature_product` has done so; who forms ``mass * p - t``
    divides it by ``loss.temperature``.
    """

    def n_columns(self, n_classes: int) -> int:
        """Return how many columns of logits the classes have.

        Parameters
        ----------
        n_classes : int
            How many classes there are.

        Returns
        -------
        int
            ``n_classes``, or 1 where two classes share a column.
        """
        ...

    def probabilities(self, logits: Array, *, axis: int = -1) -> Array:
        """Return what the logits say of each class.

        Parameters
        ----------
        logits : array of float, shape (n_samples, n_columns), or its transpose with ``axis=0``
            Scores.
        axis : {-1, 0}, default: -1
            The axis of the columns.

        Returns
        -------
        array of the shape of ``logits``
            Fresh.
        """
        ...

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
        ...

    def target_matrix(self, targets: Targets, n_columns: int, *, dtype: Any, axis: int = -1) -> Array:
        """Return each sample's weighted target ``t``, with zeros written out.

        Parameters
        ----------
        targets : Targets
            From :meth:`prepare`.
        n_columns : int
            From :meth:`n_columns`.
        dtype : dtype
            Of the result.
        axis : {-1, 0}, default: -1
            The axis of the columns.

        Returns
        -------
        array of shape (n_samples, n_columns), or its transpose with ``axis=0``
            Fresh.
        """
        ...

    def curvature_product(self, probabilities: Array, direction: Array, *, axis: int = -1) -> Array:
        """Return the Hessian of a sample of mass 1 times a direction, for each sample.

        Parameters
        ----------
        probabilities : array of float, shape (n_samples, n_columns), or its transpose with ``axis=0``
            From :meth:`probabilities`.
        direction : array of the shape of ``probabilities``
            In the logits.
        axis : {-1, 0}, default: -1
            The axis of the columns.

        Returns
        -------
        array of the shape of ``probabilities``
            Without the mass. Fresh.
        """
        ...

    def divergence(self, q: Array, p: Array, *, axis: int = -1, logits: Array | None = None) -> Array:
        """Return the relative entropy ``KL(q || p)`` of each sample, accurate down to ``q = p``.

        Parameters
        ----------
        q : array of float, shape (n_samples, n_columns), or its transpose with ``axis=0``
            Probabilities.
        p : array of the shape of ``q``
            Probabilities.
        axis : {-1, 0}, default: -1
            The axis of the columns.
        logits : array of the shape of ``q``, optional
            Where ``p`` came from. With them the answer is finite even where a member of ``p`` was rounded to 0, or to 1
            in one column; without them it is infinite there, unless ``q`` was rounded alike.

        Returns
        -------
        array of shape (n_samples,)
            In nats, never negative.
        """
        ...


def take_targets(targets: Targets, index: Array) -> Targets:
    """Return the targets of the samples named in ``index``, in that order."""
    xp = array_namespace(index)
    labels, distribution, weight, sample_weight, class_weight = targets
    return Targets(
        xp.take(labels, index, axis=0),
        None if distribution is None else xp.take(distribution, index, axis=0),
        None if weight is None else xp.take(weight, index, axis=0),
        None if sample_weight is None else xp.take(sample_weight, index, axis=0),
        class_weight,
    )


def reciprocal_total(targets: Targets) -> Array | float:
    """Return one over the total weight of ``targets``, or 0 where nothing counts.

    PyTorch gives NaN for a batch in which every sample is ignored. Here its mean and gradient are zero, because
    a minibatch may be one by chance.
    """
    if targets.weight is None:
        return 1.0 / max(targets.labels.shape[0], 1)
    xp = array_namespace(targets.weight)
    total = xp.sum(targets.weight)
    counts = total > 0
    return xp.astype(counts, total.dtype) / xp.where(counts, total, 1.0)


def _n_classes(loss: Loss, n_columns: int) -> int:
    """Return how many classes that many columns of logits tell apart: one column tells two."""
    return 2 if n_columns == 1 and isinstance(loss, CurvedLoss) and loss.n_columns(2) == 1 else n_columns


def mean_value_and_gradient(
    loss: Loss, logits: Array, targets: Array, *, sample_weight: Array | None = None
) -> tuple[Array, Array]:
    """Return the weighted mean of a loss over samples and its gradient with respect to the logits.

    Parameters
    ----------
    loss : Loss
        Such as ``CrossEntropy()``.
    logits : array of shape (n_samples, n_classes), or (n_samples, 1) for a loss of one column
        Scores. Integers are computed in the backend's default float, float16 and bfloat16 in float32.
    targets : array
        Class numbers of shape (n_samples,), or soft targets of shape (n_samples, n_classes).
    sample_weight : array of float, shape (n_samples,), optional
        How much each sample counts.

    Returns
    -------
    value : array of shape ()
        In nats.
    gradient : array of the shape of ``logits``
        Of ``value``.

    Raises
    ------
    DeviceMismatchError
        When the arrays live in different places.
    InvalidValueError
        For shapes that do not fit, or labels out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.losses import CrossEntropy, mean_value_and_gradient
    >>> value, gradient = mean_value_and_gradient(CrossEntropy(), np.zeros((1, 2)), np.array([1]))
    >>> float(value)
    0.6931471805599453
    >>> gradient
    array([[ 0.5, -0.5]])
    """
    present = [logits, targets] if sample_weight is None else [logits, targets, sample_weight]
    backend = backend_of(*present, names=("logits", "targets", "sample_weight"))
    xp = backend.xp
    if logits.ndim != 2 or targets.shape[:1] != logits.shape[:1]:
        msg = (
            "`logits` must have shape (n_samples, n_classes), one row for each of the targets; "
            f"got {tuple(logits.shape)} and targets of shape {tuple(targets.shape)}."
        )
        raise InvalidValueError(msg)
    logits = xp.astype(logits, backend.float_dtype(logits.dtype), copy=False)
    with backend.scope():
        prepared = loss.prepare(
            targets, _n_classes(loss, logits.shape[1]), dtype=logits.dtype, sample_weight=sample_weight
        )
        scale = reciprocal_total(prepared)
        values, gradient = loss.value_and_gradient(logits, prepared, scale=scale)
        return xp.sum(values) * scale, gradient
