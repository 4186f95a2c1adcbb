# SPDX-License-Identifier: BSD-3-Clause
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import softmax_xp as sx
from benchmarks.gpu_bench import QUICK, Bench
from benchmarks.gpu_machine import gpu_facts, gpu_name
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench


def test_a_gpu_is_described_by_its_own_properties(monkeypatch):
    facts = gpu_facts(fake_bench(monkeypatch, FakeCupy()))
    assert facts["device"] == "Fake H100"
    assert facts["compute capability"] == "9.0"
    assert facts["multiprocessors"] == 132
    assert facts["CUDA"] == "driver 13.2, runtime 12.9"
    assert facts["PyTorch"].startswith("none: ")
    assert np.__version__ in facts["NumPy"]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({("update", "numpy"): "", ("steps", "numpy"): "", ("steps", "cupy"): ""}, "steps, update"),
        ({("steps", "cupy"): ""}, "none for numpy"),
    ],
)
def test_the_kernels_that_ours_may_find_are_named(monkeypatch, table, text):
    monkeypatch.setitem(sys.modules, "softmax_xp.kernels", SimpleNamespace(KERNELS=table))
    assert gpu_facts(Bench(sx.get_backend("cpu"), QUICK, with_compile=False))["kernels"] == text


def test_a_fact_that_cannot_be_told_is_left_out(monkeypatch):
    cupy = FakeCupy()
    bench = fake_bench(monkeypatch, cupy)
    del cupy.cuda.runtime.runtimeGetVersion
    facts = gpu_facts(bench)
    assert "CUDA" not in facts
    assert facts["device"] == "Fake H100"


def test_a_cpu_is_named_by_its_processor():
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False)
    assert gpu_name(bench).startswith("cpu ")
    assert "compute capability" not in gpu_facts(bench)
