# SPDX-License-Identifier: BSD-3-Clause
"""The shards of a fit: which rows, how they are loaded, and what is done with them where they are.

Everything here runs on workers, as tasks without a state: a lost shard is loaded anew by the same task with the same
arguments, and holds the same bits.
"""

__all__ = [
    "Answer",
    "Shard",
    "ShardPlan",
    "ShardSpec",
    "balanced",
    "load_shard",
    "plan_shards",
    "results_over",
    "sum_over",
]

from itertools import pairwise
from time import perf_counter
from typing import Any, NamedTuple

from softmax_xp.backend import Backend, to_host
from softmax_xp.data.row_checks import check_rows
from softmax_xp.data.row_span import RowSpan
from softmax_xp.data.streamed import StreamedRows
from softmax_xp.devices import get_backend
from softmax_xp.distributed.packing import source_of_bytes, unpack
from softmax_xp.distributed.tree import Node, TreeSum
from softmax_xp.errors import ShardError, SoftmaxXPError
from softmax_xp.losses.contract import Targets

# A shard is about so large: small beside a worker's memory, large beside what a message costs.
_SHARD_BYTES = 1 << 26
# But there are so many where the data have rows enough, so that some workers have work.
_LEAST_SHARDS, _LEAST_ROWS = 16, 256


class ShardPlan(NamedTuple):
    """Which rows each shard has."""

    bounds: tuple[int, ...]  # (n_shards + 1,) ascending, from 0 to n_samples

    @property
    def n_shards(self) -> int:
        """How many shards there are."""
        return len(self.bounds) - 1

    @property
    def n_samples(self) -> int:
        """How many rows all shards have."""
        return self.bounds[-1]

    def rows(self, number: int) -> slice:
        """Return the rows of a shard.

        Parameters
        ----------
        number : int
            Which shard.

        Returns
        -------
        slice
            Of the data.
        """
        return slice(self.bounds[number], self.bounds[number + 1])


