# SPDX-License-Identifier: BSD-3-Clause
"""Passes over the data by the workers of a Dask cluster: one task for each worker and pass.

Each shard is a future of a pure task, so that the scheduler can load a lost one anew; scattered data could not be, and
actors neither. A pass is one task for each worker, over the shards that it holds. A task may move to another worker
when its own dies, with its shards: so a death costs what is loaded and computed anew. Tasks of one shard each would
cost some milliseconds each, whatever they do.

Only the stable core of ``distributed`` is used: submit, map, wait, gather, who_has, scheduler_info and futures.
"""

__all__ = ["DaskEngine"]

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, final

from softmax_xp.backend import Backend
from softmax_xp.distributed.exchange import Share, receive, send
from softmax_xp.distributed.packing import pack
from softmax_xp.distributed.serial import combine, in_order
from softmax_xp.distributed.shards import Answer, ShardPlan, ShardSpec, balanced, load_shard, results_over, sum_over
from softmax_xp.distributed.timeouts import timeout_of
from softmax_xp.distributed.workers import Worker, cluster_errors, killed, workers_of
from softmax_xp.errors import WorkerLostError
from softmax_xp.objectives.remote import ShardPass

# How often whoever waits looks whether there is something to wait for, in seconds.
_LOOK = 1.0
# How old the list of workers may be.
_FRESH = 2.0
_RETRIES = 2


class _Watch:
    """What is known of a pass that takes long."""

    def __init__(self, shares: list[Share]) -> None:
        self.there = {share.worker.address for share in shares}  # who was asked
        self.moved = time.monotonic()  # when something was done last
        self.done = 0  # shards that are loaded, less workers that have not answered
        self.idle_since: float | None = None  # since when no worker could do anything


