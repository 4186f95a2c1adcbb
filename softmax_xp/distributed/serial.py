# SPDX-License-Identifier: BSD-3-Clause
"""The sums of a cluster, made by this process: what a cluster's sums are compared with, bit by bit."""

__all__ = ["SerialEngine", "combine", "in_order"]

from typing import Any, final

from softmax_xp.backend import Backend
from softmax_xp.distributed.packing import pack
from softmax_xp.distributed.shards import Answer, ShardPlan, ShardSpec, load_shard, results_over, sum_over
from softmax_xp.distributed.tree import TreeSum
from softmax_xp.objectives.remote import ShardPass


@final
class SerialEngine:
    """Holds all shards, and sums as a cluster with one worker does.

    Parameters
    ----------
    plan : ShardPlan
        Which shards there are.
    specs : list of ShardSpec
        How to load them.
    backend : Backend
        Where sums are wanted.

    Examples
    --------
    >>> engine = SerialEngine(plan, shard_specs(linear, plan), backend)  # doctest: +SKIP
    """

    def __init__(self, plan: ShardPlan, specs: list[ShardSpec], backend: Backend) -> None:
        self.plan, self.backend = plan, backend
        self.shards = [load_shard(spec) for spec in specs]

    def sum_of(self, work: ShardPass) -> tuple[Any, ...]:
        """Return the sum over all shards."""
        return combine([sum_over(pack(work), self.plan.n_shards, self.shards, 1)], self.plan, self.backend)

    def results_of(self, work: ShardPass) -> list[Any]:
        """Return the results for all chunks."""
        answer = results_over(pack(work), self.plan.n_shards, self.shards, 1)
        return in_order([answer], self.plan, self.backend)


def combine(answers: list[Answer], plan: ShardPlan, backend: Backend) -> tuple[Any, ...]:
    """Return the sum over all shards from those of the workers.

    Parameters
    ----------
    answers : list of Answer
        In any order.
    plan : ShardPlan
        Which shards there are.
    backend : Backend
        Where the sum is wanted.

    Returns
    -------
    tuple
        In the dtypes that the parts had.
    """
    tree = TreeSum(plan.n_shards)
    for answer in answers:
        for node in answer.nodes:
            tree.add(node)
    total = tree.total(plan.n_samples)
    return tuple(
        part if name is None else backend.put(part, getattr(backend.xp, name))
        for part, name in zip(total, answers[0].dtypes, strict=True)
    )


def in_order(answers: list[Answer], plan: ShardPlan, backend: Backend) -> list[Any]:
    """Return the results for all chunks, in the order of the shards.

    Parameters
    ----------
    answers, plan, backend : object
        As for :func:`combine`.

    Returns
    -------
    list
        One for each chunk.
    """
    found = dict(pair for answer in answers for pair in answer.results)
    return [_put(result, backend) for number in range(plan.n_shards) for result in found[number]]


def _put(result: Any, backend: Backend) -> Any:
    if isinstance(result, tuple):
        return tuple(_put(part, backend) for part in result)
    return backend.put(result) if hasattr(result, "dtype") else result
