# SPDX-License-Identifier: BSD-3-Clause
import sys
from time import time
from types import SimpleNamespace

import numpy as np
import pytest

import softmax_xp as sx
from benchmarks import gpu_cross_entropy
from benchmarks.gpu_bench import QUICK, Bench
from benchmarks.gpu_clock import Timed
from benchmarks.gpu_cross_entropy import measure_cross_entropy, reference
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench, our_cross_entropy


@pytest.fixture
def ours(monkeypatch):
    monkeypatch.setattr(gpu_cross_entropy, "our_cross_entropy", our_cross_entropy)


@pytest.fixture
def bench():
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False, measured={"copy_bandwidth": 2.0})
    bench.torch, bench.torch_reason = None, "not in this test"
    bench.begin("cross_entropy", time() + 60.0)
    return bench


def test_the_rate_counts_one_read_and_one_write(bench, ours, monkeypatch):
    monkeypatch.setattr(bench.clock, "blocks", lambda prepare, calls: Timed(1.0, 1e-6))
    measure_cross_entropy(bench)
    assert bench.measured["cross_entropy_1000"] == pytest.approx(2 * 4 * 64 * 1000 / 1e-6 / 2e12)
    assert bench.table.lines[0].cells["of the copy"] == "26 %"
    assert [line.record["who"] for line in bench.table.lines] == ["ours", "ours without kernels"] * 2


def test_each_call_gets_logits_that_nobody_has_written_to(bench, monkeypatch):
    spoilt = []

    def spoil(logits, labels, scale=1.0):
        spoilt.append(bool((logits == 7.0).all()))
        value_hits_gradient = our_cross_entropy(logits.copy(), labels, scale)
        logits[...] = 7.0
        return value_hits_gradient

    monkeypatch.setattr(gpu_cross_entropy, "our_cross_entropy", spoil)
    measure_cross_entropy(bench)
    assert len(spoilt) > 10
    assert not any(spoilt)


def test_ours_with_a_wrong_result_is_not_timed_and_remembered(bench, monkeypatch):
    def wrong(logits, labels, scale=1.0):
        value, hits, gradient = our_cross_entropy(logits, labels, scale)
        return value * np.float32(1.001), hits, gradient

    monkeypatch.setattr(gpu_cross_entropy, "our_cross_entropy", wrong)
    measure_cross_entropy(bench)
    assert bench.wrong == {"cross_entropy"}
    assert not bench.table.lines
    assert any("computes something else: relative difference 1.0e-03" in note for note in bench.table.notes)


@pytest.mark.parametrize("hits", [(), ("hits",)])
def test_the_function_may_tell_hits_or_not(monkeypatch, hits):
    def function(logits, labels, *, scale):
        return ("value", *hits, f"gradient of {logits} times {scale}")

    module = SimpleNamespace(softmax_cross_entropy=function)
    monkeypatch.setitem(sys.modules, "softmax_xp.ops.cross_entropy", module)
    answer = gpu_cross_entropy.our_cross_entropy("logits", "labels", 2.0)
    assert answer == ("value", "hits" if hits else None, "gradient of logits times 2.0")


def test_a_package_without_the_function_is_reported(bench, monkeypatch):
    def missing(logits, labels, scale=1.0):
        msg = "No module named 'softmax_xp.ops.cross_entropy'"
        raise ModuleNotFoundError(msg)

    monkeypatch.setattr(gpu_cross_entropy, "our_cross_entropy", missing)
    measure_cross_entropy(bench)
    assert not bench.measured.keys() - {"copy_bandwidth"}
    assert any(note.startswith("ours, 1000 classes in float32: failed, Module") for note in bench.table.notes)


def test_a_cuda_device_is_measured_in_bfloat16_too(monkeypatch, ours):
    pytest.importorskip("ml_dtypes", reason="CuPy's bfloat16 comes from it")
    bench = fake_bench(monkeypatch, FakeCupy())
    bench.begin("cross_entropy", time() + 60.0)
    measure_cross_entropy(bench)
    assert [line.record["kind"] for line in bench.table.lines] == ["float32"] * 4 + ["bfloat16"] * 4


def test_the_reference_is_the_formula(bench):
    value, gradient = reference(bench, np.array([[0.0, np.log(3.0)]], dtype=np.float32), np.array([1]))
    np.testing.assert_allclose(value, [np.log(4 / 3)], rtol=1e-7)
    np.testing.assert_allclose(gradient, [[0.25, -0.25]], rtol=1e-7)
