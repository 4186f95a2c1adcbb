# SPDX-License-Identifier: BSD-3-Clause
"""What a linear model says of many rows, a chunk of them after the other.

Beside the answer there are never more logits than those of the chunks that are worked on: as many rows as stay in the
processor's cache, or as a memory budget has room for, or as turned out to fit.
"""

__all__ = ["predicted_rows"]

from collections.abc import Callable, Iterator

from softmax_xp.backend import Backend
from softmax_xp.ops.linear import chunk_rows, row_slices
from softmax_xp.ops.memory import Footprint, RowCeiling, plan_chunks, shrinking
from softmax_xp.typing import Array

# Arrays of the size of a chunk's rows: converted, less their means, over their scales. And of the size of its logits:
# those, their differences from the maximum, their exponentials, masks, the answer. tests/ops/test_predicted.py.
_ROWS_COPIES, _COPIES = 3, 8


def predicted_rows(
    predict: Callable[[slice], tuple[Array, ...]],
    shape: tuple[int, int],
    n_columns: int,
    itemsize: int,
    backend: Backend,
    memory_budget: int | None = None,
) -> tuple[Array, ...]:
    """Apply a prediction to one chunk of rows after the other, and join what it returns.

    Parameters
    ----------
    predict : callable
        From a slice of rows to arrays with a row for each of them, at most as large as the logits.
    shape : tuple of int
        Rows, at least one, and features of a row; 1 for sparse rows, whose entries are few.
    n_columns : int
        Of the logits.
    itemsize : int
        Bytes of a number of the computation.
    backend : Backend
        Where it takes place.
    memory_budget : int, optional
        The most bytes beside the answer; one too small for a single row is taken for that row.

    Returns
    -------
    tuple of array
        The whole answer.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp import get_backend
    >>> from softmax_xp.ops.predicted import predicted_rows
    >>> X = np.arange(6.0)[:, None]
    >>> (doubled,) = predicted_rows(lambda rows: (2.0 * X[rows],), X.shape, 1, 8, get_backend("cpu"), memory_budget=1)
    >>> doubled.ravel()
    array([ 0.,  2.,  4.,  6.,  8., 10.])
    """
    n_samples, n_features = shape
    footprint = Footprint.of(_ROWS_COPIES * n_features, n_columns, itemsize, copies=_COPIES, parts=0)
    wanted = min(chunk_rows(n_features, n_columns, itemsize, backend, copies=_COPIES), n_samples)
    plan, ceiling = plan_chunks(footprint, wanted, memory_budget), RowCeiling()

    def attempt() -> tuple[Array, ...]:
        slices = list(row_slices(n_samples, ceiling.lowered(plan.rows)))
        pieces = backend.map_chunks(predict, slices, plan.limits)
        return _joined(slices, pieces, backend) if len(slices) > 1 else next(pieces)

    with backend.scope():
        return shrinking(attempt, ceiling, lambda: ceiling.lowered(plan.rows))


def _joined(slices: list[slice], pieces: Iterator[tuple[Array, ...]], backend: Backend) -> tuple[Array, ...]:
    """Put the pieces together, where arrays can be written to without a second copy of the answer."""
    if not backend.capabilities.scatter:
        return tuple(backend.xp.concat(parts, axis=0) for parts in zip(*pieces, strict=True))
    wholes: tuple[Array, ...] = ()
    for rows, parts in zip(slices, pieces, strict=True):
        if not wholes:
            wholes = tuple(
                backend.xp.empty((slices[-1].stop, *part.shape[1:]), dtype=part.dtype, device=backend.device)
                for part in parts
            )
        for whole, part in zip(wholes, parts, strict=True):
            whole[rows, ...] = part
    return wholes
