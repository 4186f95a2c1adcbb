# SPDX-License-Identifier: BSD-3-Clause
"""The CUDA kernels as their table promises them: the signatures of the definitions, and None where they decline."""

__all__ = ["EpochSteps", "linear_cross_entropy", "make_linear_steps", "softmax_cross_entropy", "update"]

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import numpy as np
from array_api_compat import device

from softmax_xp.backend import array_namespace
from softmax_xp.kernels.cuda.full_batch import linear_cross_entropy as one_read_cross_entropy
from softmax_xp.kernels.cuda.full_batch import supports_full_batch
from softmax_xp.kernels.cuda.graph import RecordedSteps
from softmax_xp.kernels.cuda.linear_steps import LinearSteps
from softmax_xp.kernels.cuda.program import Launcher, launcher_of
from softmax_xp.kernels.cuda.softmax_cross_entropy import softmax_cross_entropy as fused_cross_entropy
from softmax_xp.kernels.cuda.update import update as fused_update
from softmax_xp.typing import Array, LinearParams

# Steps of one graph: enough to hide its start, and few enough for the device to begin soon. While it works on them, the
# host computes the numbers of the next ones, 2 to 4 microseconds a step, which is less than a step takes.
_STEPS_AT_ONCE = 128


def softmax_cross_entropy(
    logits: Array, labels: Array, *, axis: int = -1, launcher: Launcher | None = None, **options: Any
) -> tuple[Array, Array] | None:
    """Return what :func:`softmax_xp.ops.cross_entropy.softmax_cross_entropy` does; the logits are overwritten.

    Parameters
    ----------
    logits : array of float, shape (n_samples, n_classes)
        Given up.
    labels : array of int, shape (n_samples,)
        Class numbers.
    axis : {-1, 0}, default: -1
        The axis of the classes.
    launcher : Launcher, optional
        What runs the kernel; by default CuPy.
    **options
        Of the definition.

    Returns
    -------
    tuple of array, or None
        Value and gradient. None declines: classes on axis 0, and rows whose elements are not neighbours.
    """
    if axis == 0 or logits.ndim != 2 or (logits.shape[1] > 1 and logits.strides[1] != logits.itemsize):
        return None
    value, _, gradient = fused_cross_entropy(logits, labels, launcher=launcher, **options)
    return value, gradient


def linear_cross_entropy(
    params: LinearParams, X: Array, labels: Array, *, launcher: Launcher | None = None, **options: Any
) -> tuple[Array, LinearParams] | None:
    """Return what :func:`softmax_xp.objectives.one_read.sums_in_one_read` promises.

    Parameters
    ----------
    params : LinearParams
        Where to evaluate.
    X : array of shape (n_samples, n_features)
        As it is stored.
    labels : array of int, shape (n_samples,)
        Class numbers.
    launcher : Launcher, optional
        What runs the kernel; by default CuPy.
    **options
        See :func:`softmax_xp.kernels.cuda.full_batch.linear_cross_entropy`.

    Returns
    -------
    value : array of shape (n_samples,)
        Weighted losses.
    gradient : LinearParams
        Fresh. None stands for both and declines: more features or classes than the registers hold, a dtype that the
        kernel does not read, rows whose elements are not neighbours.
    """
    weight, bias = params
    if not (_has_close_rows(X) and weight.flags.c_contiguous):
        return None
    launcher = launcher_of(X, "X") if launcher is None else launcher
    if not supports_full_batch(
        n_features=X.shape[1],
        n_classes=weight.shape[1],
        bias=bias is not None,
        X_dtype=X.dtype,
        dtype=weight.dtype,
        shared_bytes_limit=launcher.shared_bytes_limit,
    ):
        return None
    value, *gradient = one_read_cross_entropy(weight, bias, X, labels, launcher=launcher, **options)
    return value, LinearParams(*gradient)


def _has_close_rows(matrix: Array) -> bool:
    """Tell whether the elements of a row are neighbours in memory, and rows whole elements apart."""
    itemsize = matrix.dtype.itemsize
    is_close: bool = (matrix.shape[1] <= 1 or matrix.strides[1] == itemsize) and matrix.strides[0] % itemsize == 0
    return is_close


