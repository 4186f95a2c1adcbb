# SPDX-License-Identifier: BSD-3-Clause
"""Minibatch steps of a linear softmax model in memory that is made once.

A step of the definition (``softmax_xp.training.loop.run_step``) is some sixty NumPy calls, each with a fresh array and
a microsecond or more of its own: at batch 50 two thirds of its time. This one makes about thirty, all of them into
buffers. The products stay BLAS's.

Two sets of parameters and accumulators take turns, so that a step reads one and writes the other: a step that Ctrl-C
interrupts leaves the last full step whole, and arrays that came from outside are never written to.

Sharing a large batch among Python's threads was measured and left out: on 2 cores half a batch of 512 each took a fifth
longer than BLAS's own threads in the products, because each of the dozen calls of a part waits for the interpreter.
"""

__all__ = ["LinearSteps", "make_linear_steps"]

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from softmax_xp.blas import single_threaded_products
from softmax_xp.kernels.numpy.softmax_cross_entropy import softmax_cross_entropy
from softmax_xp.kernels.numpy.update import update
from softmax_xp.kernels.rules import FusedRule

# Multiplications of a product. Below, waking BLAS's second thread takes longer than what it does: at batch 50 with 784
# features and 10 classes one thread saved 10 of 130 us.
_SINGLE_THREADED = 600_000
# Classes go on axis 0 up to here, as in softmax_xp.ops.linear.
_CLASS_MAJOR_LIMIT = 48


class _Workspace(NamedTuple):
    """Buffers for a batch of one size."""

    stored: np.ndarray  # (rows, n_features) of the dtype of X
    features: np.ndarray  # the same array, or another one in the float of the computation
    logits: np.ndarray  # (rows, n_classes)
    columns: np.ndarray | None  # (n_classes, rows)
    gradient: np.ndarray  # packed


