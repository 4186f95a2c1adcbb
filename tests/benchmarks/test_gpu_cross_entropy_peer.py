# SPDX-License-Identifier: BSD-3-Clause
from time import time

import pytest

import softmax_xp as sx
from benchmarks import gpu_cross_entropy
from benchmarks.gpu_bench import QUICK, Bench
from benchmarks.gpu_cross_entropy import measure_cross_entropy
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench, our_cross_entropy

torch = pytest.importorskip("torch", reason="PyTorch is the peer")


def times_of_pytorch(bench):
    bench.begin("cross_entropy", time() + 60.0)
    measure_cross_entropy(bench)
    return [line.record["kind"] for line in bench.table.lines if line.record["who"] == "PyTorch eager"]


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
def test_pytorch_takes_part_at_each_class_count(device):
    assert times_of_pytorch(Bench(sx.get_backend(device), QUICK, with_compile=False)) == ["float32"] * 2


def test_pytorch_takes_part_in_bfloat16_on_a_cuda_device(monkeypatch):
    monkeypatch.setattr(gpu_cross_entropy, "our_cross_entropy", our_cross_entropy)
    bench = fake_bench(monkeypatch, FakeCupy(), torch=torch)
    assert times_of_pytorch(bench) == ["float32"] * 2 + ["bfloat16"] * 2


def test_a_peer_that_computes_something_else_is_not_timed(monkeypatch):
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False)
    cross_entropy = torch.nn.functional.cross_entropy

    def wrong(logits, labels, reduction):
        return 1.01 * cross_entropy(logits, labels, reduction=reduction)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", wrong)
    assert not times_of_pytorch(bench)
    note = "PyTorch eager, 1000 classes in float32: failed, AssertionError: computes something else"
    assert any(text.startswith(note) for text in bench.table.notes)
    assert not bench.wrong