@final
class EpochSteps:
    """Steps of minibatch training, many in one start: see :mod:`softmax_xp.kernels.cuda.graph`.

    Parameters
    ----------
    steps : LinearSteps
        What takes them.
    """

    steps_at_once = _STEPS_AT_ONCE

    def __init__(self, steps: LinearSteps) -> None:
        self._run = RecordedSteps(steps).run
        self._sets: list[tuple[Array, tuple[Array, ...]]] = []

    def epoch(self, _batch_size: int) -> AbstractContextManager[None]:
        """Return a context for many steps: nothing needs one here."""
        return nullcontext()

    def run(
        self,
        packed: Array,
        accumulators: tuple[Array, ...],
        order: Array,
        *,
        batch_size: int,
        scalars: Sequence[tuple[float, ...]],
    ) -> tuple[Array, tuple[Array, ...], Array, Array]:
        """Take a step on each batch of the samples named in ``order``.

        Two sets of arrays take turns, so that what a run starts from is whole until the run after it.

        Parameters
        ----------
        packed : array of shape (n_features + 1, n_classes), or (n_features, n_classes) without a bias
            The parameters. Not written to.
        accumulators : tuple of arrays of the shape of ``packed``
            The optimizer's. Not written to.
        order : array of int, shape (samples,)
            Row numbers.
        batch_size : int
            The last batch may be smaller.
        scalars : sequence of tuples of float
            The formula's numbers, for each step.

        Returns
        -------
        packed : array
            After the last step; the run after the next overwrites it.
        accumulators : tuple of arrays
            Likewise.
        value : array of shape (samples,)
            Weighted losses, each under the weights before its step.
        hits : array of bool, shape (samples,)
            Whether the likeliest class was the label.
        """
        xp, place = array_namespace(packed), device(packed)
        if not self._sets:
            for _ in range(2):
                copies = [xp.empty(array.shape, dtype=array.dtype, device=place) for array in (packed, *accumulators)]
                self._sets.append((copies[0], tuple(copies[1:])))
        own, others = self._sets[packed is self._sets[0][0]]
        for mine, given in zip((own, *others), (packed, *accumulators), strict=True):
            mine[...] = given
        # One small transfer for all steps; the host computed the numbers in float64.
        table = xp.asarray(np.asarray(scalars, dtype=str(packed.dtype)), device=place)
        value, hits = self._run(own, others, order, batch_size=batch_size, scalars=table)
        return own, others, value, hits


def make_linear_steps(
    X: Array,
    labels: Array,
    *,
    feature_scale: Array | None = None,
    dtype: Any,
    rule: str,
    n_classes: int,
    launcher: Launcher | None = None,
    **others: Any,
) -> EpochSteps | None:
    """Return the steps, or None beyond the kernels' limits.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        As it is stored.
    labels : array of int, shape (n_samples,)
        Class numbers.
    feature_scale : array of float, shape (n_features,), optional
        What the features are divided by.
    dtype : dtype
        The float of the computation.
    rule : str
        The optimizer's formula.
    n_classes : int
        Columns of the weight.
    launcher : Launcher, optional
        What runs the kernels; by default CuPy.
    **others
        See :class:`softmax_xp.kernels.cuda.linear_steps.LinearSteps`.

    Returns
    -------
    EpochSteps or None
        None declines: too many classes, a dtype that the kernels do not read, rows whose elements are not neighbours.
    """
    if not LinearSteps.supports(n_classes=n_classes, X_dtype=X.dtype, dtype=np.dtype(dtype), rule=rule):
        return None
    if not _has_close_rows(X):
        return None
    reciprocal = None if feature_scale is None else 1.0 / feature_scale
    return EpochSteps(
        LinearSteps(
            X,
            labels,
            feature_scale=reciprocal,
            dtype=dtype,
            rule=rule,
            n_classes=n_classes,
            launcher=launcher,
            **others,
        )
    )


def update(
    rule: str,
    params: Array,
    grads: Array,
    accumulators: Sequence[Array],
    scalars: Array,
    *,
    step: int,
    launcher: Launcher | None = None,
) -> tuple[Array, tuple[Array, ...]] | None:
    """Return what an optimizer's ``update`` and the addition of it do; no argument is written to.

    Parameters
    ----------
    rule : str
        The optimizer's formula.
    params : array of float, of any shape
        The parameters.
    grads : array of the shape and dtype of ``params``
        Their gradient.
    accumulators : sequence of arrays of the shape and dtype of ``params``
        The optimizer's.
    scalars : array of float, shape (n_steps, n_scalars)
        The formula's numbers for each step, on the device.
    step : int
        Which row of ``scalars`` to use.
    launcher : Launcher, optional
        What runs the kernel; by default CuPy.

    Returns
    -------
    params : array
        After the step. Fresh.
    accumulators : tuple of arrays
        Likewise. None stands for both and declines: floats that the kernel does not know, and other orders than C.
    """
    if str(params.dtype) not in {"float32", "float64"}:
        return None
    if not all(array.flags.c_contiguous for array in (params, grads, *accumulators)):
        return None
    return fused_update(rule, params, grads, accumulators, scalars, step=step, launcher=launcher)