def plan_shards(n_samples: int, row_bytes: int, shard_rows: int | None = None) -> ShardPlan:
    """Cut the rows of some data into shards, by their size alone.

    Parameters
    ----------
    n_samples : int
        At least 1.
    row_bytes : int
        Of one row.
    shard_rows : int, optional
        How many rows a shard has; by default 64 MiB of them, and fewer where there would be less than 16 shards.

    Returns
    -------
    ShardPlan
        The same for any number of workers.

    Examples
    --------
    >>> plan_shards(10, 8, shard_rows=4).bounds
    (0, 4, 8, 10)
    """
    if shard_rows is None:
        shard_rows = max(min(_SHARD_BYTES // row_bytes, max(-(-n_samples // _LEAST_SHARDS), _LEAST_ROWS)), 1)
    return ShardPlan((*range(0, n_samples, shard_rows), n_samples))


class ShardSpec(NamedTuple):
    """All that a worker needs to know to load a shard."""

    number: int
    start: int
    stop: int
    name: str  # of the data
    device: str
    targets: Targets  # on the host, those of these rows
    dtype: str  # of the numbers in the targets
    largest: float
    source: bytes | None  # None where the rows come as a block of a Dask array
    first: int  # the row of the source, which may be a selection, with which the shard begins
    is_kept: bool  # whether the rows stay in memory

    @property
    def where(self) -> str:
        """Say in messages what this is."""
        return f"rows {self.start} to {self.stop - 1} of {self.name}"


class Shard(NamedTuple):
    """Some rows with their targets, in the memory of a worker."""

    spec: ShardSpec
    rows: Any  # (some, n_features) on the device; None where each pass reads them
    targets: Targets


class Answer(NamedTuple):
    """What a worker says about a pass."""

    nodes: list[Node]  # of a sum
    dtypes: tuple[str | None, ...]  # which the parts of the sum had
    results: list[tuple[int, list[Any]]]  # with the numbers of their shards
    seconds: float


def load_shard(spec: ShardSpec, block: Any = None) -> Shard:
    """Load a shard.

    Parameters
    ----------
    spec : ShardSpec
        Which.
    block : array of shape (some, n_features), optional
        Its rows, where they are a part of a Dask array.

    Returns
    -------
    Shard
        Checked.

    Raises
    ------
    ShardError
        If it could not be loaded. Errors of this package stay what they are.
    """
    try:
        backend = get_backend(spec.device)
        rows = None
        if spec.is_kept:
            rows = backend.put(_block_rows(spec, block) if spec.source is None else _stored_rows(spec))
        with backend.scope():
            return Shard(spec, rows, _targets_there(spec, backend))
    except SoftmaxXPError:
        raise
    except MemoryError as error:
        msg = f"A worker must have memory for its shards; it ended while {spec.where} were loaded: {error}."
        raise ShardError(msg) from error
    except Exception as error:
        msg = f"A worker must be able to load its shards; {spec.where} raised {type(error).__name__}: {error}."
        raise ShardError(msg) from error


def sum_over(payload: bytes, n_shards: int, shards: list[Shard], threads: int) -> Answer:
    """Sum over some shards.

    Parameters
    ----------
    payload : bytes
        The pass.
    n_shards : int
        Of all workers.
    shards : list of Shard
        Those of this one.
    threads : int
        How many may work on one.

    Returns
    -------
    Answer
        On the host.
    """
    start, tree = perf_counter(), TreeSum(n_shards)
    work = unpack(payload, get_backend(shards[0].spec.device))
    dtypes: tuple[str | None, ...] = ()
    for shard in shards:
        term = [_to_wide(part) for part in work.sum_over(_rows(shard), shard.targets, threads=threads)]
        dtypes = tuple(name for _, name in term)
        spec = shard.spec
        tree.add(Node(0, spec.number, shard.targets.labels.shape[0], tuple(part for part, _ in term)))
    return Answer(tree.nodes(), dtypes, [], perf_counter() - start)


def results_over(payload: bytes, n_shards: int, shards: list[Shard], threads: int) -> Answer:
    """Compute the results for all chunks of some shards.

    Parameters
    ----------
    payload, n_shards, shards, threads : object
        As for :func:`sum_over`.

    Returns
    -------
    Answer
        On the host.
    """
    del n_shards
    start = perf_counter()
    work = unpack(payload, get_backend(shards[0].spec.device))
    found = []
    for shard in shards:
        results = work.results_over(_rows(shard), shard.targets, threads=threads)
        found.append((shard.spec.number, [_on_host(part) for part in results]))
    return Answer([], (), found, perf_counter() - start)


def _rows(shard: Shard) -> Any:
    """Return the rows of a shard, or a promise to read them."""
    if shard.rows is not None:
        return shard.rows
    spec = shard.spec
    assert spec.source is not None  # noqa: S101 - blocks of Dask arrays are kept
    source = RowSpan(source_of_bytes(spec.source), spec.first, spec.stop - spec.start)
    return StreamedRows(source, get_backend(spec.device), spec.largest)


def _stored_rows(spec: ShardSpec) -> Any:
    assert spec.source is not None  # noqa: S101 - the caller has looked
    rows = RowSpan(source_of_bytes(spec.source), spec.first, spec.stop - spec.start).read()
    check_rows(rows, range(spec.start, spec.stop), spec.name, spec.largest)
    return rows


def _block_rows(spec: ShardSpec, block: Any) -> Any:
    rows = to_host(block)
    if rows.ndim != 2 or rows.shape[0] != spec.stop - spec.start:
        msg = f"A block of the Dask array must have the rows that the array says; {spec.where} have shape {rows.shape}."
        raise ShardError(msg)
    check_rows(rows, range(spec.start, spec.stop), spec.name, spec.largest)
    return rows


def _targets_there(spec: ShardSpec, backend: Backend) -> Targets:
    """Bring targets to the device; labels travel as small integers."""
    labels, *floats = spec.targets
    dtype = backend.float_dtype(spec.dtype)
    parts = [None if part is None else backend.put(part, dtype) for part in floats]
    return Targets(backend.put(labels, backend.xp.int64), *parts)


def _to_wide(part: Any) -> tuple[Any, str | None]:
    """Return a part of a sum on the host, in float64, and the name of the dtype that it had."""
    if part is None or not hasattr(part, "dtype"):
        return part, None
    host = to_host(part)
    wide = host.astype("float64") if host.dtype.kind == "f" else host
    return wide, host.dtype.name


def _on_host(part: Any) -> Any:
    """Return a result on the host."""
    if isinstance(part, tuple):
        return tuple(_on_host(item) for item in part)
    return to_host(part) if hasattr(part, "dtype") else part


def balanced(n_shards: int, n_workers: int) -> list[range]:
    """Deal shards out to workers: neighbours to one, so that their sums merge.

    Parameters
    ----------
    n_shards, n_workers : int
        How many of each.

    Returns
    -------
    list of range
        One for each worker, perhaps empty.
    """
    edges = [n_shards * number // n_workers for number in range(n_workers + 1)]
    return [range(first, last) for first, last in pairwise(edges)]
