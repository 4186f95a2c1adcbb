# SPDX-License-Identifier: BSD-3-Clause
"""When a kernel takes the steps, and that its state is the optimizer's own."""

import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.losses import CrossEntropy, Logistic
from softmax_xp.training.fused_steps import find_fused_steps
from softmax_xp.training.problem import prepare_problem
from tests.training.samples import blobs

RNG = np.random.default_rng(3)
X, Y = blobs(60)
PACKED = np.zeros((6, 3))


def problem(X=X, y=Y, **settings):
    defaults = {
        "sample_weight": None,
        "validation": None,
        "classes": None,
        "device": "cpu",
        "dtype": None,
        "standardize": False,
        "loss": CrossEntropy(),
        "penalty": None,
    }
    return prepare_problem(X, y, **(defaults | settings))


def find(given, optimizer=None, **settings):
    return find_fused_steps(given, optimizer or sx.Adam(), PACKED, **({"batch_size": 20, "bias": True} | settings))


@dataclass(frozen=True)
class Plain:
    """A user's own optimizer, without a fused form."""

    learning_rate: float = 0.1

    def init(self, params):
        return (0,)

    def update(self, grads, state, params):
        return -self.learning_rate * grads, (state[0] + 1,)


@dataclass(frozen=True)
class Half(CrossEntropy):
    """A loss derived from one that kernels know."""


def test_the_common_case_is_a_kernels():
    fused = find(problem())
    assert (fused.batch_size, fused.steps_at_once) == (20, 1)
    assert find(problem(penalty=sx.L2(0.1), standardize=True, sample_weight=np.ones(60))).kernel.l2 == 0.1
    assert find(problem(), averaging=sx.UniformAverage()) is not None


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({}, {"clipping": sx.ClipByValue(1.0)}),
        ({}, {"optimizer": Plain()}),
        ({"loss": CrossEntropy(label_smoothing=0.1)}, {}),
        ({"y": np.eye(3)[Y]}, {}),
        ({"penalty": sx.ElasticNet(0.1, 0.5)}, {}),
        ({"loss": Logistic(), "y": Y % 2}, {}),
    ],
    ids=["clipping", "optimizer", "smoothing", "soft targets", "penalty", "loss"],
)
def test_everything_else_is_the_definitions(given, settings):
    assert find(problem(**given), **settings) is None


def test_the_switch_turns_it_off(monkeypatch):
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", "0")
    assert find(problem()) is None


@pytest.mark.parametrize("optimizer", [sx.Adam(0.1), sx.SGD(0.1, momentum=0.9), sx.NAdam(0.1)])
def test_the_state_is_that_of_the_optimizer_after_as_many_steps(optimizer):
    fused = find(problem(), optimizer)
    with fused.epoch():
        taken = fused.run(PACKED, optimizer.init(PACKED), np.arange(60))
    params, state = PACKED, optimizer.init(PACKED)
    for start in (0, 20, 40):
        rows, labels = X[start : start + 20], Y[start : start + 20]
        rows = np.hstack([rows, np.ones((20, 1))])
        p = sx.softmax(rows @ params)
        updates, state = optimizer.update(rows.T @ (p - np.eye(3)[labels]) / 20, state, params)
        params = params + updates
    np.testing.assert_allclose(taken.packed, params, rtol=1e-12)
    assert taken.optimizer_state.count == state.count == 3
    for mine, other in zip(taken.optimizer_state, state, strict=True):
        if other is not None:
            np.testing.assert_allclose(mine, other, rtol=1e-12)
    assert taken.value.shape == taken.hits.shape == (60,)


@pytest.mark.parametrize(("budget", "fits"), [(None, True), (1 << 20, True), (3000, False)])
def test_a_kernels_buffers_count(budget, fits):
    given = problem()
    given = given._replace(train=replace(given.train, memory_budget=budget))
    assert (find(given) is not None) == fits


@pytest.mark.parametrize("features", [5, 500])
@pytest.mark.parametrize("classes", [3, 60])
def test_a_kernels_buffers_take_what_is_reckoned(features, classes):
    """With the least budget for which there is a kernel, its first step makes no more than that."""
    given = problem(np.asarray(RNG.integers(0, 9, (600, features)), dtype="uint8"), np.arange(600) % classes)
    optimizer, packed = sx.SGD(0.1), np.zeros((features + 1, classes))
    row = (features + 1) * 17 + 16 * classes + 64
    budget = 500 * row + 24 * packed.size
    for less, found in ((0, True), (1, False)):
        limited = given._replace(train=replace(given.train, memory_budget=budget - less))
        steps = find_fused_steps(limited, optimizer, packed, batch_size=500, bias=True)
        assert (steps is not None) == found
        if steps is not None:
            steps_taken = steps
    state, order = optimizer.init(packed), np.arange(500)
    tracemalloc.start()
    try:
        steps_taken.run(packed, state, order)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= budget + 2 * packed.nbytes + (1 << 16)  # two sets of parameters are no part of it
