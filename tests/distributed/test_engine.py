# SPDX-License-Identifier: BSD-3-Clause
import warnings
from time import sleep

import numpy as np
import pytest

from softmax_xp.distributed import on_cluster
from softmax_xp.errors import SmallDataWarning, WorkerLostError
from softmax_xp.solvers import SOLVERS
from softmax_xp.typing import LinearParams
from tests.distributed.problems import SHARD_ROWS, fit, linear_over, serially

pytest.importorskip("distributed", reason="Dask is not installed")
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
    with on_cluster(linear_over(tmp_path), client, shard_rows=SHARD_ROWS, timeout=1.5) as placed:
        chunks = placed.chunks(4)
        with pytest.raises(WorkerLostError, match=r"within 1.5 s; shards 0 to \d+ \(rows 0 to \d+\) in pass 1"):
            placed.backend.sum_chunks(lambda chunk: sleep(0.6) or (1,), chunks)


def test_what_a_pass_raises_arrives(tmp_path, client):
    def fails(chunk):
        return (1 / 0,)

    with (
        on_cluster(linear_over(tmp_path), client, shard_rows=SHARD_ROWS) as placed,
        pytest.raises(ZeroDivisionError),
    ):
        placed.backend.sum_chunks(fails, placed.chunks(4))
