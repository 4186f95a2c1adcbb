# SPDX-License-Identifier: BSD-3-Clause
"""A batch in parts is the batch; and what a step allocates stays below its budget."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import softmax_xp as sx
from softmax_xp import losses
from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import LinearObjective
from softmax_xp.objectives.cuts import footprint_of
from softmax_xp.objectives.penalised import penalised_gradient
from softmax_xp.ops.memory import least_budget
from softmax_xp.training.batch import batch_loss, batch_rows
from softmax_xp.training.packing import pack
from softmax_xp.typing import LinearParams

N_SAMPLES, N_FEATURES, N_CLASSES, BATCH = 300, 6, 2000, 200
RNG = np.random.default_rng(8)
X = RNG.standard_normal((N_SAMPLES, N_FEATURES))
LABELS = RNG.integers(0, N_CLASSES, N_SAMPLES)
INDEX = RNG.permutation(N_SAMPLES)[:BATCH]
PARAMS = LinearParams(RNG.standard_normal((N_FEATURES, N_CLASSES)), RNG.standard_normal(N_CLASSES))
KINDS = {
    "labels": (LABELS, None, CrossEntropy()),
    "weights": (LABELS, RNG.integers(0, 3, N_SAMPLES), CrossEntropy()),
    "smoothing": (LABELS, RNG.random(N_SAMPLES), CrossEntropy(label_smoothing=0.1)),
    "soft": (RNG.dirichlet(np.ones(N_CLASSES), N_SAMPLES), None, CrossEntropy()),
}


def make(kind="labels", dtype="float64", *, penalty=None, put=np.asarray, real=None):
    targets, weight, loss = KINDS[kind]
    real = np.dtype(dtype) if real is None else real
    weight = None if weight is None else put(weight.astype(dtype))
    targets = put(targets if targets.ndim == 1 else targets.astype(dtype))
    prepared = loss.prepare(targets, N_CLASSES, dtype=real, sample_weight=weight)
    return LinearObjective(put(X.astype(dtype)), prepared, loss, penalty, real)


def params_in(dtype, put=np.asarray):
    return LinearParams(*(put(part.astype(dtype)) for part in PARAMS))


def limited(objective, factor):
    return dataclasses.replace(
        objective, memory_budget=int(factor * least_budget(footprint_of(objective, N_CLASSES))) + 64 * BATCH
    )


@pytest.fixture(params=["1", "0"])
def kernels(request, monkeypatch):
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", request.param)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [1.1, 2.0, 5.0])
def test_parts_add_up_to_the_batch(kind, factor):
    check_parts(kind, factor)


def test_parts_add_up_with_any_library(backend):
    check_parts("weights", 5.0, put=backend.asarray, real=backend.xp.float32, back=backend.to_numpy)


def check_parts(kind, factor, *, put=np.asarray, real=None, back=np.asarray):
    objective = make(kind, "float32", put=put, real=real)
    params, index = params_in("float32", put), put(INDEX)
    small = limited(objective, factor)
    assert batch_rows(small, BATCH, N_CLASSES) < BATCH == batch_rows(objective, BATCH, N_CLASSES)
    whole, targets = batch_loss(objective, params, index)
    terms, others = batch_loss(small, params, index)
    for ours, theirs in zip((terms.value, *terms.gradient), (whole.value, *whole.gradient), strict=True):
        np.testing.assert_allclose(back(ours), back(theirs), rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(back(terms.hits), back(whole.hits))
    np.testing.assert_array_equal(back(others.labels), back(targets.labels))
    assert others.distribution is None
    if targets.weight is not None:
        np.testing.assert_array_equal(back(others.weight), back(targets.weight))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("penalty", [None, sx.L2(0.1), sx.ElasticNet(0.1, 0.2)])
@pytest.mark.parametrize("factor", [1.0, 2.0, 10.0])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("kernels")
def test_a_step_stays_within_its_budget(dtype, penalty, factor, threads):
    objective, params = limited(make(dtype=dtype, penalty=penalty), factor), params_in(dtype)

    def gradient():
        return pack(penalised_gradient(batch_loss(objective, params, INDEX)[0].gradient, penalty, params))

    with threadpool_limits(threads, user_api="blas"):
        gradient()
        tracemalloc.start()
        try:
            gradient()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak <= objective.memory_budget


def test_without_memory_a_batch_is_halved(monkeypatch, caplog):
    seen = []
    original = losses.CrossEntropy.value_and_gradient

    def value_and_gradient(self, logits, targets, **options):
        seen.append(logits.shape[0])
        if seen[-1] > 30:
            raise MemoryError
        return original(self, logits, targets, **options)

    objective = make()
    expected, _ = batch_loss(objective, PARAMS, INDEX)
    monkeypatch.setattr(losses.CrossEntropy, "value_and_gradient", value_and_gradient)
    for _ in range(2):
        terms, _ = batch_loss(objective, PARAMS, INDEX)
        np.testing.assert_allclose(terms.gradient.weight, expected.gradient.weight, rtol=1e-10, atol=1e-14)
    assert seen[:3] == [200, 100, 50]
    assert max(seen[3:]) == 25
    assert len(caplog.records) == 1


@pytest.mark.parametrize("optimizer", [sx.SGD(0.5, momentum=0.9), sx.Adam(0.1)])
@pytest.mark.usefixtures("kernels")
def test_a_budget_does_not_change_what_is_learnt(optimizer):
    settings = {"optimizer": optimizer, "epochs": 2, "batch_size": 64, "penalty": sx.L2(0.01), "device": "cpu"}
    expected, history = sx.Trainer(**settings).fit(X, LABELS, classes=range(N_CLASSES))
    budget = limited(make(penalty=sx.L2(0.01)), 1.2).memory_budget
    model, small_history = sx.Trainer(**settings, memory_budget=budget).fit(X, LABELS, classes=range(N_CLASSES))
    np.testing.assert_allclose(model.params.weight, expected.params.weight, rtol=1e-6, atol=1e-9)
    assert small_history.rows[-1]["train_loss"] == pytest.approx(history.rows[-1]["train_loss"], rel=1e-9)


@pytest.mark.parametrize(("optimizer", "state"), [(sx.SGD(0.5), 0), (sx.Adam(0.1), 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("kernels")
def test_a_fit_takes_its_budget_beside_parameters_and_state(optimizer, state, dtype):
    data = X.astype(dtype)
    budget = limited(make(dtype=dtype), 1.5).memory_budget
    trainer = sx.Trainer(optimizer, epochs=2, batch_size=BATCH, device="cpu", memory_budget=budget)
    trainer.fit(data, LABELS, classes=range(N_CLASSES))
    tracemalloc.start()
    try:
        trainer.fit(data, LABELS, classes=range(N_CLASSES))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    array = (N_FEATURES + 1) * N_CLASSES * np.dtype(dtype).itemsize
    # The parameters at the start of this epoch and of the one before it, those of a step and of the one before it; the
    # optimizer's state before and after the step, and two arrays with which it computes the update.
    assert peak <= budget + (4 + 2 * state + 2) * array + (1 << 18)
