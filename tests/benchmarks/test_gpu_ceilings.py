# SPDX-License-Identifier: BSD-3-Clause
from time import time

import pytest

import softmax_xp as sx
from benchmarks.gpu_bench import QUICK, Bench
from benchmarks.gpu_ceilings import measure_call_cost, measure_ceilings
from benchmarks.gpu_clock import Timed
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench


def begun(bench, name):
    bench.begin(name, time() + 60.0)
    return bench


def test_a_copy_counts_what_is_read_and_what_is_written(monkeypatch):
    bench = begun(fake_bench(monkeypatch, FakeCupy()), "ceilings")
    monkeypatch.setattr(bench.clock, "race", lambda calls, rounds=None: dict.fromkeys(calls, Timed(9.0, 1e-6)))
    measure_ceilings(bench)
    assert bench.measured["copy_bandwidth"] == pytest.approx(2 * 4 * QUICK.copy_numbers / 1e-6 / 1e12)
    assert bench.measured["gemm_tf32"] == pytest.approx(2 * QUICK.square**3 / 1e-6 / 1e12)
    assert bench.measured["gemm_float32"] == bench.measured["gemm_tf32"]


def test_each_shape_has_both_products(monkeypatch):
    bench = begun(Bench(sx.get_backend("cpu"), QUICK, with_compile=False), "ceilings")
    measure_ceilings(bench)
    whats = [line.cells["what"] for line in bench.table.lines]
    assert whats[:3] == ["copy", "square: X @ W, float32", "square: X.T @ G, float32"]
    assert len(whats) == 1 + 2 * 4
    assert not any("failed" in note for note in bench.table.notes)


def test_the_cost_of_a_call_is_that_of_cupy(monkeypatch):
    bench = begun(fake_bench(monkeypatch, FakeCupy()), "call_cost")
    measure_call_cost(bench)
    assert "ElementwiseKernel with an output" in [line.record["call"] for line in bench.table.lines]
    assert bench.measured["call_cost"] == pytest.approx(bench.table.lines[0].record["seconds"] * 1e6)
    on_cpu = begun(Bench(sx.get_backend("cpu"), QUICK, with_compile=False), "call_cost")
    measure_call_cost(on_cpu)
    assert "call_cost" not in on_cpu.measured
