# SPDX-License-Identifier: BSD-3-Clause
import warnings
from dataclasses import replace
from time import monotonic, sleep

import numpy as np
import pytest

from softmax_xp.data.streamed import StreamedRows
from softmax_xp.distributed import on_cluster
from softmax_xp.errors import SmallDataWarning, WorkerLostError
from softmax_xp.solvers import SOLVERS
from softmax_xp.typing import LinearParams
from tests.distributed.problems import SHARD_ROWS, fit, linear_over, serially

pytest.importorskip("distributed", reason="Dask is not installed")
dask = pytest.importorskip("dask", reason="Dask is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::softmax_xp.errors.SmallDataWarning")

ZEROS = LinearParams(np.zeros((6, 4), dtype=np.float32), None)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_cluster_sums_the_bits_of_its_serial_twin(tmp_path, client, solver):
    linear = linear_over(tmp_path)
    serial = fit(serially(linear), solver)
    with on_cluster(linear, client, shard_rows=SHARD_ROWS) as placed:
        found = fit(placed, solver)
        assert placed.X.engine.passes > 5
    assert found.point.tobytes() == serial.point.tobytes()
    assert found.certificate == serial.certificate
    assert found.certificate.bound < 1e-6


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_minimum_is_that_of_a_fit_in_this_process(tmp_path, solver):
    linear = linear_over(tmp_path, dtype=np.float64)
    here, there = fit(linear, solver), fit(serially(linear), solver)
    assert abs(here.certificate.value - there.certificate.value) < 2e-6
    np.testing.assert_allclose(there.point, here.point, atol=2e-3)


@pytest.mark.parametrize("l2", [0.0, 1e-3])
def test_evaluations_and_estimates_meet_all_rows(tmp_path, client, l2):
    linear = linear_over(tmp_path)
    with on_cluster(linear, client, shard_rows=SHARD_ROWS) as placed:
        found = fit(placed, "newton-cg", l2, stopping="gradient")
        there = placed.evaluate(ZEROS)
    here = linear.evaluate(ZEROS)
    assert there == pytest.approx(here, rel=1e-6)
    np.testing.assert_allclose(found.point, fit(linear, "newton-cg", l2, stopping="gradient").point, atol=2e-3)


def test_data_beyond_the_workers_memory_are_read_in_each_pass(tmp_path, client, monkeypatch):
    linear = linear_over(tmp_path)
    with on_cluster(linear, client, shard_rows=SHARD_ROWS) as placed:
        kept = fit(placed)
    monkeypatch.setattr("softmax_xp.distributed.placement._MEMORY_SHARE", 0.0)
    with on_cluster(linear, client, shard_rows=SHARD_ROWS) as placed:
        streamed = fit(placed)
    assert kept.point.tobytes() == streamed.point.tobytes()


def test_too_few_data_for_a_cluster_are_told_with_what_it_took(tmp_path, client):
    def passes(count):
        with on_cluster(linear_over(tmp_path, n_samples=50), client) as placed:
            for _ in range(count):
                placed.value_and_gradient(ZEROS)

    with pytest.warns(SmallDataWarning, match=r"2 workers took .* s for 7 passes that one would compute in"):
        passes(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        passes(1)


def test_a_pass_that_hangs_ends_with_an_error_that_names_its_rows(tmp_path, client):
    with (
        dask.config.set({"softmax-xp.timeouts.pass": "1.5s"}),
        on_cluster(linear_over(tmp_path), client, shard_rows=SHARD_ROWS) as placed,
    ):
        chunks = placed.chunks(4)
        with pytest.raises(
            WorkerLostError, match=r"within 1.5 s; shards 0 to 11 \(rows 0 to 1499\) in pass 1 .* raise"
        ):
            placed.backend.sum_chunks(lambda chunk: sleep(1.0) or (1,), chunks)


class SlowlyLoading:
    """A source whose rows take a while."""

    name, labels, feature_names, target_name = "slow", None, None, None

    def __init__(self, X):
        self.X, self.shape, self.dtype = X, X.shape, X.dtype

    def read_into(self, start, out):
        sleep(0.7)
        out[...] = self.X[start : start + len(out)]


def test_shards_that_are_being_loaded_count_as_coming_forward(tmp_path, client):
    linear = linear_over(tmp_path)
    rows = StreamedRows(SlowlyLoading(linear.X.read(slice(0, 1500)).copy()), linear.backend)
    with (
        dask.config.set({"softmax-xp.timeouts.pass": 1.6}),
        on_cluster(replace(linear, X=rows), client, shard_rows=SHARD_ROWS) as placed,
    ):
        start = monotonic()
        placed.value_and_gradient(ZEROS)
        assert monotonic() - start > 3.0


@pytest.mark.parametrize("error", [ZeroDivisionError, TimeoutError])  # the latter is no sign of patience running out
def test_what_a_pass_raises_arrives(tmp_path, client, error):
    def fails(chunk):
        raise error

    with on_cluster(linear_over(tmp_path), client, shard_rows=SHARD_ROWS) as placed, pytest.raises(error):
        placed.backend.sum_chunks(fails, placed.chunks(4))
