# SPDX-License-Identifier: BSD-3-Clause
from time import time

import pytest

import softmax_xp as sx
from benchmarks import gpu_many_classes
from benchmarks.gpu_bench import QUICK, Bench
from benchmarks.gpu_clock import Timed
from benchmarks.gpu_many_classes import LIMIT_BYTES, PoolPeak, measure_many
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench


@pytest.fixture
def cupy():
    return FakeCupy()


@pytest.fixture
def bench(monkeypatch, cupy):
    bench = fake_bench(monkeypatch, cupy)
    bench.begin("many", time() + 60.0)
    return bench


def test_ours_runs_within_the_limit_which_is_lifted_afterwards(bench, cupy, monkeypatch):
    limits = []

    def race(calls, rounds=None):
        for call in calls.values():
            call()
        limits.append((list(calls), next((entry for entry in reversed(cupy.pool.log) if entry != "freed"), 0)))
        return {name: Timed(0.5, 0.25) for name in calls}

    monkeypatch.setattr(bench.clock, "race", race)
    measure_many(bench)
    inside = [limit for names, limit in limits if names == ["ours"]]
    assert inside == [LIMIT_BYTES] * 4
    assert [limit for names, limit in limits if names != ["ours"]] == [0, 0]
    assert [entry for entry in cupy.pool.log if entry != "freed"][-1] == 0
    # Two products of 0.25 s by the device's clock, against 0.5 s of the host's.
    assert bench.measured["many_rate_tf32"] == 1.0
    assert bench.measured["many_memory"] == 3.0


def test_what_does_not_fit_is_timed_without_the_limit_and_its_peak_tells(bench, cupy, monkeypatch):
    def race(calls, rounds=None):
        if "ours" in calls and [entry for entry in cupy.pool.log if entry != "freed"][-1] == LIMIT_BYTES:
            msg = "out of memory"
            raise MemoryError(msg)
        return {name: Timed(0.5, 0.25) for name in calls}

    monkeypatch.setattr(bench.clock, "race", race)
    monkeypatch.setattr(cupy.pool, "total_bytes", lambda: 10 << 30)
    measure_many(bench)
    ours = next(line for line in bench.table.lines if line.record["who"] == "ours")
    assert (ours.cells["limit"], ours.cells["memory"]) == ("none", "10 GiB")
    assert bench.measured["many_memory"] == 10.0
    assert "ours in tf32 within 8 GiB: failed, MemoryError: out of memory" in bench.table.notes


def test_the_peak_starts_with_an_empty_pool(bench, cupy):
    peak = PoolPeak(bench)
    peak.forget()
    assert cupy.pool.log == ["freed"]
    assert peak.bytes() == 3 << 30


def test_a_cpu_has_no_pool():
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False)
    bench.begin("many", time() + 60.0)
    measure_many(bench)
    assert [line.record["who"] for line in bench.table.lines] == ["products", "ours", "ours without kernels"]
    assert bench.table.lines[1].cells["memory"] == "not measured"
    assert "many_memory" not in bench.measured


def test_the_products_of_fewer_rows_are_scaled(bench, monkeypatch):
    monkeypatch.setattr(gpu_many_classes, "_PRODUCT_ROWS", QUICK.many[0] // 4)
    monkeypatch.setattr(bench.clock, "race", lambda calls, rounds=None: dict.fromkeys(calls, Timed(9.0, 0.5)))
    assert gpu_many_classes._time_products(bench, QUICK.many, "tf32") == 4.0
    assert bench.measured["many_products_tf32"] == 4000.0
