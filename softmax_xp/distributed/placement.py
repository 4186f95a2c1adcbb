# SPDX-License-Identifier: BSD-3-Clause
"""A fit's data on a cluster: from the rows of one process to shards on many, and back when the fit ends."""

__all__ = ["on_cluster", "shard_specs"]

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from typing import Any

from softmax_xp.backend import array_namespace, to_host
from softmax_xp.data.dask_source import DaskSource
from softmax_xp.data.selected_rows import SelectedRows
from softmax_xp.data.streamed import StreamedRows
from softmax_xp.distributed.engine import DaskEngine
from softmax_xp.distributed.interrupts import ctrl_c_spares_workers
from softmax_xp.distributed.packing import source_of_bytes, without_labels
from softmax_xp.distributed.shards import ShardPlan, ShardSpec, plan_shards
from softmax_xp.distributed.workers import check_cluster
from softmax_xp.errors import InvalidValueError, SmallDataWarning
from softmax_xp.losses.contract import Targets
from softmax_xp.objectives.linear import LinearObjective

# Shards stay in memory if they take no more than this share of it.
_MEMORY_SHARE = 0.5
# So many passes tell what a cluster is worth.
_TELLING = 5


@contextmanager
def on_cluster(linear: LinearObjective, client: Any, *, shard_rows: int | None = None) -> Iterator[LinearObjective]:
    """Put the data of an objective on a cluster, for as long as the context lasts.

    Parameters
    ----------
    linear : LinearObjective
        Its ``X`` is a :class:`~softmax_xp.data.streamed.StreamedRows`; workers read its source where they are.
    client : distributed.Client
        Connected to the cluster.
    shard_rows : int, optional
        How many rows a shard has; see :func:`softmax_xp.distributed.plan_shards`. A Dask array's blocks are its shards.

    Yields
    ------
    LinearObjective
        The same, whose passes are made by the workers.

    Raises
    ------
    InvalidValueError
        For a sample weight of 0 in a Dask array.
    WorkerLostError
        If the cluster has no worker.

    Warns
    -----
    SmallDataWarning
        At the end, if one process would have taken less time for the passes than the cluster did.

    Examples
    --------
    >>> with on_cluster(linear, client) as placed:  # doctest: +SKIP
    ...     value, gradient = placed.value_and_gradient(params)
    """
    X: StreamedRows = linear.X
    backend = linear.backend
    workers = check_cluster(client, backend.name)
    source, row_bytes = X.source, X.shape[1] * X.source.dtype.itemsize
    blocks = None
    if isinstance(source, DaskSource):
        plan, blocks = _blocks_of(source, client)
    elif isinstance(source, SelectedRows) and isinstance(source.source, DaskSource):
        msg = "`sample_weight` must be above 0 for a Dask array; got 0. Leave these samples out of the array."
        raise InvalidValueError(msg)
    else:
        plan = plan_shards(X.shape[0], row_bytes, shard_rows)
    memory = sum(worker.memory for worker in workers)
    is_kept = blocks is not None or not memory or X.shape[0] * row_bytes <= _MEMORY_SHARE * memory
    specs = shard_specs(linear, plan, is_kept=is_kept, has_blocks=blocks is not None)
    engine = DaskEngine(client, plan, specs, backend, blocks=blocks)
    try:
        with ctrl_c_spares_workers(client):
            yield replace(linear, X=StreamedRows(source, X.backend, X.largest, engine))
    finally:
        engine.release()
    if engine.passes > _TELLING and engine.worked < engine.seconds:
        warnings.warn(_not_worth_it(engine, len(workers)), SmallDataWarning, stacklevel=6)  # whoever called `fit`


def shard_specs(
    linear: LinearObjective, plan: ShardPlan, *, is_kept: bool = True, has_blocks: bool = False
) -> list[ShardSpec]:
    """Return how to load each shard.

    Parameters
    ----------
    linear : LinearObjective
        Rows and targets.
    plan : ShardPlan
        Which rows each shard has.
    is_kept : bool, default: True
        Whether they stay in memory.
    has_blocks : bool, default: False
        Whether the rows come as blocks of a Dask array.

    Returns
    -------
    list of ShardSpec
        Light: with the targets of a shard, and without its rows.
    """
    X: StreamedRows = linear.X
    labels, distribution, weight, sample_weight, class_weight = (
        None if part is None else to_host(part) for part in linear.targets
    )
    assert labels is not None  # noqa: S101 - the first one is never
    small = next(name for name in ("uint8", "uint16", "uint32", "int64") if _fits(labels, name))
    selection = X.source if isinstance(X.source, SelectedRows) else None
    shared = None if has_blocks or selection is not None else without_labels(X.source)
    inner = None if selection is None else source_of_bytes(without_labels(selection.source))
    specs = []
    for number in range(plan.n_shards):
        part, first, source = plan.rows(number), plan.bounds[number], shared
        if selection is not None and inner is not None:  # row numbers are as many as samples: each shard gets its own
            source, first = without_labels(SelectedRows(inner, selection.index[part])), 0
        targets = Targets(
            labels[part].astype(small),
            None if distribution is None else distribution[part],
            None if weight is None else weight[part],
            None if sample_weight is None else sample_weight[part],
            class_weight,
        )
        specs.append(
            ShardSpec(
                number=number,
                start=part.start,
                stop=part.stop,
                name=X.source.name,
                device=linear.backend.name,
                targets=targets,
                dtype="float32" if linear.itemsize == 4 else "float64",
                largest=X.largest,
                source=source,
                first=first,
                is_kept=is_kept,
            )
        )
    return specs


def _fits(labels: Any, name: str) -> bool:
    """Tell whether labels, which are never negative, are numbers of this dtype."""
    xp = array_namespace(labels)
    return bool(labels.max() <= xp.iinfo(getattr(xp, name)).max)


def _blocks_of(source: DaskSource, client: Any) -> tuple[ShardPlan, list[Any]]:
    """Let the cluster compute the blocks of a Dask array, and return them; empty ones are no shards."""
    from distributed import futures_of

    X = client.persist(source.X)
    by_key = {future.key: future for future in futures_of(X)}
    sizes = X.chunks[0]
    blocks = [by_key[keys[0]] for keys, size in zip(X.__dask_keys__(), sizes, strict=True) if size]
    return ShardPlan((0, *accumulate(int(size) for size in sizes if size))), blocks


def _not_worth_it(engine: DaskEngine, n_workers: int) -> str:
    workers = "1 worker" if n_workers == 1 else f"{n_workers} workers"
    return (
        f"There are too few data for a cluster: {workers} took {engine.seconds:.2f} s for "
        f"{engine.passes - 1} passes that one would compute in {engine.worked:.2f} s. Fit without `client`."
    )