class LinearSteps:
    """Steps of minibatch training: gather, scores, softmax, gradient, update.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Of any real dtype, as it is stored.
    labels : array of int, shape (n_samples,)
        Class numbers.
    n_classes : int
        Columns of the weight.
    bias : bool
        Whether the last row of the packed parameters is one.
    sample_weight : array of float, shape (n_samples,), optional
        How much each sample counts, times its class weight.
    shift, feature_scale : array of float, shape (n_features,), optional
        What is subtracted from the features, and what they are divided by then.
    temperature : float, default: 1.0
        The logits are divided by it.
    l2 : float, default: 0.0
        Adds ``l2 * weight`` to the gradient, but not for the bias.
    rule : str
        The optimizer's formula: a key of :data:`softmax_xp.kernels.rules.RULES`.
    """

    steps_at_once = 1
    # How parameters and accumulators lie in memory: a function that copies them only if they lie otherwise.
    arranged: Callable[[np.ndarray], np.ndarray] = staticmethod(np.ascontiguousarray)

    def __init__(
        self,
        X: np.ndarray,
        labels: np.ndarray,
        *,
        n_classes: int,
        bias: bool,
        sample_weight: np.ndarray | None = None,
        shift: np.ndarray | None = None,
        feature_scale: np.ndarray | None = None,
        temperature: float = 1.0,
        l2: float = 0.0,
        rule: str,
    ) -> None:
        self.X, self.labels, self.sample_weight = X, labels, sample_weight
        self.n_classes, self.bias, self.temperature, self.l2, self.rule = n_classes, bias, temperature, l2, rule
        self.shift, self.feature_scale = shift, feature_scale
        self._sets: list[tuple[np.ndarray, tuple[np.ndarray, ...]]] = []
        self._scratch: tuple[np.ndarray, np.ndarray] = (np.empty(0), np.empty(0))
        self._workspaces: dict[int, _Workspace] = {}

    def epoch(self, batch_size: int) -> AbstractContextManager[Any]:
        """Return a context for many steps: one in which small products stay on one thread."""
        products = batch_size * self.X.shape[1] * self.n_classes
        return single_threaded_products() if products <= _SINGLE_THREADED else nullcontext()

    def run(
        self,
        packed: np.ndarray,
        accumulators: tuple[np.ndarray, ...],
        order: np.ndarray,
        *,
        batch_size: int,
        scalars: Sequence[tuple[float, ...]],
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
        """Take a step on each batch of the samples named in ``order``.

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
            After the last step; the step after the next overwrites it.
        accumulators : tuple of arrays
            Likewise.
        value : array of shape (samples,)
            Weighted losses, each under the weights before its step.
        hits : array of bool, shape (samples,)
            Whether the likeliest class was the label.
        """
        packed, accumulators = self.arranged(packed), tuple([self.arranged(array) for array in accumulators])
        if not self._sets:
            self._allocate(packed, accumulators)
        values, hits = np.empty(len(order), dtype=packed.dtype), np.empty(len(order), dtype=bool)
        for step, numbers in enumerate(scalars):
            batch = slice(step * batch_size, (step + 1) * batch_size)
            gradient = self._gradient(packed, order[batch], values[batch], hits[batch])
            following = self._sets[packed is self._sets[0][0]]
            update(FusedRule(self.rule, numbers), packed, gradient, accumulators, *following, self._scratch)
            packed, accumulators = following
        return packed, accumulators, values, hits

    def _allocate(self, packed: np.ndarray, accumulators: tuple[np.ndarray, ...]) -> None:
        """Make the two sets of parameters and accumulators, and scratch memory."""
        for _ in range(2):
            self._sets.append((np.empty_like(packed), tuple([np.empty_like(array) for array in accumulators])))
        self._scratch = np.empty_like(packed), np.empty_like(packed)

    def _gradient(self, packed: np.ndarray, index: np.ndarray, values: np.ndarray, hits: np.ndarray) -> np.ndarray:
        """Return the gradient of the batch's mean loss plus penalty, in a buffer."""
        labels = self.labels.take(index)
        weight = None if self.sample_weight is None else self.sample_weight.take(index)
        scale: Any = 1.0 / len(index)
        if weight is not None:
            total = np.add.reduce(weight)
            scale = 1.0 / total if total > 0 else total * 0
        work = self._workspaces.get(len(index)) or self._make_workspace(len(index), packed)
        self._loss_gradient(work, packed, index, labels, weight, scale, values, hits)
        gradient = work.gradient
        if self.l2:
            weights = slice(-1) if self.bias else slice(None)
            gradient[weights] += np.multiply(packed[weights], self.l2, out=self._scratch[0][weights])
        return gradient

    def _loss_gradient(
        self,
        work: _Workspace,
        packed: np.ndarray,
        index: np.ndarray,
        labels: np.ndarray,
        weight: np.ndarray | None,
        scale: Any,
        values: np.ndarray,
        hits: np.ndarray,
    ) -> None:
        """Compute the values, the hits and the gradient of the mean loss of a batch."""
        features, logits, columns = self._features(work, index), work.logits, work.columns
        weights = packed[:-1] if self.bias else packed
        np.matmul(features, weights, out=logits)
        if self.bias:
            np.add(logits, packed[-1], out=logits)
        np.equal(logits.argmax(axis=1), labels, out=hits)
        by_class, axis = logits, -1
        if columns is not None:
            np.copyto(columns, logits.T)
            by_class, axis = columns, 0
        answer = softmax_cross_entropy(
            by_class, labels, sample_weight=weight, scale=scale, temperature=self.temperature, axis=axis
        )
        assert answer is not None  # noqa: S101 - contiguous, and without smoothing
        values[:] = answer[0]
        np.matmul(features.T, columns.T if columns is not None else logits, out=work.gradient[: len(weights)])
        if self.bias:
            np.add.reduce(by_class, axis=axis + 1, out=work.gradient[-1])

    def _features(self, work: _Workspace, index: np.ndarray) -> np.ndarray:
        """Return the rows of a batch, in the float of the computation and standardised, in a buffer."""
        if self.X.flags.c_contiguous:
            self.X.take(index, axis=0, out=work.stored, mode="clip")  # without a mode NumPy copies through a buffer
        else:
            work.stored[:] = self.X[index]  # where `take` would copy all of X
        if work.features is not work.stored:
            np.copyto(work.features, work.stored)
        if self.shift is not None:
            np.subtract(work.features, self.shift, out=work.features)
        if self.feature_scale is not None:
            np.divide(work.features, self.feature_scale, out=work.features)
        return work.features

    def _make_workspace(self, n_rows: int, packed: np.ndarray) -> _Workspace:
        """Make the buffers for batches of this size."""
        stored = np.empty((n_rows, self.X.shape[1]), dtype=self.X.dtype)
        features = stored if stored.dtype == packed.dtype else np.empty(stored.shape, dtype=packed.dtype)
        logits = np.empty((n_rows, self.n_classes), dtype=packed.dtype)
        columns = np.empty(logits.shape[::-1], packed.dtype) if self.n_classes <= _CLASS_MAJOR_LIMIT else None
        work = self._workspaces[n_rows] = _Workspace(stored, features, logits, columns, np.empty_like(packed))
        return work


def make_linear_steps(
    X: np.ndarray,
    labels: np.ndarray,
    *,
    class_weight: np.ndarray | None = None,
    label_smoothing: float = 0.0,
    dtype: Any = None,  # noqa: ARG001 - here the parameters of a run tell it
    kind: type[LinearSteps] = LinearSteps,
    **others: Any,
) -> LinearSteps | None:
    """Return the steps, or None with label smoothing, which is left to the definition.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Of any real dtype, as it is stored.
    labels : array of int, shape (n_samples,)
        Class numbers.
    class_weight : array of float, shape (n_classes,), optional
        Where it is not folded into the weights of the samples.
    label_smoothing : float, default: 0.0
        The share of the target that is spread evenly over all classes.
    dtype : dtype, optional
        The float of the computation.
    kind : type, default: LinearSteps
        What is made of them.
    **others
        See :class:`LinearSteps`.

    Returns
    -------
    LinearSteps or None
        None declines.
    """
    if label_smoothing or class_weight is not None:
        return None
    return kind(X, labels, **others)
