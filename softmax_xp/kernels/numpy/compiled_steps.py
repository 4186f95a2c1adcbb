# SPDX-License-Identifier: BSD-3-Clause
"""Minibatch steps whose gradient is compiled: NumPy's steps with :func:`compiled.batch_gradient` in their middle.

The packed parameters lie class by class in memory, though their shape is that of everywhere else: the update is
elementwise, and asks for nothing but one order for all of its arrays.
"""

__all__ = ["CompiledSteps", "make_linear_steps"]

from typing import Any, final

import numpy as np

from softmax_xp.kernels.numpy import linear_steps
from softmax_xp.kernels.numpy.compiled import batch_gradient
from softmax_xp.kernels.numpy.linear_steps import LinearSteps

# Measured with 784 features: at batch 50 half of the time with BLAS at 10 classes, four fifths at 32; at batch 512 as
# long as BLAS at 32, and longer from 48 on.
_MOST_CLASSES = 32


@final
class CompiledSteps(LinearSteps):
    """Steps of minibatch training; see :class:`softmax_xp.kernels.numpy.linear_steps.LinearSteps`."""

    arranged = staticmethod(np.asfortranarray)  # class by class

    def _loss_gradient(
        self,
        work: Any,
        packed: np.ndarray,
        index: np.ndarray,
        labels: np.ndarray,
        weight: np.ndarray | None,
        scale: Any,
        values: np.ndarray,
        hits: np.ndarray,
    ) -> None:
        """Compute the values, the hits and the gradient of the mean loss of a batch."""
        real = packed.dtype.type
        features = self.X
        if not self._as_stored(packed.dtype):
            features, index = self._features(work, index), np.arange(len(index))
        weight = np.empty(0, real) if weight is None else weight.astype(real, copy=False)
        labels = labels.astype(np.intp, copy=False)
        numbers = real(self.temperature), real(scale)
        batch_gradient(features, index, labels, weight, *numbers, packed.T, work.gradient.T, values, hits)

    def _as_stored(self, dtype: np.dtype) -> bool:
        """Tell whether rows may be read where they are."""
        standardized = self.shift is not None or self.feature_scale is not None
        return self.X.dtype == dtype and self.X.flags.c_contiguous and not standardized


def make_linear_steps(X: np.ndarray, labels: np.ndarray, *, n_classes: int, **others: Any) -> LinearSteps | None:
    """Return compiled steps, or those of NumPy beyond so many classes that BLAS is at its best.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Of any real dtype, as it is stored.
    labels : array of int, shape (n_samples,)
        Class numbers.
    n_classes : int
        Columns of the weight.
    **others
        See :func:`softmax_xp.kernels.numpy.linear_steps.make_linear_steps`.

    Returns
    -------
    LinearSteps or None
        None declines.
    """
    make = linear_steps.make_linear_steps
    if n_classes > _MOST_CLASSES:
        return make(X, labels, n_classes=n_classes, **others)
    return make(X, labels, n_classes=n_classes, kind=CompiledSteps, **others)
