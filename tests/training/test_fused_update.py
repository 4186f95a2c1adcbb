# SPDX-License-Identifier: BSD-3-Clause
"""When a kernel makes the optimizer's update, with which numbers, and that training stays what it is.

The kernel here is NumPy's, whose bits are those of the optimizers; that of CUDA runs in
tests/kernels/cuda/test_contract.py.
"""

from dataclasses import dataclass

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.kernels.numpy.update import update as numpy_update
from softmax_xp.kernels.rules import RULES, FusedRule
from softmax_xp.optimizers import OPTIMIZERS
from softmax_xp.training import fused_update
from softmax_xp.training.fused_update import find_fused_update
from tests.training.samples import blobs

X, Y = blobs(60)
CLIPPED = {"clipping": sx.ClipByGlobalNorm(0.5)}
RUNS = {
    "clipping": CLIPPED,
    "soft targets": {"y": np.eye(3)[Y]},
    "smoothing": {"loss": sx.CrossEntropy(label_smoothing=0.1)},
    "elastic net": {"penalty": sx.ElasticNet(0.1, 0.5)},
    "no bias": CLIPPED | {"fit_intercept": False, "initial_scale": 0.5},
    "averaged": CLIPPED | {"averaging": sx.UniformAverage(2)},
    "one cycle": CLIPPED | {"schedule": sx.OneCycle()},
    "plateau": CLIPPED | {"schedule": sx.Plateau(gamma=0.5, patience=0, threshold=0.5)},
    "rest": CLIPPED | {"batch_size": 25},
}


def trained(y=Y, **settings):
    settings = {"optimizer": sx.Adam(0.05), "epochs": 4, "batch_size": 20, "seed": 1, "device": "cpu"} | settings
    model, history = sx.Trainer(**settings).fit(X, y)
    return np.vstack([array for array in model.params if array is not None]), history


@pytest.fixture
def offered(monkeypatch):
    """Offer NumPy's update to the trainer, in fresh arrays; the calls of it."""
    calls = []

    def kernel(rule, params, grads, accumulators, scalars, *, step):
        assert scalars.dtype == params.dtype
        calls.append((rule, step, scalars))
        outputs = np.empty_like(params), tuple([np.empty_like(array) for array in accumulators])
        scratch = np.empty_like(params), np.empty_like(params)
        for array in (params, grads, *accumulators):
            array.flags.writeable = False
        row = FusedRule(rule, tuple(scalars[step].tolist()))
        numpy_update(row, params, grads.copy(), accumulators, *outputs, scratch)
        return outputs

    monkeypatch.setattr(fused_update, "find_kernel", lambda name, array: {"update": kernel}.get(name))
    return calls


def assert_same(ours, theirs):
    np.testing.assert_array_equal(ours[0], theirs[0])
    for column in ("step", "train_loss", "train_accuracy", "learning_rate"):
        np.testing.assert_array_equal(ours[1][column], theirs[1][column])


@pytest.mark.parametrize("ahead", [1, 2, 128])
@pytest.mark.parametrize("run", RUNS)
def test_training_has_the_bits_of_the_definition(monkeypatch, offered, run, ahead):
    monkeypatch.setattr(fused_update, "_STEPS_AHEAD", ahead)
    ours = trained(**RUNS[run])
    assert len(offered) == ours[1]["step"][-1]
    monkeypatch.undo()
    assert_same(ours, trained(**RUNS[run]))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_every_optimizer(monkeypatch, offered, name):
    ours = trained(optimizer=OPTIMIZERS[name], **CLIPPED)
    assert {rule for rule, *_ in offered} <= set(RULES)
    assert offered
    monkeypatch.undo()
    assert_same(ours, trained(optimizer=OPTIMIZERS[name], **CLIPPED))


def test_the_numbers_of_many_steps_move_at_once_and_never_those_of_another_epoch(monkeypatch, offered):
    monkeypatch.setattr(fused_update, "_STEPS_AHEAD", 4)
    trained(epochs=2, batch_size=10, **CLIPPED)
    assert [step for _, step, _ in offered] == [0, 1, 2, 3, 0, 1] * 2
    assert [len(scalars) for *_, scalars in offered] == [4, 4, 4, 4, 2, 2] * 2
    assert len({id(scalars) for *_, scalars in offered}) == 4


def test_where_a_kernel_takes_whole_steps_it_is_not_asked(offered):
    trained()
    assert not offered


def test_a_kernel_may_decline_any_step(monkeypatch, offered):
    kernel, count = fused_update.find_kernel("update", X), iter(range(100))

    def fickle(*args, **options):
        return None if next(count) % 3 == 0 else kernel(*args, **options)

    monkeypatch.setattr(fused_update, "find_kernel", lambda name, array: fickle)
    ours = trained(**CLIPPED)
    assert len(offered) == 8  # of 12 steps
    monkeypatch.undo()
    assert_same(ours, trained(**CLIPPED))


def test_ctrl_c_leaves_the_last_full_step(monkeypatch, offered):
    kernel, count = fused_update.find_kernel("update", X), iter(range(100))

    def interrupted(*args, **options):
        answer = kernel(*args, **options)
        if next(count) == 4:
            for array in (answer[0], *answer[1]):
                array[...] = np.nan  # half done
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(fused_update, "find_kernel", lambda name, array: interrupted)
    ours, history = trained(**CLIPPED)
    assert history.status == "interrupted"
    monkeypatch.undo()
    stop = iter(range(100))
    step = sx.Adam.update

    def stopped(self, *args):
        if next(stop) == 4:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(sx.Adam, "update", stopped)
    np.testing.assert_array_equal(ours, trained(**CLIPPED)[0])


@dataclass(frozen=True)
class Plain:
    """A user's own optimizer, without a fused form."""

    learning_rate: float = 0.1

    def init(self, params):
        return (0,)

    def update(self, grads, state, params):
        return -self.learning_rate * grads, (state[0] + 1,)


def test_it_needs_a_kernel_and_a_fused_form(monkeypatch, offered):
    backend = sx.get_backend("cpu")
    assert find_fused_update(sx.Adam(), X, backend) is not None
    assert find_fused_update(Plain(), X, backend) is None
    monkeypatch.undo()
    assert find_fused_update(sx.Adam(), X, backend) is None
