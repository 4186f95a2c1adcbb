# SPDX-License-Identifier: BSD-3-Clause
"""A training step never waits for the device, and an iteration of a solver as rarely as it can.

While `run_step` runs under array-api-strict, every way from an array to a number of the host is closed: float(),
bool(), int(), indexing a sequence by it, complex(), NumPy's conversion, and the transfer to another device.
"""

import operator
from contextlib import contextmanager

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.objectives import ConvexObjective, LinearObjective
from softmax_xp.objectives.curvature import LinearCurvature
from softmax_xp.optimizers import OPTIMIZERS
from softmax_xp.solvers import SOLVERS, NewtonCG
from softmax_xp.training import loop
from tests.training.samples import blobs

strict = pytest.importorskip("array_api_strict")

CLOSED = ("__array__", "__bool__", "__complex__", "__float__", "__index__", "__int__", "to_device")
X, Y = blobs(40, 6, 4)
SOFT = np.random.default_rng(0).dirichlet(np.ones(4), size=40)


@contextmanager
def closed_to_the_host(monkeypatch):
    """Close the ways; on leaving, open them again."""

    def refuse(self, *args, **kwargs):
        msg = "an array was read on the host"
        raise AssertionError(msg)

    with monkeypatch.context() as patch:
        for name in CLOSED:
            patch.setattr(type(strict.asarray(0.0)), name, refuse, raising=False)
        yield


@pytest.fixture(params=["CPU_DEVICE", "device1"])
def fit(request, monkeypatch):
    """A function that trains with every step guarded, and counts the steps."""
    device = strict.Device(request.param)
    step = loop.run_step
    steps = []

    def guarded(*args):
        with closed_to_the_host(monkeypatch):
            result = step(*args)
        steps.append(1)
        return result

    monkeypatch.setattr(loop, "run_step", guarded)

    def train(y=Y, *, sample_weight=None, **settings):
        put = lambda array: None if array is None else strict.asarray(array, device=device)  # noqa: E731
        settings = {"epochs": 2, "batch_size": 16, "device": None} | settings
        sx.Trainer(**settings).fit(put(X), put(y), sample_weight=put(sample_weight), validation=(put(X), put(y)))
        assert len(steps) >= 6

    return train


@pytest.mark.parametrize(
    "read",
    [
        float,
        bool,
        complex,
        lambda x: int(strict.astype(x, strict.int64)),
        lambda x: operator.index(strict.astype(x, strict.int64)),
        np.asarray,
        lambda x: x.to_device(strict.Device("CPU_DEVICE")),
        lambda x: 1 if x > 0 else 0,
    ],
    ids=["float", "bool", "complex", "int", "index", "numpy", "to_device", "if"],
)
def test_the_guard_sees_each_way_to_the_host(monkeypatch, read):
    array = strict.asarray(1.0)
    with closed_to_the_host(monkeypatch), pytest.raises(AssertionError, match="read on the host"):
        read(array)
    read(strict.asarray(True) if read is bool else array)  # open again


def test_the_guard_is_closed_within_a_step(fit):
    class Nosy:
        """A gradient clipping that looks at the gradient."""

        def apply(self, grads):
            return grads if float(grads[0, 0]) < 2.0 else None

    with pytest.raises(AssertionError, match="read on the host"):
        fit(clipping=Nosy())


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_no_optimizer_reads_the_device(fit, optimizer):
    fit(optimizer=optimizer)


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": sx.CrossEntropy(label_smoothing=0.1)},
        {"loss": sx.CrossEntropy(class_weight=(1.0, 2.0, 3.0, 0.0), temperature=0.5)},
        {"loss": sx.CrossEntropy(label_smoothing=0.1, class_weight=(1.0, 2.0, 3.0, 4.0), ignore_index=-1)},
        {"penalty": sx.L2(0.1)},
        {"clipping": sx.ClipByGlobalNorm(0.1)},
        {"clipping": sx.ClipByValue(0.1)},
        {"averaging": sx.ExponentialAverage(0.9)},
        {"averaging": sx.UniformAverage(2)},
        {"standardize": True},
        {"fit_intercept": False, "drop_last": True, "shuffle": False, "epochs": 3},
        {"schedule": sx.Plateau(patience=0)},
        {"schedule": sx.OneCycle()},
        {"dtype": "float32"},
        {"verbose": True},
    ],
    ids=repr,
)
def test_no_option_reads_the_device(fit, settings):
    fit(**settings)


def test_neither_do_weights_nor_soft_targets(fit):
    fit(sample_weight=np.linspace(0.0, 1.0, 40))
    fit(SOFT)
    fit(SOFT, sample_weight=np.linspace(0.0, 1.0, 40), loss=sx.CrossEntropy(label_smoothing=0.2))
    fit(np.where(np.arange(40) % 5 == 0, -7, Y), loss=sx.CrossEntropy(ignore_index=-7))


def test_an_epoch_reads_the_device_a_handful_of_times(monkeypatch):
    """Beyond the steps: one reading of losses and one of hits, whatever the number of steps."""
    reads = []
    to_device = type(strict.asarray(0.0)).to_device
    monkeypatch.setattr(
        type(strict.asarray(0.0)), "to_device", lambda self, *rest, **more: reads.append(1) or to_device(self, *rest)
    )

    def count(batch_size, epochs):
        reads.clear()
        sx.Trainer(epochs=epochs, batch_size=batch_size, device=None).fit(strict.asarray(X), strict.asarray(Y))
        return len(reads)

    # A fit of one epoch more costs the same few reads, with many steps or with one.
    assert count(2, 5) - count(2, 4) == count(40, 5) - count(40, 4) == 2


@pytest.fixture
def reads(monkeypatch):
    """One entry for each number, or small array, that the host reads."""
    found, kind = [], type(strict.asarray(0.0))

    def count(name):
        way = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda self, *rest, **more: found.append(name) or way(self, *rest, **more))

    for name in ("__bool__", "__float__", "__index__", "__int__", "to_device"):
        count(name)
    return found


def convex_objective():
    loss, rows = sx.CrossEntropy(), strict.asarray(X)
    targets = loss.prepare(strict.asarray(Y), 4, dtype=rows.dtype)
    return ConvexObjective(LinearObjective(rows, targets, loss, None, rows.dtype), 4, l2=0.01)


def test_an_iteration_of_lbfgs_reads_its_slope_and_its_evaluation(reads):
    objective, solver = convex_objective(), SOLVERS["lbfgs"]
    state = solver.init(objective, objective.start())
    for iteration in range(6):
        reads.clear()
        passes = objective.passes
        state = solver.advance(objective, state)
        assert len(reads) == 1 + objective.passes - passes
        assert len(state.pairs) == iteration + 1


def test_newton_cg_reads_once_for_each_product(monkeypatch, reads):
    objective, solver = convex_objective(), NewtonCG(looseness=1e-6)
    metric, products = objective.curvature(objective.start()).metric(), []
    original = LinearCurvature.product
    monkeypatch.setattr(LinearCurvature, "product", lambda *args: products.append(1) or original(*args))
    monkeypatch.setattr(LinearCurvature, "metric", lambda curvature: metric)  # making one reads too
    state = solver.init(objective, objective.start())
    for _ in range(3):
        reads.clear()
        products.clear()
        state = solver.advance(objective, state)
        assert state.step == 1.0
        # One for the slope along the direction, and one for the evaluation at its end.
        assert len(reads) == len(products) + 2
    assert len(products) > 3
