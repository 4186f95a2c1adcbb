# SPDX-License-Identifier: BSD-3-Clause
from dataclasses import replace

import numpy as np
import pytest

from softmax_xp.backend import backend_of
from softmax_xp.blas import blas_threads
from softmax_xp.data.source import ArraySource
from softmax_xp.data.streamed import StreamedRows
from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import LinearObjective
from softmax_xp.objectives.remote import RemoteChunks, joined

X = np.random.default_rng(0).standard_normal((3000, 50))


class Halves:
    """An engine that has the data in two shards, in this process."""

    def __init__(self, linear):
        self.linear, self.works = linear, []

    def shards(self):
        targets = self.linear.targets
        for rows in (slice(0, 1400), slice(1400, 3000)):
            yield X[rows], targets._replace(labels=targets.labels[rows])

    def sum_of(self, work):
        self.works.append(work)
        first, second = (work.sum_over(*shard, threads=2) for shard in self.shards())
        return tuple(None if a is None else a + b for a, b in zip(first, second, strict=True))

    def results_of(self, work):
        return [result for shard in self.shards() for result in work.results_over(*shard, threads=2)]


@pytest.fixture
def linear():
    loss = CrossEntropy()
    targets = loss.prepare(np.arange(3000) % 3, 3, dtype=X.dtype)
    here = LinearObjective(StreamedRows(ArraySource(X), backend_of(X)), targets, loss, None, X.dtype)
    return replace(here, X=StreamedRows(here.X.source, here.X.backend, engine=Halves(here)))


def test_sums_are_made_by_the_engine_over_all_rows(linear):
    chunks = linear.chunks(3)
    assert isinstance(chunks, RemoteChunks)
    total, count = linear.backend.sum_chunks(lambda chunk: (chunk[0].sum(axis=0), chunk[0].shape[0]), chunks)
    assert count == 3000
    np.testing.assert_allclose(total, X.sum(axis=0))
    assert len(linear.X.engine.works) == 1


def test_results_come_in_the_order_of_the_rows(linear):
    firsts = list(linear.backend.map_chunks(lambda chunk: chunk[0][0, 0], linear.chunks(3)))
    places = [int(np.flatnonzero(X[:, 0] == first)[0]) for first in firsts]
    assert len(places) > 1
    assert places == sorted(places)


def test_whoever_goes_through_the_chunks_reads_them_here(linear):
    rows = np.concatenate([linear.rows(chunk) for chunk, _ in linear.chunks(3)])
    np.testing.assert_array_equal(rows, X)
    assert linear.X.engine.works == []


def test_products_have_one_thread_and_passes_their_share(linear):
    found = linear.backend.sum_chunks(lambda chunk: (blas_threads() == 2, None), linear.chunks(3))
    assert found[0] == len(list(linear.backend.map_chunks(lambda chunk: 1, linear.chunks(3))))


def test_no_logits_are_kept_of_data_that_are_elsewhere(linear):
    assert not linear.keeps_logits(3, 8)
    assert replace(linear, X=linear.X.over(linear.X.source)).keeps_logits(3, 8)


def test_what_is_kept_joins_its_chunk(linear):
    assert list(joined([1, 2], [3, 4], lambda chunk, kept: (chunk, kept))) == [(1, 3), (2, 4)]
    assert list(joined([1, 2], None, lambda chunk, kept: (chunk, kept))) == [(1, None), (2, None)]
    remote = joined(linear.chunks(3), None, lambda chunk, kept: (chunk[0].shape[0], kept))
    assert isinstance(remote, RemoteChunks)
    assert linear.backend.sum_chunks(lambda item: item, remote) == (3000, None)
    assert sum(count for count, _ in remote) == 3000
