# SPDX-License-Identifier: BSD-3-Clause
"""Where a pass over the data of a linear model cuts the rows.

Dense data are cut by rows alone. Sparse data on a CPU are cut into few chunks of about equal work, because each makes a
part of the gradient that is as large as the weight. Those in storage are cut at the same rows, and further where a
chunk would be large. All are cut further where a memory budget or the end of memory asks for it.
"""

__all__ = ["Cuts", "PassPlan", "chunks_here", "cut_rows", "footprint_of", "plan_pass", "rows_at_once"]

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from softmax_xp.data.rows import entry_count, has_sparse_rows, row_chunks
from softmax_xp.data.sparse import balanced_slices, bounded_slices, chunk_count
from softmax_xp.data.streamed import is_streamed
from softmax_xp.losses.contract import Targets
from softmax_xp.objectives.footprint import logits_copies
from softmax_xp.ops.linear import chunk_rows, class_axis, row_slices
from softmax_xp.ops.memory import Footprint, least_budget, plan_chunks
from softmax_xp.penalties import L2
from softmax_xp.threads import UNLIMITED, Limits
from softmax_xp.typing import Array

if TYPE_CHECKING:
    from softmax_xp.objectives.linear import LinearObjective

# With a budget the user has said what an accelerator may use. The weight and its gradient are read and written anew for
# each chunk, which costs next to nothing with this many rows.
_BUDGET_ROWS = 8192
# Rows on their way from storage to an accelerator have pinned memory of the host as well.
_STREAMED_BYTES = 1 << 26
# Entries of a chunk that is read from storage, 50 MB in float64; or as many as the gradient has numbers: such vectors
# are there anyway.
_STREAMED_ENTRIES = 1 << 22


class Cuts(NamedTuple):
    """What :meth:`~softmax_xp.objectives.LinearObjective.chunks` was asked for."""

    n_classes: int
    every: int
    dense: bool
    dtype: Any
    copies: int | None
    kept: bool


class PassPlan(NamedTuple):
    """How a pass over some data goes."""

    parts: list[slice] | None  # chunks of equal work, which may be cut further; None: all rows in one
    rows: int  # the most of a chunk
    limits: Limits = UNLIMITED


