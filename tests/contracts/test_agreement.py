# SPDX-License-Identifier: BSD-3-Clause
"""One seed, the same answer on every backend: batch order, initial weights, and the weights after ten epochs.

The bounds are those of the documented contract: 1e-10 in float64 and 1e-4 in float32, relative to the norm of NumPy's
weights. The bound on NumPy's own agreement with itself, on read-only arrays and under the strict namespace, is the
same, because each namespace may sum in its own way.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.backend import to_host
from softmax_xp.data.order import epoch_order, initial_weight
from softmax_xp.optimizers import OPTIMIZERS
from softmax_xp.training import loop
from tests.training.samples import digits

# Relative distance of the weights from NumPy's.
BOUNDS = {"float64": 1e-10, "float32": 1e-4}
# Rates at which each rule learns something in ten epochs; the rest keep their own.
RATES = {"sgd": 0.5, "momentum_sgd": 0.1, "nesterov_sgd": 0.1, "adagrad": 0.1, "adadelta": 1.0}
OPTIONS = {
    "penalty and clipping": {"penalty": sx.L2(1e-2), "clipping": sx.ClipByGlobalNorm(0.5)},
    "clipping by value": {"clipping": sx.ClipByValue(0.01)},
    "exponential average": {"averaging": sx.ExponentialAverage(0.9)},
    "uniform average": {"averaging": sx.UniformAverage(start=10), "schedule": sx.Cosine()},
    "standardize": {"standardize": True},
    "label smoothing and class weights": {
        "loss": sx.CrossEntropy(label_smoothing=0.1, class_weight=tuple(range(1, 11)), temperature=2.0)
    },
    "weight decay, no intercept, random start": {
        "optimizer": sx.AdamW(1e-2, weight_decay=0.1),
        "fit_intercept": False,
        "initial_scale": 0.1,
    },
}


def trainer(dtype, **settings):
    return sx.Trainer(**({"optimizer": sx.SGD(0.5), "batch_size": 256, "dtype": dtype, "device": None} | settings))


def weights_of(training, X, y, **data):
    model, history = training.fit(X, y, **data)
    weight, bias = model.params
    flat = [to_host(weight).ravel()] + ([] if bias is None else [to_host(bias)])
    return np.concatenate(flat), history


def relative_distance(ours, expected):
    assert ours.dtype == expected.dtype
    return np.linalg.norm(ours - expected) / np.linalg.norm(expected)


@cache
def expected_weights(key, dtype):
    """NumPy's weights, computed once for all backends."""
    X, y = digits()
    weights, _ = weights_of(trainer(dtype, **SETTINGS[key]), X.astype(dtype), y, **data_of(key))
    return weights


def data_of(key):
    if key != "sample weights":
        return {}
    return {"sample_weight": np.random.default_rng(5).uniform(0.0, 2.0, size=1797)}


SETTINGS = (
    {name: {"optimizer": replace(rule, learning_rate=RATES.get(name, 1e-2))} for name, rule in OPTIMIZERS.items()}
    | OPTIONS
    | {"sample weights": {}}
)


@pytest.fixture(params=["float64", "float32"])
def dtype(request, backend):
    if request.param == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    return request.param


@pytest.mark.parametrize("key", SETTINGS)
def test_ten_epochs_on_the_digits_end_where_numpy_ends(backend, dtype, key):
    X, y = digits()
    data = {name: backend.asarray(values) for name, values in data_of(key).items()}
    given = backend.asarray(X.astype(dtype))
    weights, history = weights_of(trainer(dtype, **SETTINGS[key]), given, backend.asarray(y), **data)
    assert len(history) == 10
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert relative_distance(weights, expected_weights(key, dtype)) <= BOUNDS[dtype]


def test_every_backend_sees_the_same_batches(backend, monkeypatch):
    seen = []
    step = loop._Run._step

    def spy(run, index):
        seen.append(to_host(index))
        step(run, index)

    monkeypatch.setattr(loop._Run, "_step", spy)
    X, y = digits()
    X, y = X[:100], y[:100]
    trainer("float32", epochs=3, batch_size=40, seed=11).fit(backend.asarray(X), backend.asarray(y))
    expected = [epoch_order(11, epoch, 100)[start : start + 40] for epoch in range(3) for start in (0, 40, 80)]
    # A kernel may take the steps of an epoch at once.
    np.testing.assert_array_equal(np.concatenate(seen), np.concatenate(expected))
    assert not np.array_equal(np.concatenate(expected[:3]), np.concatenate(expected[3:6]))


def test_every_backend_starts_from_the_same_weights(backend, dtype):
    X, y = digits()
    training = trainer(dtype, epochs=1, optimizer=sx.SGD(0.0), initial_scale=0.5, seed=4)
    model, _ = training.fit(backend.asarray(X[:300].astype(dtype)), backend.asarray(y[:300]))
    drawn = initial_weight(4, 64, 10, 0.5).astype(dtype)
    np.testing.assert_array_equal(backend.to_numpy(model.params.weight), drawn)


def test_the_same_run_twice_gives_the_same_bits(backend, dtype):
    X, y = digits()
    training = trainer(dtype, epochs=2, optimizer=sx.Adam(1e-2))
    given = backend.asarray(X.astype(dtype)), backend.asarray(y)
    np.testing.assert_array_equal(weights_of(training, *given)[0], weights_of(training, *given)[0])


def test_another_seed_is_farther_away_than_any_backend():
    """The control: the bound can tell runs apart."""
    X, y = digits()
    weights, _ = weights_of(trainer("float32", seed=1), X.astype("float32"), y)
    assert relative_distance(weights, expected_weights("sgd", "float32")) > 10 * BOUNDS["float32"]
