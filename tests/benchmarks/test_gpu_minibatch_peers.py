# SPDX-License-Identifier: BSD-3-Clause
from time import time

import pytest

from benchmarks import gpu_minibatch, gpu_torch_steps
from benchmarks.gpu_bench import QUICK
from benchmarks.gpu_minibatch import measure_minibatch
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench

torch = pytest.importorskip("torch", reason="PyTorch is the peer")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(gpu_torch_steps, "capture", lambda torch, run: run)
    bench = fake_bench(monkeypatch, FakeCupy(), torch=torch, sizes=QUICK._replace(batches=(50,)))
    bench.begin("minibatch", time() + 60.0)
    return bench


def test_all_that_needs_no_compiler_takes_part(bench):
    measure_minibatch(bench)
    names = [line.record["who"] for line in bench.table.lines]
    assert names[2:] == ["PyTorch eager", "PyTorch graph, 1 step", "PyTorch graph, many steps"]
    assert {"epoch_torch_eager", "epoch_torch_graph", "epoch_times_eager", "epoch_times_graph"} <= bench.measured.keys()
    graphs = [line.record["seconds"] for line in bench.table.lines[3:]]
    assert bench.measured["epoch_torch_graph"] == min(graphs) * 1e3


def test_a_peer_that_computes_something_else_is_not_timed(bench, monkeypatch):
    def broken(torch, run):
        return lambda: None  # a graph that was captured empty

    monkeypatch.setattr(gpu_torch_steps, "capture", broken)
    measure_minibatch(bench)
    assert [line.record["who"] for line in bench.table.lines][2:] == ["PyTorch eager"]
    failed = [note for note in bench.table.notes if "computes something else" in note]
    assert [note.partition(",")[0] for note in failed] == ["PyTorch graph"] * 2
    assert gpu_minibatch.TOLERANCE < 1e-3
