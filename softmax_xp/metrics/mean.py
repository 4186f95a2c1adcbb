# SPDX-License-Identifier: BSD-3-Clause
"""The mean over samples in which metrics end."""

__all__ = ["mean_over_samples"]

from softmax_xp.backend import array_namespace, backend_of
from softmax_xp.typing import Array


def mean_over_samples(values: Array, sample_weight: Array | None) -> Array:
    """Return ``sum(sample_weight * values) / sum(sample_weight)``.

    Parameters
    ----------
    values : array of float, shape (n_samples,)
        One number for each sample.
    sample_weight : array of shape (n_samples,) or None
        How much each counts; checked already.

    Returns
    -------
    array of shape ()
        Accumulated in float64 on CPUs, elsewhere in the dtype of ``values``.
    """
    xp, dtype = array_namespace(values), backend_of(values).sum_dtype(values.dtype)
    if sample_weight is None:
        return xp.sum(values, dtype=dtype) / values.shape[0]
    weight = xp.astype(sample_weight, dtype)
    # A value that does not count may be infinite, and 0 * inf is NaN.
    counted = xp.where(weight == 0, 0.0, xp.astype(values, dtype))
    return xp.sum(weight * counted) / xp.sum(weight)
