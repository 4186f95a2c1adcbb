# SPDX-License-Identifier: BSD-3-Clause
"""Data that are in other processes: a pass over them is a function that is sent there.

A pass is a function of one chunk of rows and their targets, and the sum of what it returns. The chunks of a streamed
``X`` that has an engine are :class:`RemoteChunks`, and the engine brings the function to the shards of the data. There
:class:`ShardPass` cuts each shard as an objective cuts its data and adds up in the same fixed order. So the only thing
that an engine adds is the sum over shards, see :mod:`softmax_xp.distributed`.

Whatever goes through the chunks itself reads them in this process, from where they are stored.
"""

__all__ = ["Engine", "RemoteChunks", "ShardPass", "joined"]

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, final

from softmax_xp.blas import single_threaded_products, thread_share
from softmax_xp.objectives.cuts import Cuts, chunks_here

if TYPE_CHECKING:
    from softmax_xp.losses.contract import Targets
    from softmax_xp.objectives.linear import LinearObjective


@final
@dataclass(frozen=True, slots=True)
class ShardPass:
    """A pass over the data, as it is sent to where their shards are.

    Parameters
    ----------
    function : callable
        Takes a chunk; returns what a sum adds up, or any result.
    linear : LinearObjective
        Whose data; those of a shard take their place.
    cuts : Cuts
        How a shard is cut.
    prepare : callable or None
        Makes of rows and targets the chunk that the function takes.
    """

    function: Callable[[Any], Any]
    linear: "LinearObjective"
    cuts: Cuts
    prepare: Callable[[Any], Any] | None = None

    def sum_over(self, rows: Any, targets: "Targets", *, threads: int) -> tuple[Any, ...]:
        """Return the sum over one shard.

        Parameters
        ----------
        rows : array or StreamedRows of shape (some, n_features)
            The shard.
        targets : Targets
            Theirs.
        threads : int
            How many may work on it; the result does not depend on them.

        Returns
        -------
        tuple
            Of arrays, numbers and None.
        """
        linear, chunks = self._over(rows, targets)
        # One thread for each product, also where a shard is a single chunk: BLAS's own may change the last bits.
        with linear.backend.scope(), thread_share(threads), single_threaded_products():
            return linear.backend.sum_chunks(self.function, chunks, self._limits(linear))

    def results_over(self, rows: Any, targets: "Targets", *, threads: int) -> list[Any]:
        """Return the results for the chunks of one shard, in order.

        Parameters
        ----------
        rows, targets, threads : object
            As for :meth:`sum_over`.

        Returns
        -------
        list
            One for each chunk.
        """
        linear, chunks = self._over(rows, targets)
        with linear.backend.scope(), thread_share(threads), single_threaded_products():
            return list(linear.backend.map_chunks(self.function, chunks, self._limits(linear)))

    def _over(self, rows: Any, targets: "Targets") -> tuple["LinearObjective", Iterable[Any]]:
        linear = replace(self.linear, X=rows, targets=targets)
        chunks = chunks_here(linear, self.cuts)
        return linear, chunks if self.prepare is None else map(self.prepare, chunks)

    def _limits(self, linear: "LinearObjective") -> Any:
        cuts = self.cuts
        return linear.limits(cuts.n_classes, dense=cuts.dense, dtype=cuts.dtype, copies=cuts.copies)


class Engine(Protocol):
    """Whoever holds the shards of some data, and brings passes to them."""

    def sum_of(self, work: ShardPass) -> tuple[Any, ...]:
        """Return the sum over all shards, in an order that depends on the shards alone."""
        ...

    def results_of(self, work: ShardPass) -> list[Any]:
        """Return the results for all chunks, in the order of the rows."""
        ...


@final
@dataclass(frozen=True, slots=True)
class RemoteChunks:
    """The chunks of data that are in other processes; :mod:`softmax_xp.threads` lets them do sums themselves.

    Parameters
    ----------
    linear : LinearObjective
        Whose data; its ``X`` has the engine.
    cuts : Cuts
        How they are cut.
    prepare : callable, optional
        Makes of rows and targets the chunk that functions take.
    """

    linear: "LinearObjective"
    cuts: Cuts
    prepare: Callable[[Any], Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        """Yield the chunks, read by this process from where they are stored."""
        chunks = chunks_here(self.linear, self.cuts)
        return chunks if self.prepare is None else map(self.prepare, chunks)

    def sum_of(self, function: Callable[[Any], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Return the sum of ``function(chunk)``, place by place.

        Parameters
        ----------
        function : callable
            Is sent to the chunks with all it refers to, so it changes nothing here. It knows the data by its chunks
            only: the objective it refers to has the weights and the loss there, and neither rows nor targets.

        Returns
        -------
        tuple
            Of arrays on the backend of the fit, numbers and None.
        """
        return self._engine().sum_of(ShardPass(function, self.linear, self.cuts, self.prepare))

    def results_of(self, function: Callable[[Any], Any]) -> list[Any]:
        """Return ``function(chunk)`` for each chunk.

        Parameters
        ----------
        function : callable
            As for :meth:`sum_of`.

        Returns
        -------
        list
            In the order of the rows.
        """
        return self._engine().results_of(ShardPass(function, self.linear, self.cuts, self.prepare))

    def _engine(self) -> Engine:
        engine: Engine = self.linear.X.engine
        return engine


def joined(chunks: Iterable[Any], kept: list[Any] | None, join: Callable[[Any, Any], Any]) -> Iterable[Any]:
    """Return chunks together with what was kept of each from another pass.

    Parameters
    ----------
    chunks : iterable
        Of :meth:`~softmax_xp.objectives.LinearObjective.chunks`.
    kept : list or None
        One for each chunk; of data in other processes nothing is kept here.
    join : callable
        Takes a chunk, and what was kept of it or None.

    Returns
    -------
    iterable
        What ``join`` makes of them; still remote where the chunks are.
    """
    if isinstance(chunks, RemoteChunks):
        return replace(chunks, prepare=lambda chunk: join(chunk, None))
    if kept is None:
        return (join(chunk, None) for chunk in chunks)
    return (join(chunk, own) for chunk, own in zip(chunks, kept, strict=True))
