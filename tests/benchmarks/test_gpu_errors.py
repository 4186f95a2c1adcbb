# SPDX-License-Identifier: BSD-3-Clause
from time import time

import numpy as np
import pytest

import softmax_xp as sx
from benchmarks import gpu_errors
from benchmarks.gpu_bench import QUICK, Bench
from softmax_xp.objectives import LinearObjective
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench, our_cross_entropy


@pytest.fixture
def bench():
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False)
    bench.torch, bench.torch_reason = None, "not in this test"
    bench.begin("errors", time() + 60.0)
    return bench


def verdicts(bench):
    return {line.cells["is"] for line in bench.table.lines}


def test_the_fused_function_is_checked_at_each_class_count(bench, monkeypatch):
    monkeypatch.setattr(gpu_errors, "our_cross_entropy", our_cross_entropy)
    gpu_errors.measure_cross_entropy_errors(bench)
    assert [line.record["what"] for line in bench.table.lines[::2]] == ["10 classes", "1000 classes", "4096 classes"]
    assert verdicts(bench) == {"right"}
    assert not bench.wrong
    assert all(line.record["errors"]["hits"] == 0.0 for line in bench.table.lines)


@pytest.mark.parametrize("what", ["value", "hits", "gradient"])
def test_each_result_of_the_fused_function_can_be_wrong(bench, monkeypatch, what):
    def wrong(logits, labels, scale=1.0):
        value, hits, gradient = our_cross_entropy(logits, labels, scale)
        if what == "value":
            value[-1] = np.nan
        elif what == "hits":
            hits[-1] ^= True
        else:
            gradient[-1, -1] += 0.01
        return value, hits, gradient

    monkeypatch.setattr(gpu_errors, "our_cross_entropy", wrong)
    gpu_errors.measure_cross_entropy_errors(bench)
    assert verdicts(bench) == {"WRONG"}
    assert bench.wrong == {"cross_entropy"}


def test_a_full_batch_is_checked_at_each_shape(bench):
    gpu_errors.measure_full_batch_errors(bench)
    assert [line.record["what"] for line in bench.table.lines[::2]] == ["20 x 10", "24 x 40", "16 x 500"]
    assert verdicts(bench) == {"right"}
    assert max(line.record["errors"]["gradient"] for line in bench.table.lines) < 1e-5


def test_a_cuda_device_is_checked_in_both_precisions(monkeypatch):
    bench = fake_bench(monkeypatch, FakeCupy())
    bench.begin("errors", time() + 60.0)
    gpu_errors.measure_full_batch_errors(bench)
    assert [line.record["kind"] for line in bench.table.lines[:4]] == ["float32"] * 2 + ["tf32"] * 2
    assert 0.0 <= bench.measured["error_tf32"] < 1e-5


def test_a_wrong_objective_is_named_by_its_section(bench, monkeypatch):
    value_and_gradient = LinearObjective.value_and_gradient

    def wrong(self, params):
        value, gradient = value_and_gradient(self, params)
        return value * (1.001 if params.weight.shape[1] == 40 else 1.0), gradient

    monkeypatch.setattr(LinearObjective, "value_and_gradient", wrong)
    gpu_errors.measure_full_batch_errors(bench)
    assert bench.wrong == {"large"}


def test_training_is_checked_with_a_smaller_last_batch(bench, monkeypatch):
    gpu_errors.measure_training_errors(bench)
    assert [line.record["what"] for line in bench.table.lines] == ["batch 128"] * 2 + ["batch 50"] * 2
    assert verdicts(bench) == {"right"}
    sizes = set()

    def wrong(bench, X, y, batch_size, epochs):
        sizes.add((len(X) // batch_size, len(X) % batch_size, epochs))
        return np.full((20, 10), 0.01), []

    monkeypatch.setattr(gpu_errors, "our_fit", wrong)
    gpu_errors.measure_training_errors(bench)
    assert bench.wrong == {"minibatch"}
    assert sizes == {(20, 64, 1), (20, 25, 1)}


def test_pytorch_is_checked_where_it_takes_part(monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is the peer")
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False)
    bench.begin("errors", time() + 60.0)
    gpu_errors.measure_full_batch_errors(bench)
    peers = [line for line in bench.table.lines if line.record["who"] == "PyTorch eager"]
    assert [line.cells["is"] for line in peers] == ["right"] * 3
    assert torch is bench.torch