@final
class DaskEngine:
    """Holds the shards of some data on a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
        Connected to it.
    plan : ShardPlan
        Which shards there are.
    specs : list of ShardSpec
        How to load them.
    backend : Backend
        Where sums are wanted.
    blocks : list of Future, optional
        The rows of the shards, where they are blocks of a Dask array.

    Attributes
    ----------
    passes : int
        How many passes were made.
    seconds : float
        How long they took.
    worked : float
        How long the workers computed, in seconds of one worker.
    patience, timeout : float
        How long to wait, in seconds, while the cluster has no worker, or only ones whose memory is full, and for a pass
        that does not come forward though workers seem well: from :mod:`softmax_xp.distributed.timeouts`.

    Examples
    --------
    >>> engine = DaskEngine(client, plan, shard_specs(linear, plan), backend)  # doctest: +SKIP
    """

    def __init__(
        self,
        client: Any,
        plan: ShardPlan,
        specs: list[ShardSpec],
        backend: Backend,
        *,
        blocks: list[Any] | None = None,
    ) -> None:
        self.client, self.plan, self.backend = client, plan, backend
        self.patience, self.timeout = timeout_of("workers"), timeout_of("pass")
        self.passes, self.seconds, self.worked = 0, 0.0, 0.0
        self._workers = workers_of(self.client)
        self._looked = time.monotonic()
        self._shares: list[tuple[Worker, list[int]]] = []
        self._specs, self._blocks = specs, blocks
        self._shards = self._load()

    def sum_of(self, work: ShardPass) -> tuple[Any, ...]:
        """Return the sum over all shards."""
        return combine(self._pass(sum_over, work), self.plan, self.backend)

    def results_of(self, work: ShardPass) -> list[Any]:
        """Return the results for all chunks."""
        return in_order(self._pass(results_over, work), self.plan, self.backend)

    def release(self) -> None:
        """Let the cluster forget the shards."""
        for shard in self._shards:
            with suppress(Exception):  # the cluster may be gone, and all its memory with it
                shard.release()
        self._shards = []

    def _load(self) -> list[Any]:
        """Ask for the shards, some of each worker; neighbours are asked of one."""
        shares = zip(self._workers, balanced(self.plan.n_shards, len(self._workers)), strict=True)
        return [self._load_one(number, worker) for worker, numbers in shares for number in numbers]

    def _load_one(self, number: int, worker: Worker | None = None) -> Any:
        """Ask for one shard. The blocks of an array are where they are."""
        block = () if self._blocks is None else (self._blocks[number],)
        where: dict[str, Any] = {}
        if worker is not None and self._blocks is None:
            where = {"workers": [worker.address], "allow_other_workers": True}
        return self.client.submit(load_shard, self._specs[number], *block, pure=False, retries=_RETRIES, **where)

    def _pass(self, function: Callable[..., Answer], work: ShardPass) -> list[Answer]:
        """Let each worker do its share of a pass."""
        start, payload, everything = time.monotonic(), pack(work), self._describe(range(self.plan.n_shards))
        shares = list[Share]()
        try:
            with cluster_errors(everything):
                shares += [Share(worker, numbers) for worker, numbers in self._dealt()]
                send(self.client, shares, function, payload, self._shards)
                watch = _Watch(shares)
                while (answers := receive(self.client, shares, _LOOK, self.timeout)) is None:
                    if rescued := self._look(shares, watch):
                        send(self.client, rescued, function, payload, self._shards)
        except BaseException:
            # Nobody waits for them any more, such as after Ctrl-C: let the cluster drop them.
            for share in shares:
                with suppress(Exception):
                    share.future.release()
            raise
        self._note(time.monotonic() - start, sum(answer.seconds for answer in answers))
        return answers

    def _note(self, seconds: float, worked: float) -> None:
        """Count a pass."""
        if seconds > _FRESH:
            self._looked = 0.0  # something may have happened
        self.passes += 1
        if self.passes > 1:  # the first one waits for the shards to be loaded
            self.seconds += seconds
            self.worked += worked

    def _look(self, shares: list[Share], watch: _Watch) -> list[Share]:
        """Look whether there can be the answers that are waited for; return the shares that must be sent anew."""
        for share in shares:
            if share.future.status in {"error", "cancelled"}:
                with cluster_errors(self._describe(share.numbers)):
                    share.future.result(timeout=self.timeout)
        now, waiting = time.monotonic(), [share for share in shares if share.future.status != "finished"]
        what = self._describe([number for share in waiting or shares for number in share.numbers])
        able = [worker for worker in workers_of(self.client) if not worker.is_full]
        watch.idle_since = None if able else (watch.idle_since or now)
        if watch.idle_since is not None and now - watch.idle_since > self.patience:
            msg = (
                f"The cluster must have workers with free memory; for {self.patience:g} s it had none, and {what} were "
                "waited for. Add workers, give them more memory, or raise softmax-xp.timeouts.workers."
            )
            raise WorkerLostError(msg)
        done = sum(shard.status == "finished" for shard in self._shards) - len(waiting)
        if done != watch.done:
            watch.done, watch.moved = done, now
        if now - watch.moved > self.timeout:
            msg = (
                f"A pass must come forward within {self.timeout:g} s; {what} were still waited for, though there are "
                "workers, and no shard was loaded in that time. One of them may hang, or read from storage that does. "
                "If they do work, raise softmax-xp.timeouts.pass in Dask's configuration."
            )
            raise WorkerLostError(msg)
        if not able or not watch.there.isdisjoint(worker.address for worker in able):
            return []
        watch.there = {worker.address for worker in able}
        for share in waiting:
            self._rescue(share, able)
        return waiting

    def _rescue(self, share: Share, workers: list[Worker]) -> None:
        """Ask anew after all workers have been replaced.

        The scheduler moves a task away from a worker that died, to any other. Where there was none at that moment, it
        waits for the old address, though told that others are allowed.
        """
        share.rescues += 1
        if share.rescues > _RETRIES:
            raise WorkerLostError(killed(self._describe(share.numbers)))
        for number in share.numbers:
            if self._shards[number].status != "finished":
                self._shards[number] = self._load_one(number)
        share.future.release()
        share.worker = workers[share.numbers[0] * len(workers) // self.plan.n_shards]

    def _dealt(self) -> list[tuple[Worker, list[int]]]:
        """Return which worker is to go over which shards: those that it holds, as far as the work is even."""
        now = time.monotonic()
        if self._shares and now - self._looked < _FRESH:
            return self._shares
        workers = workers_of(self.client)
        deadline = now + self.patience
        while not workers and time.monotonic() < deadline:
            time.sleep(0.1)
            workers = workers_of(self.client)
        if not workers:
            msg = f"The cluster must have a worker; for {self.patience:g} s there was none. Add workers, and fit again."
            raise WorkerLostError(msg)
        self._looked = time.monotonic()
        if not self._shares or {worker.address for worker in workers} != {worker.address for worker, _ in self._shares}:
            self._shares = self._even_shares(workers)
        return self._shares

    def _even_shares(self, workers: list[Worker]) -> list[tuple[Worker, list[int]]]:
        """Deal the shards out: each to who holds it, unless that one has more than its part."""
        holders = self.client.who_has(self._shards) if self.passes else {}
        most = -(-self.plan.n_shards // len(workers))
        shares: dict[str, list[int]] = {worker.address: [] for worker in workers}
        waiting = []
        for number, shard in enumerate(self._shards):
            own = [shares[address] for address in holders.get(shard.key, ()) if address in shares]
            share = min(own, key=len, default=None)
            if share is None or len(share) >= most:
                waiting.append(number)
            else:
                share.append(number)
        for numbers in shares.values():
            room = most - len(numbers)
            numbers[:] = sorted(numbers + waiting[:room])
            waiting = waiting[room:]
        return [(worker, shares[worker.address]) for worker in workers if shares[worker.address]]

    def _describe(self, numbers: Any) -> str:
        """Name some shards, and when they were needed."""
        first, last = min(numbers), max(numbers)
        rows = f"rows {self.plan.bounds[first]} to {self.plan.bounds[last + 1] - 1}"
        return f"shards {first} to {last} ({rows}) in pass {self.passes + 1} over the data"
