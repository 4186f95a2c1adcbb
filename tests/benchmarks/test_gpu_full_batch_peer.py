# SPDX-License-Identifier: BSD-3-Clause
from time import time

import numpy as np
import pytest

import softmax_xp as sx
from benchmarks.gpu_arrays import random_array, random_labels
from benchmarks.gpu_bench import QUICK, Bench
from benchmarks.gpu_full_batch import measure_large, measure_small, objective_on, torch_gradient
from softmax_xp.backend import to_host
from softmax_xp.typing import LinearParams

torch = pytest.importorskip("torch", reason="PyTorch is the peer")


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
def test_pytorch_computes_the_same_gradient_on_each_copy(device):
    bench = Bench(sx.get_backend(device), QUICK, with_compile=False)
    Xs = [random_array(bench, 40, 6, shift=shift) for shift in (0, 9)]
    W, y = random_array(bench, 6, 3, shift=1), random_labels(bench, 40, 3)
    call = torch_gradient(bench, Xs, W, y, compiled=False)
    for X in Xs:
        expected = objective_on(X, y, 3).value_and_gradient(LinearParams(W, None))[1].weight
        np.testing.assert_allclose(to_host(call()), to_host(expected), atol=1e-6)


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
@pytest.mark.parametrize("measure", [measure_small, measure_large])
def test_pytorch_takes_part(device, measure):
    bench = Bench(sx.get_backend(device), QUICK, with_compile=False)
    bench.begin("toy", time() + 60.0)
    measure(bench)
    assert "PyTorch eager" in [line.record["who"] for line in bench.table.lines]
    assert not [note for note in bench.table.notes if "failed" in note or "WRONG" in note]
