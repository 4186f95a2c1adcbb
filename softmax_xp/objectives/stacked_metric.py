# SPDX-License-Identifier: BSD-3-Clause
"""One metric for a stack of neighbouring heads: see :mod:`softmax_xp.objectives.metric` for what metrics imitate.

The heads of a stack differ in the samples that they leave out and little in the rest, so one metric serves them all.
For each class it is the inverse of

    M_c = sum_i w_ic x_i x_i' + diag(l2),    w_ic the mean over the heads of mass_i * p_ic * (1 - p_ic) / total

and its sum over all samples is what it costs. But the weights of a class are soon concentrated: the better the fit, the
fewer samples are in doubt between this class and another. So only the samples of the largest weights enter by
themselves, and the rest by their total weight, with the second moments of all samples. With twice as many samples as
features that is as good as the whole sum, on every data set that was tried.

Where the inverses of all classes would be too large, or the work too much, all classes share one, with the diagonal
corrected.
"""

__all__ = ["StackedMetric", "metric_of_stack", "metric_work"]

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import final

from softmax_xp.backend import array_namespace
from softmax_xp.objectives.stacked_curvature import StackedCurvature
from softmax_xp.objectives.stacked_data import StackedChunk, StackedData
from softmax_xp.ops.definite import inverse_of_sums, jitter_of_sums
from softmax_xp.typing import Array

# The inverses of all classes may take this many bytes, or this share of the data.
_CLASS_BYTES, _CLASS_SHARE = 1 << 26, 1 / 6
_LEAST_SAMPLES = 256
# Second moments are taken from about this many rows.
_MOMENT_ROWS = 1 << 14


@final
@dataclass(frozen=True, slots=True, eq=False)
class StackedMetric:
    """Inverses of positive definite stand-ins for the Hessians of a stack.

    Parameters
    ----------
    inverse : array of shape (n_columns, n_rows, n_rows) or (n_rows, n_rows)
        Symmetric: of each class, or of all.
    roots : array of shape (n_columns, 1, n_rows) or None
        What to multiply by before and after.
    """

    inverse: Array
    roots: Array | None

    def solve(self, gradient: Array) -> Array:
        """Return the inverse metric times the gradient of each head.

        Parameters
        ----------
        gradient : array of shape (n_columns, n_heads, n_rows)
            Summing to zero over three or more columns.

        Returns
        -------
        array of the shape of ``gradient``
            Fresh, with the same sums.
        """
        xp = array_namespace(gradient)
        if self.roots is None:
            solved = xp.matmul(gradient, self.inverse)
        else:
            solved = self.roots * xp.matmul(self.roots * gradient, self.inverse)
        return solved if gradient.shape[0] == 1 else solved - xp.mean(solved, axis=0, keepdims=True)


def metric_of_stack(curvature: StackedCurvature, *, thorough: bool) -> StackedMetric:
    """Build a metric that resembles the Hessians of a stack.

    Parameters
    ----------
    curvature : StackedCurvature
        Of the stack.
    thorough : bool
        Whether the classes should have inverses of their own, where those are not too large.

    Returns
    -------
    StackedMetric
        Positive definite.
    """
    data = curvature.stack.data
    with data.backend.scope():
        l2 = data.backend.xp.mean(curvature.stack.l2_rows, axis=0)
        by_class = thorough and data.n_columns > 1 and _classes_fit(data)
        return (
            _by_class(data, curvature.mean_weights(), l2) if by_class else _shared(data, curvature.mean_weights(), l2)
        )


def metric_work(data: StackedData) -> float:
    """Return the work of making a thorough metric, in floating-point operations of matrix products.

    Parameters
    ----------
    data : StackedData
        Of the stack.

    Returns
    -------
    float
        An inverse counts as three times its operations, as it takes about three times as long.
    """
    if data.n_columns == 1 or not _classes_fit(data):
        shared: float = 2.0 * data.n_samples * data.n_rows**2 + 8.0 * data.n_rows**3
        return shared
    work: float = (2.0 * _doubtful(data) * data.n_rows**2 + 8.0 * data.n_rows**3) * data.n_columns
    return work


def _doubtful(data: StackedData) -> int:
    """Return how many samples of a class enter by themselves."""
    count: int = max(2 * data.n_rows, _LEAST_SAMPLES)
    return count


