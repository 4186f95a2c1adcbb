# SPDX-License-Identifier: BSD-3-Clause
"""A float32 run makes no float64 array on an accelerator, neither in a step nor in an evaluation.

array-api-strict plays the accelerator: a backend with the capabilities of one, and a record of the dtype of each array
that it makes.
"""

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp import backend as backend_module
from softmax_xp.backend import Backend, Capabilities, backend_on
from softmax_xp.objectives import LinearObjective
from softmax_xp.optimizers import OPTIMIZERS
from softmax_xp.training import loop
from tests.training.samples import blobs

strict = pytest.importorskip("array_api_strict")

ACCELERATOR = Capabilities(True, "float32", row_chunks=False)
X, Y = blobs(40, 6, 4, dtype="float32")
SOFT = np.random.default_rng(0).dirichlet(np.ones(4), size=40).astype("float32")


@pytest.fixture
def accelerator(monkeypatch):
    """A pretended accelerator; `backend_of` finds it too."""
    device = strict.Device("device1")

    def pretend(xp, device):
        found = backend_on(xp, device)
        return Backend("fake-gpu", xp, device, ACCELERATOR) if xp is strict else found

    monkeypatch.setattr(backend_module, "backend_on", pretend)
    return Backend("fake-gpu", strict, device, ACCELERATOR)


@pytest.fixture
def made(monkeypatch):
    """The dtypes of all arrays made while a step or an evaluation runs."""
    dtypes, recording = [], []
    kind = type(strict.asarray(0.0))
    new = kind._new.__func__

    def record(cls, x, *args, **kwargs):
        array = new(cls, x, *args, **kwargs)
        if recording:
            dtypes.append(str(array.dtype))
        return array

    def watched(function):
        def run(*args):
            recording.append(1)
            try:
                return function(*args)
            finally:
                recording.pop()

        return run

    clip = strict.clip

    def clip_unwatched(x, *args, **kwargs):
        # Within, the strict namespace makes a float64 array of a Python bound; no other library does.
        watching, recording[:] = recording[:], []
        result = clip(x, *args, **kwargs)
        recording[:] = watching
        if recording:
            dtypes.append(str(result.dtype))
        return result

    monkeypatch.setattr(strict, "clip", clip_unwatched)
    monkeypatch.setattr(kind, "_new", classmethod(record))
    monkeypatch.setattr(loop, "run_step", watched(loop.run_step))
    monkeypatch.setattr(LinearObjective, "evaluate", watched(LinearObjective.evaluate))
    return dtypes


def fit(device, y=Y, *, sample_weight=None, **settings):
    trainer = sx.Trainer(**({"epochs": 2, "batch_size": 16, "device": device} | settings))
    return trainer.fit(X, y, sample_weight=sample_weight, validation=(X, y))


def test_the_record_would_show_a_float64_array(accelerator, made):
    class Wide:
        """A gradient clipping that computes in float64."""

        def apply(self, grads):
            return strict.astype(strict.astype(grads, strict.float64), strict.float32)

    fit(accelerator, clipping=Wide())
    assert any("float64" in dtype for dtype in made)


def test_the_record_shows_the_accumulator_of_a_cpu(made):
    """The other control: on a CPU, sums over samples do accumulate in float64."""
    fit(None, dtype="float32")
    assert not made  # NumPy's, so strict made none
    put = strict.asarray
    sx.Trainer(epochs=1, device=None, batch_size=16).fit(put(X), put(Y), validation=(put(X), put(Y)))
    assert any("float64" in dtype for dtype in made)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_no_optimizer_makes_float64(accelerator, made, optimizer):
    model, _ = fit(accelerator, optimizer=optimizer)
    assert made
    assert not [dtype for dtype in made if "float64" in dtype]
    assert model.params.weight.dtype == strict.float32


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": sx.CrossEntropy(label_smoothing=0.1, class_weight=(1.0, 2.0, 3.0, 4.0), temperature=2.0)},
        {"loss": sx.CrossEntropy(ignore_index=-1)},
        {"penalty": sx.L2(0.1), "clipping": sx.ClipByGlobalNorm(0.1), "averaging": sx.ExponentialAverage(0.9)},
        {"clipping": sx.ClipByValue(0.1), "averaging": sx.UniformAverage(2), "schedule": sx.Cosine()},
        {"standardize": True, "initial_scale": 0.1},
        {"sample_weight": np.linspace(0.0, 1.0, 40)},
        {"y": SOFT},
        {"y": SOFT.astype("float64"), "sample_weight": np.linspace(0.0, 1.0, 40)},
        {"optimizer": sx.SGD(np.float64(0.1)), "fit_intercept": False},
        {"verbose": True},
    ],
    ids=lambda settings: ", ".join(settings),
)
def test_no_option_makes_float64(accelerator, made, settings):
    fit(accelerator, **settings)
    assert made
    assert not [dtype for dtype in made if "float64" in dtype]


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float32"])
def test_integer_features_are_computed_in_float32(accelerator, made, dtype):
    trainer = sx.Trainer(epochs=2, batch_size=16, device=accelerator)
    features = np.abs(X * 2).astype(dtype)
    model, _ = trainer.fit(features, Y, validation=(features, Y))
    assert not [each for each in made if "float64" in each]
    assert model.params.weight.dtype == strict.float32


def test_float32_stays_float32_on_every_backend(backend):
    settings = {"epochs": 2, "batch_size": 16, "device": None, "optimizer": sx.Adam(), "standardize": True}
    X_there, y_there = backend.asarray(X), backend.asarray(Y)
    model, _ = sx.Trainer(**settings, averaging=sx.ExponentialAverage()).fit(X_there, y_there)
    arrays = [*model.params, model.predict_proba(X_there), model.predict_log_proba(X_there)]
    assert {backend.to_numpy(array).dtype for array in arrays} == {np.dtype("float32")}
    _, dW = sx.softmax_loss(model.params.weight, X_there, y_there, 0.1)
    assert backend.to_numpy(dW).dtype == np.float32
