# SPDX-License-Identifier: BSD-3-Clause
from dataclasses import replace

import pytest

import softmax_xp as sx
from benchmarks import full_batch, minibatch_step
from benchmarks.timing import Effort
from benchmarks.torch_peer import torch_beside, torch_device

torch = pytest.importorskip("torch", reason="PyTorch is the peer")

ONE_CALL = Effort(rounds=1, block_seconds=0.0, settle_seconds=0.0)


@pytest.fixture
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
def test_the_step_is_held_against_the_faster_of_both_thread_counts(device, two_threads):
    table = minibatch_step.measure(device, ONE_CALL, (60, 5, 3), {20: 2.0}, compiled=False)
    record = table.lines[0].record
    assert record["seconds"].keys() == {"softmax_xp", "PyTorch", "PyTorch, 1 thread"}
    peers = {name: seconds for name, seconds in record["seconds"].items() if name != "softmax_xp"}
    assert record["fastest_peer"] == min(peers, key=peers.get)
    assert record["met"] is (record["times_as_fast"]["median"] >= 2.0)
    assert torch.get_num_threads() == 2


def test_a_peer_that_computes_something_else_stops_the_benchmark(monkeypatch):
    monkeypatch.setattr(minibatch_step, "TorchStep", _FasterLearner)
    with pytest.raises(AssertionError, match="PyTorch's step computes something else"):
        minibatch_step.measure("cpu", ONE_CALL, (60, 5, 3), {20: 2.0}, compiled=False)


def _FasterLearner(torch, device, X, y, n_classes, learning_rate):
    from benchmarks.torch_peer import TorchStep

    return TorchStep(torch, device, X, y, n_classes, 1.01 * learning_rate)


def test_what_the_compiler_makes_takes_part(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: asked.append(options) or function)
    table = minibatch_step.measure("torch:cpu", ONE_CALL, (60, 5, 3), {20: 2.0})
    assert asked == [{"dynamic": False}]
    assert "PyTorch, compiled" in table.lines[0].record["seconds"]


def test_a_compiler_that_does_not_work_leaves_the_race_with_its_reason(monkeypatch):
    def broken(*_):
        msg = "no C++ here\nmore"
        raise RuntimeError(msg)

    monkeypatch.setattr(torch, "compile", lambda function, **options: broken)
    table = minibatch_step.measure("torch:cpu", ONE_CALL, (60, 5, 3), {20: 2.0})
    assert "PyTorch, compiled" not in table.lines[0].record["seconds"]
    assert "PyTorch, compiled: skipped, no C++ here" in table.notes


def test_the_full_batch_has_pytorch_as_a_peer_on_its_own_device_too():
    table = full_batch.measure("torch:cpu", ONE_CALL, [full_batch.Shape(40, 6, 3, "float32")])
    assert {"products", "softmax_xp", "textbook", "PyTorch"} == table.lines[0].record["seconds"].keys()
    assert "scikit-learn: skipped, its coefficients live on the host" in table.notes


def test_the_peer_goes_where_the_backend_is():
    backend = sx.get_backend("cpu")
    assert torch_beside(backend) == (torch, "")
    assert torch_device(backend) == "cpu"
    assert torch_device(replace(backend, name="cuda:1")) == "cuda:1"
    assert torch_device(replace(backend, name="torch:cuda:0")) == "cuda:0"


def test_without_a_cuda_device_the_peer_stays_away(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    peer, reason = torch_beside(replace(sx.get_backend("cpu"), name="cuda:0"))
    assert peer is None
    assert reason == "this build sees no CUDA device"
