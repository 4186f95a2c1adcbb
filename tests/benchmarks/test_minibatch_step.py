# SPDX-License-Identifier: BSD-3-Clause
import sys

import numpy as np

import softmax_xp as sx
from benchmarks import minibatch_step
from benchmarks.timing import Effort

ONE_CALL = Effort(rounds=1, block_seconds=0.0, settle_seconds=0.0)
SHAPE = (60, 5, 3)


def test_without_pytorch_our_time_is_there_and_the_ratio_is_skipped(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it now raises ImportError
    table = minibatch_step.measure("cpu", ONE_CALL, SHAPE, {20: 2.0, 30: 1.5})
    assert [line.record["batch"] for line in table.lines] == [20, 30]
    for line in table.lines:
        assert line.record["seconds"].keys() == {"softmax_xp"}
        assert line.cells["times as fast (range)"] == "skipped"
        assert line.record["met"] is None
    assert table.notes[0].startswith("PyTorch: skipped, ")


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
