# SPDX-License-Identifier: BSD-3-Clause
import os
from time import time

import numpy as np
import pytest

import softmax_xp as sx
from benchmarks import gpu_full_batch
from benchmarks.gpu_bench import QUICK, Bench
from benchmarks.gpu_clock import Timed
from benchmarks.gpu_full_batch import measure_large, measure_small
from benchmarks.gpu_settings import KERNELS_VARIABLE
from softmax_xp.objectives import LinearObjective
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench


@pytest.fixture
def bench():
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False, measured={"copy_bandwidth": 2.0})
    bench.torch, bench.torch_reason = None, "not in this test"
    bench.begin("small", time() + 60.0)
    return bench


def fixed_race(monkeypatch, bench, seconds, device=None):
    raced = []

    def race(calls, rounds=None):
        raced.append(list(calls))
        return {name: Timed(seconds[name], device) for name in calls}

    monkeypatch.setattr(bench.clock, "race", race)
    return raced


def test_few_classes_are_held_against_one_read_at_the_bandwidth_of_the_copy(bench, monkeypatch):
    fixed_race(monkeypatch, bench, {"ours": 5e-5, "ours without kernels": 4e-4}, device=3e-5)
    measure_small(bench)
    read = 620 * 20 * 4 / 2e12
    assert bench.measured["small_read"] == pytest.approx(read * 1e3)
    assert bench.measured["small_ratio"] == pytest.approx(5e-5 / read)
    assert bench.measured["small_ours"] == pytest.approx(0.05)
    assert bench.measured["small_kernels_off"] == pytest.approx(0.4)
    ours = bench.table.lines[1].cells
    assert (ours["host"], ours["device"]) == ("50 us", "30 us")
    assert float(ours["device / read"]) == pytest.approx(3e-5 / read, rel=0.01)


def test_without_the_bandwidth_there_is_no_ratio(bench):
    del bench.measured["copy_bandwidth"]
    measure_small(bench)
    assert "small_ratio" not in bench.measured
    assert bench.measured["small_ours"] > 0
    assert any(note.startswith("one read of X: not known") for note in bench.table.notes)


def test_many_classes_are_extrapolated_and_held_against_the_products(bench, monkeypatch):
    raced = fixed_race(monkeypatch, bench, {"products": 0.01, "ours": 0.012, "ours without kernels": 0.03})
    measure_large(bench)
    assert raced == [["products", "ours", "ours without kernels"]]
    assert bench.measured["large_products_float32"] == pytest.approx(0.01 * 600 / 300 * 1e3)
    assert bench.measured["large_ratio_float32"] == pytest.approx(1.2)
    assert bench.table.lines[1].cells["extrapolated"] == "24 ms"


def test_a_cuda_device_is_measured_in_both_precisions(monkeypatch):
    cupy = FakeCupy()
    bench = fake_bench(monkeypatch, cupy)
    bench.begin("large", time() + 60.0)
    types = []
    race = bench.clock.race

    def noting(calls, rounds=None):
        types.append(cupy.compute_types[-1])
        return race(calls, rounds)

    monkeypatch.setattr(bench.clock, "race", noting)
    measure_large(bench)
    assert types == [1, 7]
    assert {"large_ratio_float32", "large_ratio_tf32"} <= bench.measured.keys()


def test_ours_with_a_wrong_gradient_is_not_timed_and_remembered(bench, monkeypatch):
    value_and_gradient = LinearObjective.value_and_gradient

    def wrong(self, params):
        value, gradient = value_and_gradient(self, params)
        factor = 1.001 if os.environ[KERNELS_VARIABLE] == "1" else 1.0
        return value, gradient._replace(weight=gradient.weight * np.float32(factor))

    monkeypatch.setattr(LinearObjective, "value_and_gradient", wrong)
    measure_small(bench)
    assert bench.wrong == {"small"}
    assert [line.record["who"] for line in bench.table.lines] == ["one read of X", "ours without kernels"]
    assert any(note.startswith("ours, float32: WRONG, relative difference 1.0e-03") for note in bench.table.notes)


def test_a_gradient_that_is_not_written_shows(bench, monkeypatch):
    memory = [np.ones((3, 2), dtype=np.float32)]  # the right answer, left there by somebody else

    def fill(bench, *shapes):
        memory[0] = np.full(shapes[0], np.nan, dtype=np.float32)

    monkeypatch.setattr(gpu_full_batch, "fill_with_nan", fill)
    assert np.isnan(gpu_full_batch._first_error(bench, lambda: memory[0], np.ones((3, 2))))


def test_the_race_goes_through_copies_of_x(bench):
    seen = set()
    Xs, W, y = gpu_full_batch._data(bench, QUICK.small)
    calls = gpu_full_batch._contestants(bench, Xs, W, y)
    objective_on = {id(X) for X in Xs}
    original = LinearObjective.value_and_gradient

    def noting(self, params):
        seen.add(id(self.X))
        return original(self, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LinearObjective, "value_and_gradient", noting)
        for _ in range(len(Xs)):
            calls["ours"]()
    assert len(Xs) > 1
    assert seen == objective_on
