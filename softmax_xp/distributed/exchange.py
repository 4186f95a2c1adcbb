# SPDX-License-Identifier: BSD-3-Clause
"""What goes between the client and the workers in a pass: all tasks out as one graph, and all answers in at once.

A scheduler takes some milliseconds for each graph, however small. With 16 workers, a graph for each of them took more
than twice as long as one for all, and answers that are fetched one by one add their ways there and back.
"""

__all__ = ["Share", "receive", "send"]

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from softmax_xp.distributed.shards import Answer
from softmax_xp.distributed.workers import Worker

# How often a task is tried again that has failed.
_RETRIES = 2


@dataclass(slots=True, eq=False)
class Share:
    """The share of one worker in a pass."""

    worker: Worker
    numbers: list[int]  # of the shards
    future: Any = None
    rescues: int = 0


def send(client: Any, shares: list[Share], function: Callable[..., Answer], payload: bytes, shards: list[Any]) -> None:
    """Send workers their shares of a pass.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    shares : list of Share
        Their futures are set.
    function : callable
        What each worker does.
    payload : bytes
        The pass.
    shards : list of Future
        All of them.
    """
    import dask

    name, count = f"{function.__name__}-{uuid4().hex}", len(shares)
    keys = [f"{name}-{number}" for number in range(count)]
    # A dictionary's method, as the scheduler could not unpickle the code of another Python.
    places = {key: [share.worker.address] for key, share in zip(keys, shares, strict=True)}.__getitem__
    with dask.annotate(workers=places, allow_other_workers=True, retries=_RETRIES):
        futures = client.map(
            function,
            [payload] * count,
            [len(shards)] * count,
            [[shards[number] for number in share.numbers] for share in shares],
            [share.worker.threads for share in shares],
            key=keys,
            pure=False,
        )
    for share, future in zip(shares, futures, strict=True):
        share.future = future


def receive(client: Any, shares: list[Share], seconds: float, patience: float) -> list[Answer] | None:
    """Wait for the answers.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    shares : list of Share
        All of one pass.
    seconds : float
        How long to wait for workers to be done.
    patience : float
        How long answers may take on their way.

    Returns
    -------
    list of Answer or None
        None if not all are there after this time; whatever a worker raised is in its future.
    """
    from distributed import wait

    futures = [share.future for share in shares]
    with suppress(TimeoutError):
        wait(futures, timeout=seconds)
    if any(future.status != "finished" for future in futures):
        return None
    with suppress(TimeoutError):  # of this wait, as no worker has raised anything
        # They may be lost again, and then be computed anew or not at all.
        answers: list[Answer] = client.sync(client.gather, futures, callback_timeout=patience)
        return answers
    return None