def plan_pass(
    linear: "LinearObjective", n_columns: int, *, copies: int | None, dtype: Any = None, dense: bool = False
) -> PassPlan:
    """Plan a pass over the data.

    Parameters
    ----------
    linear : LinearObjective
        Data and memory budget.
    n_columns : int
        Of the logits, or of what else is made of each row.
    copies : int or None
        How many arrays of that size there are at once; None is those of a value and gradient.
    dtype : dtype, optional
        The float to which the rows are converted, if not that of the objective.
    dense : bool, default: False
        Whether the zeros of sparse data are written out.

    Returns
    -------
    PassPlan
        Of sizes and the budget alone: neither the number of threads nor the end of memory changes it.
    """
    backend, (n_samples, n_features) = linear.backend, linear.X.shape
    on_cpu, itemsize = backend.capabilities.row_chunks, _itemsize(linear, dtype)
    if copies is None:  # found out only where it matters: a pass over small data takes microseconds
        copies = 1 if on_cpu and linear.memory_budget is None else _copies(linear, n_columns)
    parts = _sparse_parts(linear, n_columns) if has_sparse_rows(linear.X) and not dense else None
    if parts is not None and on_cpu:
        wanted = max(part.stop - part.start for part in parts)
    else:
        width = 0 if has_sparse_rows(linear.X) and not dense else n_features
        wanted = chunk_rows(width, n_columns, itemsize, backend, copies=copies)
    if is_streamed(linear.X) and not on_cpu and parts is None:
        wanted = max(min(wanted, _STREAMED_BYTES // (n_features * linear.stored_itemsize)), 1)
    if linear.memory_budget is None:
        return PassPlan(parts, wanted)
    if not on_cpu:
        wanted = max(wanted, _BUDGET_ROWS)
    footprint, least = footprint_of(linear, n_columns, copies, dtype, dense=dense), footprint_of(linear, n_columns)
    # The budget is that of a value and gradient. What another pass needs beyond it in vectors of coefficients is the
    # solver's: each pass has as many bytes for its rows. (One that makes more of a row than logits, such as the outer
    # products of a Hessian, may find no room beside the coefficients that go with so many columns.)
    for_rows = linear.memory_budget - least_budget(least) + least.row
    for_rows = for_rows if for_rows >= least.row else linear.memory_budget // 4
    budget = least_budget(footprint) - footprint.row + for_rows
    return PassPlan(parts, *plan_chunks(footprint, min(wanted, n_samples), budget))


def _sparse_parts(linear: "LinearObjective", n_columns: int) -> list[slice] | None:
    """Cut sparse rows where equal work, or what is read from storage at once, asks for it; None is nowhere."""
    X, on_cpu = linear.X, linear.backend.capabilities.row_chunks
    parts = balanced_slices(X, chunk_count(X, n_columns)) if on_cpu else None
    if not is_streamed(X):
        return parts
    most = max(_STREAMED_ENTRIES, X.shape[1] * n_columns)
    return bounded_slices(X.indptr, [slice(0, X.shape[0])] if parts is None else parts, most)


def footprint_of(
    linear: "LinearObjective", n_columns: int, copies: int | None = None, dtype: Any = None, *, dense: bool = False
) -> Footprint:
    """Return what a pass over the data allocates.

    Parameters
    ----------
    linear, n_columns : object
        As for :func:`plan_pass`.
    copies : int, optional
        How many arrays of the size of the logits there are; by default those of a value and gradient.
    dtype : dtype, optional
        The float to which the rows are converted, if not that of the objective.
    dense : bool, default: False
        Whether the zeros of sparse data are written out.

    Returns
    -------
    Footprint
        In bytes.
    """
    n_samples, n_features = linear.X.shape
    itemsize = _itemsize(linear, dtype)
    copies = _copies(linear, n_columns) if copies is None else copies
    # An elastic net's gradient is made of two arrays and their sum.
    parts = 3 if linear.penalty is None or type(linear.penalty) is L2 else 5
    footprint = Footprint.of(n_features, n_columns, itemsize, copies=copies, parts=parts)
    if has_sparse_rows(linear.X) and not dense:  # the entries are converted, and the gradient is turned into rows
        entries = -(-entry_count(linear.X) // n_samples)
        return footprint._replace(row=footprint.row + itemsize * (entries - n_features + n_columns))
    conversions = (linear.transform is not None) + (dtype is not None)
    return footprint._replace(row=footprint.row + conversions * n_features * itemsize)


def cut_rows(linear: "LinearObjective", parts: list[slice] | None, rows: int) -> Iterable[slice]:
    """Cut the data.

    Parameters
    ----------
    linear : LinearObjective
        Its number of rows.
    parts : list of slice or None
        From :func:`plan_pass`.
    rows : int
        The most of a chunk.

    Returns
    -------
    iterable of slice
        Of consecutive rows, in order.
    """
    n_samples = linear.X.shape[0]
    if parts is None:
        return [slice(0, n_samples)] if rows >= n_samples else row_slices(n_samples, rows)
    if max(part.stop - part.start for part in parts) <= rows:
        return parts
    return [
        slice(part.start + piece.start, part.start + piece.stop)
        for part in parts
        for piece in row_slices(part.stop - part.start, rows)
    ]


def chunks_here(linear: "LinearObjective", cuts: Cuts) -> Iterator[tuple[Array, Targets]]:
    """Yield the chunks of some data, read by this process.

    Parameters
    ----------
    linear : LinearObjective
        Whose data.
    cuts : Cuts
        What :meth:`~softmax_xp.objectives.LinearObjective.chunks` was asked for.

    Yields
    ------
    rows : array, sparse array or StreamedChunk, of shape (some, n_features)
        As they are stored.
    targets : Targets
        Theirs.
    """
    n_classes, every, dense, dtype, copies, kept = cuts
    labels, distribution, weight, sample_weight, class_weight = linear.targets
    plan = plan_pass(linear, n_classes, dense=dense, dtype=dtype, copies=copies)
    found = cut_rows(linear, plan.parts, every * (plan.rows if kept else linear.ceiling.lowered(plan.rows)))
    parts = [part if every == 1 else slice(part.start, part.stop, every) for part in found]
    if parts == [slice(0, labels.shape[0])]:
        yield linear.X, linear.targets
        return
    for part, rows in zip(parts, row_chunks(linear.X, parts), strict=True):
        yield (
            rows,
            Targets(
                labels[part],
                None if distribution is None else distribution[part, :],
                None if weight is None else weight[part],
                None if sample_weight is None else sample_weight[part],
                class_weight,
            ),
        )


def rows_at_once(linear: "LinearObjective", n_columns: int) -> int:
    """Return how many rows the largest chunk of a value and gradient has."""
    rows: int = min(plan_pass(linear, n_columns, copies=None).rows, linear.X.shape[0])
    return linear.ceiling.lowered(rows)


def _copies(linear: "LinearObjective", n_columns: int) -> int:
    """Return how many arrays of the size of the logits a value and gradient makes."""
    return logits_copies(linear.loss, linear.targets, class_axis(n_columns, linear.backend))


def _itemsize(linear: "LinearObjective", dtype: Any) -> int:
    """Return the bytes of a number of the computation, or of a wider one."""
    return 8 if dtype is not None and dtype == linear.backend.xp.float64 else linear.itemsize
