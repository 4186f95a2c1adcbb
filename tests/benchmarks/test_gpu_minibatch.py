# SPDX-License-Identifier: BSD-3-Clause
import os
from time import time

import numpy as np
import pytest

import softmax_xp as sx
from benchmarks import gpu_minibatch
from benchmarks.gpu_bench import QUICK, Bench
from benchmarks.gpu_clock import Timed
from benchmarks.gpu_minibatch import LEARNING_RATE, measure_minibatch, norm_error, our_fit, reference_weight
from benchmarks.gpu_settings import KERNELS_VARIABLE
from softmax_xp.data.order import epoch_order


@pytest.fixture
def bench():
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False)
    bench.torch, bench.torch_reason = None, "not in this test"
    bench.begin("minibatch", time() + 60.0)
    return bench


def test_a_first_step_of_the_reference_is_worked_out_by_hand():
    X, y = np.array([[1.0]], dtype=np.float32), np.array([0])
    # The gradient is (p - t) x = (-0.5, 0.5), and Adam's first step is g / (|g| + eps).
    expected = LEARNING_RATE * 0.5 / (0.5 + gpu_minibatch.EPS)
    np.testing.assert_allclose(reference_weight(X, y, 2, np.array([0]), 1), [[expected, -expected]], rtol=1e-12)


def test_our_fit_takes_the_steps_of_the_reference(bench):
    X, y = gpu_minibatch.training_data(bench, 110)
    weight, seconds = our_fit(bench, X, y, 20, 3)
    order = np.concatenate([epoch_order(0, epoch, 110) for epoch in range(3)])
    blocks = [order[epoch * 110 : (epoch + 1) * 110] for epoch in range(3)]
    one_epoch = our_fit(bench, X, y, 20, 1)[0]
    assert norm_error(one_epoch, reference_weight(X, y, 10, blocks[0], 20)) < gpu_minibatch.TOLERANCE
    assert norm_error(weight, one_epoch) > 0.1
    assert len(seconds) == 2
    assert min(seconds) > 0


def test_an_epoch_takes_the_time_since_the_one_before(bench, monkeypatch):
    X, y = gpu_minibatch.training_data(bench, 40)
    fit = sx.Trainer.fit

    def slow(self, *data, **options):
        return fit(self, *data, **options)[0], {"seconds": [9.0, 10.0, 13.0]}

    monkeypatch.setattr(sx.Trainer, "fit", slow)
    assert our_fit(bench, X, y, 20, 3)[1] == [1.0, 3.0]


def test_ours_is_timed_with_and_without_kernels(bench, monkeypatch):
    switches = []

    def fit(bench, X, y, batch_size, epochs):
        switches.append(os.environ[KERNELS_VARIABLE])
        return None, [3.0, 1.0, 2.0]

    monkeypatch.setattr(gpu_minibatch, "our_fit", fit)
    measure_minibatch(bench)
    assert switches == ["1", "0"] * len(QUICK.batches)
    assert bench.measured == {"epoch_ours": 2000.0, "epoch_kernels_off": 2000.0}
    assert [line.cells["batch"] for line in bench.table.lines] == ["128", "128", "50", "50"]
    assert "PyTorch: skipped, not in this test" in bench.table.notes


def test_the_best_graph_and_the_eager_step_are_what_ours_is_held_against(bench):
    times = {"ours": 2.0, "PyTorch eager": 30.0, "PyTorch graph, 1 step": 9.0, "PyTorch compiled": 12.0}
    times |= {"PyTorch graph, many steps": 6.0, "PyTorch compiled, graph": 7.0}
    for name, seconds in times.items():
        gpu_minibatch._add(bench, name, QUICK.batches[0], Timed(seconds, None))
        gpu_minibatch._add(bench, name, QUICK.batches[1], Timed(1e-3, None))  # counts for nothing
    assert bench.measured["epoch_torch_graph"] == 6000.0
    assert (bench.measured["epoch_times_eager"], bench.measured["epoch_times_graph"]) == (15.0, 3.0)
    assert bench.table.lines[2].cells["over ours"] == "15x"
