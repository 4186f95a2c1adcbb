# SPDX-License-Identifier: BSD-3-Clause
import time

import pytest

from softmax_xp.distributed.exchange import Share, receive, send
from softmax_xp.distributed.workers import workers_of

distributed = pytest.importorskip("distributed", reason="Dask is not installed")


def echo(payload, n_shards, shards, threads):
    return payload, n_shards, shards, threads, distributed.get_worker().address


def slow(payload, *_):
    time.sleep(0.6)
    return payload


def broken(*_):
    raise TimeoutError


def shares_of(client):
    return [Share(worker, [number, 3 - number]) for number, worker in enumerate(workers_of(client))]


def test_each_worker_gets_its_own_shards_and_answers_come_in_order(client):
    first, second = workers_of(client)
    # Held by the wrong one, to which a task would go that is free to choose.
    shards = [client.submit(pow, 10, number, workers=[second.address], pure=False) for number in range(4)]
    shares = shares_of(client)
    send(client, shares, echo, b"pass", shards)
    answers = receive(client, shares, 10.0, 10.0)
    assert answers == [
        (b"pass", 4, [1, 1000], 1, first.address),
        (b"pass", 4, [10, 100], 1, second.address),
    ]


def test_a_pass_is_one_graph(client, monkeypatch):
    sent, original = [], client._graph_to_futures
    monkeypatch.setattr(client, "_graph_to_futures", lambda *given, **more: sent.append(1) or original(*given, **more))
    shares = shares_of(client)
    send(client, shares, slow, b"x", [0, 1, 2, 3])
    assert sent == [1]
    assert receive(client, shares, 0.1, 10.0) is None  # not yet
    assert receive(client, shares, 10.0, 10.0) == [b"x", b"x"]


def test_what_a_worker_raises_is_in_its_future(client):
    shares = shares_of(client)
    send(client, shares[:1], slow, b"x", [0, 1, 2, 3])
    send(client, shares[1:], broken, b"x", [0, 1, 2, 3])
    assert receive(client, shares, 10.0, 10.0) is None
    assert [share.future.status for share in shares] == ["finished", "error"]
