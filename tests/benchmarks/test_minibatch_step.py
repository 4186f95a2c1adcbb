# SPDX-License-Identifier: BSD-3-Clause
import os
import sys

import numpy as np
import pytest

import softmax_xp as sx
from benchmarks import minibatch_step
from benchmarks.timing import Effort
from softmax_xp.kernels.numpy.compiled_steps import CompiledSteps

ONE_CALL = Effort(rounds=1, block_seconds=0.0, settle_seconds=0.0)
SHAPE = (60, 5, 3)


def test_without_pytorch_our_time_is_there_and_the_ratio_is_skipped(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it now raises ImportError
    table = minibatch_step.measure("cpu", ONE_CALL, SHAPE, {20: 2.0, 30: 1.5}, compiled=False)
    assert [line.record["batch"] for line in table.lines] == [20, 30]
    for line in table.lines:
        assert line.record["seconds"].keys() == {"softmax_xp"}
        assert line.cells["times as fast (range)"] == "skipped"
        assert line.record["met"] is None
    assert table.notes[0].startswith("PyTorch: skipped, ")


def test_numba_takes_part_and_the_environment_stays_as_it_was(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", "1")
    record = minibatch_step.measure("cpu", ONE_CALL, SHAPE, {20: 2.0}).lines[0].record
    assert record["seconds"].keys() == {"softmax_xp", "softmax_xp, Numba"}
    assert record["met, Numba"] is None
    assert os.environ["SOFTMAX_XP_KERNELS"] == "1"


def test_its_kernel_is_what_takes_part():
    random = np.random.default_rng(0)
    X, y = random.random((60, 5), dtype=np.float32), random.integers(0, 3, 60)
    with minibatch_step._kernels_of_numba():
        step = minibatch_step._OurStep(sx.get_backend("cpu"), X, y, 20)
    assert isinstance(step.fused.kernel, CompiledSteps)
    assert not isinstance(minibatch_step._OurStep(sx.get_backend("cpu"), X, y, 20).fused.kernel, CompiledSteps)


@pytest.mark.parametrize(("compiled", "met"), [(2.0, True), (0.5, False)])
def test_the_target_asks_for_more_than_the_eager_step_and_the_compiled_one(compiled, met):
    seconds = {"softmax_xp": [1.0], "PyTorch": [4.0], "PyTorch, 1 thread": [3.0], "PyTorch, compiled": [compiled]}
    record = minibatch_step._line(50, 3.0, seconds).record
    assert record["fastest_peer"] == "PyTorch, 1 thread"
    assert record["times_as_fast"]["median"] == 3.0
    assert record["times_as_fast_as_compiled"]["median"] == compiled
    assert record["met"] is met
    assert minibatch_step._line(50, 3.5, seconds).record["met"] is False


def test_the_step_trains():
    random = np.random.default_rng(0)
    X, y = random.random((60, 5), dtype=np.float32), random.integers(0, 3, 60)
    step = minibatch_step._OurStep(sx.get_backend("cpu"), X, y, 20)
    before = step.carry
    step(np.arange(20))
    assert step.carry.optimizer_state.count == 1
    assert np.abs(step.carry.params.weight - before.params.weight).max() > 0
    assert step.carry.params.weight.dtype == np.float32


def test_the_targets_are_those_of_the_project():
    assert minibatch_step.TARGETS == {50: 4.0, 128: 3.0, 512: 2.0}
    assert minibatch_step.SHAPE == (60000, 784, 10)
