# SPDX-License-Identifier: BSD-3-Clause
import sys
from time import time

import pytest

import softmax_xp as sx
from benchmarks.gpu_bench import FULL, QUICK, Bench, describe
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench


@pytest.fixture
def bench():
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False)
    bench.begin("toy", time() + 60.0)
    return bench


def test_an_attempt_that_fails_becomes_a_note(bench):
    assert bench.attempt("division", lambda: 1 // 0) is None
    assert bench.attempt("division", divmod, 7, 2) == (3, 1)
    assert bench.table.notes == ["division: failed, ZeroDivisionError: integer division or modulo by zero"]


def test_an_attempt_begins_only_while_there_is_time(bench):
    bench.begin("toy", time() - 1.0)
    assert bench.attempt("late", pytest.fail) is None
    assert bench.table.notes == ["late: skipped, the section's time is spent"]


def test_ctrl_c_is_no_failure_of_a_contestant(bench):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.attempt("interrupted", interrupt)


def test_each_line_is_announced():
    seen = []
    bench = Bench(
        sx.get_backend("cpu"), QUICK, with_compile=False, announce=lambda run: seen.append(run.table.lines[-1])
    )
    bench.begin("toy", time() + 60.0)
    bench.title("Toys")
    bench.add({"who": "ours"}, seconds=1.5)
    assert [(line.cells, line.record) for line in seen] == [({"who": "ours"}, {"seconds": 1.5})]
    assert (bench.table.name, bench.table.title) == ("toy", "Toys, on cpu")


def test_without_pytorch_its_part_is_skipped_with_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=True)
    assert bench.peers() is bench.peers() is None
    assert bench.table.notes == [f"PyTorch: skipped, {bench.torch_reason}"]
    assert bench.is_healthy()


def test_a_compiler_takes_part_when_asked(bench):
    assert not bench.may_compile()
    assert bench.table.notes == ["torch.compile: skipped, it was not asked for (--compile)"]
    bench.with_compile = True
    assert bench.may_compile()


def test_a_device_that_stopped_computing_is_not_healthy(monkeypatch):
    cupy = FakeCupy()
    bench = fake_bench(monkeypatch, cupy)
    assert bench.is_healthy()

    def fail():
        msg = "cudaErrorIllegalAddress"
        raise RuntimeError(msg)

    monkeypatch.setattr(cupy.cuda, "get_current_stream", fail)
    assert not bench.is_healthy()


def test_memory_goes_back_to_the_device(monkeypatch):
    cupy = FakeCupy()
    fake_bench(monkeypatch, cupy).release()
    assert cupy.pool.log == ["freed"]


def test_the_full_sizes_are_those_of_the_targets():
    assert (4 * FULL.copy_numbers, FULL.square) == (4_000_000_000, 8192)
    assert (FULL.small, FULL.batches) == ((60000, 784, 10), (128, 50, 512))
    assert (FULL.large, FULL.large_rows) == ((163840, 768, 1000), 1_280_000)
    assert FULL.many == (8192, 1024, 250000)
    assert [n_classes for _, n_classes in FULL.cross_entropy] == [1000, 4096, 32768, 250000]
    assert FULL.checked_rows == 512


def test_an_error_is_described_in_a_line():
    assert describe(ValueError("first\nsecond")) == "ValueError: first"
    assert describe(MemoryError()) == "MemoryError"