def _classes_fit(data: StackedData) -> bool:
    """Tell whether an inverse for each class is worth its memory."""
    itemsize = 8 if data.dtype == data.backend.xp.float64 else 4
    allowed = max(_CLASS_BYTES, _CLASS_SHARE * data.n_samples * data.n_rows * itemsize)
    fit: bool = data.n_columns * data.n_rows**2 * itemsize <= allowed
    return fit


def _moments(data: StackedData) -> Array:
    """Return the mean of ``x x'`` over the rows, or over some of them."""
    every = max(data.n_samples // _MOMENT_ROWS, 1)

    def moment(chunk: StackedChunk) -> tuple[Array, int]:
        rows = chunk.rows[::every, :]
        return rows.T @ rows, rows.shape[0]

    (total, count), *others = data.backend.map_chunks(moment, data.chunks)
    for part, n_some in others:
        total, count = total + part, count + n_some
    return total * (1.0 / count)


def _by_class(data: StackedData, weighted: Iterator[tuple[StackedChunk, Array]], l2: Array) -> StackedMetric:
    """Sum over the samples that are most in doubt, and invert, class by class."""
    xp = data.backend.xp
    moments = data.cached("moments", _moments)
    share = min(_doubtful(data) / data.n_samples, 1.0)
    chosen = []
    for chunk, weights in weighted:
        count = ceil(share * chunk.rows.shape[0])
        if count >= chunk.rows.shape[0]:
            chosen.append((chunk.rows, None, weights, xp.zeros_like(weights[:, 0])))
            continue
        order = xp.argsort(weights, axis=1, descending=True, stable=False)[:, :count]
        large = xp.take_along_axis(weights, order, axis=1)
        chosen.append((chunk.rows, order, large, xp.sum(weights, axis=1) - xp.sum(large, axis=1)))

    def inverse(column: int) -> Array:
        total = None
        for rows, order, large, rest in chosen:
            some = rows if order is None else xp.take(rows, order[column, :], axis=0)
            doubtful = some * xp.sqrt(large[column, :])[:, None]
            part = doubtful.T @ doubtful
            part = part if order is None else part + xp.clip(rest[column], 0.0) * moments
            total = part if total is None else total + part
        return _inverse(data, total, l2)

    return StackedMetric(xp.stack(list(data.backend.map_chunks(inverse, range(data.n_columns)))), None)


def _shared(data: StackedData, weighted: Iterator[tuple[StackedChunk, Array]], l2: Array) -> StackedMetric:
    """Invert the mean of the classes' matrices; correct its diagonal for each class."""
    xp = data.backend.xp
    # More samples than this do not make the metric better than its form is; 64 / n_rows of them cost a few passes.
    sample = max(4 * data.n_rows, 2048, 64 * data.n_samples // data.n_rows)
    every = max(data.n_samples // sample, 1)

    def sums(item: tuple[StackedChunk, Array]) -> tuple[Array, Array]:
        rows, weights = item[0].rows[::every, :], every * item[1][:, ::every]
        scaled = rows * xp.sqrt(xp.sum(weights, axis=0) / max(data.n_columns - 1, 1))[:, None]
        return scaled.T @ scaled, weights @ (rows * rows)

    gram, squares = None, None
    for part, diagonal in data.backend.map_chunks(sums, weighted):
        gram = part if gram is None else gram + part
        squares = diagonal if squares is None else squares + diagonal
    inverse = _inverse(data, gram, l2)
    if data.n_columns == 1:
        return StackedMetric(inverse, None)
    ridge = xp.astype(l2, data.dtype) + 1e-6 * xp.max(squares) + xp.finfo(data.dtype).smallest_normal
    shared = xp.sum(squares, axis=0) / (data.n_columns - 1)
    return StackedMetric(inverse, xp.sqrt((shared + ridge) / (squares + ridge))[:, None, :])


def _inverse(data: StackedData, total: Array, l2: Array) -> Array:
    """Invert a sum over samples with the penalty."""
    xp = data.backend.xp
    jitter = jitter_of_sums(data.n_rows, data.dtype, xp)
    identity = xp.eye(data.n_rows, dtype=data.dtype, device=data.backend.device)
    floor = jitter * xp.max(total) + xp.finfo(data.dtype).smallest_normal
    return inverse_of_sums(total + identity * (xp.astype(l2, data.dtype) + floor), jitter)
