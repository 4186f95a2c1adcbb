# SPDX-License-Identifier: BSD-3-Clause
import os

import pytest

import softmax_xp as sx
from benchmarks.gpu_bench import QUICK, Bench
from benchmarks.gpu_settings import KERNELS_VARIABLE, kernels, precision, precisions
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench


@pytest.mark.parametrize("before", [None, "0", "1"])
def test_kernels_are_switched_and_put_back(monkeypatch, before):
    monkeypatch.delenv(KERNELS_VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(KERNELS_VARIABLE, before)
    with kernels(enabled=False):
        assert os.environ[KERNELS_VARIABLE] == "0"
        with kernels(enabled=True):
            assert os.environ[KERNELS_VARIABLE] == "1"
        assert os.environ[KERNELS_VARIABLE] == "0"
    with pytest.raises(ZeroDivisionError), kernels(enabled=False):
        _ = 1 / 0
    assert os.environ.get(KERNELS_VARIABLE) == before


def test_tf32_is_switched_in_cupy_and_put_back(monkeypatch):
    cupy = FakeCupy()
    bench = fake_bench(monkeypatch, cupy)
    assert precisions(bench) == ("float32", "tf32")
    with pytest.raises(ZeroDivisionError), precision(bench, "tf32"):
        _ = 1 / 0
    assert cupy.compute_types == [7, 1]
    with precision(bench, "float32"):
        assert cupy.compute_types[-1] == 1


def test_a_cpu_has_no_tf32():
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False)
    assert precisions(bench) == ("float32",)
    assert bench.table.notes == ["TF32: skipped, only CUDA devices have it"]
    with precision(bench, "tf32"):
        pass
