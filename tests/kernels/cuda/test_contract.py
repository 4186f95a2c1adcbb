# SPDX-License-Identifier: BSD-3-Clause
"""The CUDA kernels behind the table's signatures, run by the CPU: they stand in for the definitions."""

from functools import partial

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.errors import TrainingDivergedError
from softmax_xp.kernels.cuda import contract
from softmax_xp.kernels.cuda.contract import EpochSteps, make_linear_steps, softmax_cross_entropy
from softmax_xp.ops import cross_entropy
from softmax_xp.training import fused_steps
from tests.kernels.cuda.shim.fixtures import needs_compiler
from tests.kernels.cuda.shim.launcher import ShimLauncher

pytestmark = needs_compiler

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((40, 4)).astype("float32")
Y = (X @ RANDOM.standard_normal((4, 3))).argmax(axis=1)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_loss_has_the_signature_of_the_definition(monkeypatch, label_smoothing):
    logits, labels = RANDOM.standard_normal((5, 7)), RANDOM.integers(0, 7, 5)
    options = {"sample_weight": RANDOM.random(5), "scale": 0.5, "label_smoothing": label_smoothing}
    expected = cross_entropy.softmax_cross_entropy(logits, labels, overwrite_logits=False, **options)
    kernel = partial(softmax_cross_entropy, launcher=ShimLauncher())
    monkeypatch.setattr(cross_entropy, "find_kernel", lambda name, array: kernel)
    ours = cross_entropy.softmax_cross_entropy(logits, labels, overwrite_logits=False, **options)
    for mine, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("options", [{"axis": 0}, {"layout": "F"}])
def test_the_loss_declines_what_lies_otherwise(options):
    logits = np.asarray(RANDOM.standard_normal((3, 4)), order=options.pop("layout", "C"))
    assert softmax_cross_entropy(logits, np.zeros(3, int), launcher=ShimLauncher(), **options) is None


@pytest.fixture
def on_cuda(monkeypatch):
    """Let NumPy's trainings take the steps of CUDA, a few at once."""
    made = []
    monkeypatch.setattr(contract, "_STEPS_AT_ONCE", 3)
    monkeypatch.setattr(EpochSteps, "steps_at_once", 3)

    def make(*args, **kwargs):
        made.append(make_linear_steps(*args, launcher=ShimLauncher(), **kwargs))
        return made[-1]

    monkeypatch.setattr(fused_steps, "find_kernel", lambda name, array: make)
    return made


RUNS = {
    "plain": {},
    "standardised": {"standardize": True},
    "penalty": {"penalty": sx.L2(0.1)},
    "no bias": {"fit_intercept": False, "initial_scale": 0.1},
    "smoothing": {"loss": sx.CrossEntropy(label_smoothing=0.1, class_weight=(1.0, 2.0, 0.5))},
    "weights": {"sample_weight": np.where(np.arange(40) % 3 == 0, 0.0, 1.5).astype("float32")},
    "averaged": {"averaging": sx.UniformAverage()},
}


def trained(*, sample_weight=None, X=X, **settings):
    defaults = {"optimizer": sx.Adam(0.05), "epochs": 3, "batch_size": 6, "seed": 1, "device": "cpu"}
    trainer = sx.Trainer(**(defaults | settings))
    model, history = trainer.fit(X, Y, sample_weight=sample_weight)
    return np.vstack([array for array in model.params if array is not None]), history


@pytest.mark.parametrize("run", RUNS)
def test_training_is_that_of_the_definition(monkeypatch, on_cuda, run):
    ours, history = trained(**RUNS[run])
    assert on_cuda[0] is not None
    monkeypatch.undo()
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", "0")
    expected, reference = trained(**RUNS[run])
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)
    for column in ("step", "train_loss", "train_accuracy"):
        np.testing.assert_allclose(history[column], reference[column], rtol=1e-5)


def test_the_model_and_the_good_weights_outlive_the_steps(on_cuda):
    kept = []

    class Keeper(sx.Callback):
        def on_epoch_end(self, event):
            kept.append((event.params.weight, event.params.weight.copy()))

    trained(callbacks=[Keeper()])
    assert len(kept) == 3
    for given, copied in kept:
        np.testing.assert_array_equal(given, copied)
    assert not np.array_equal(kept[0][0], kept[1][0])


def test_divergence_names_the_step_within_a_run(on_cuda):
    rate = lambda count: np.inf if count == 4 else 0.1  # noqa: E731
    with pytest.raises(TrainingDivergedError, match="at step 5 "):
        trained(optimizer=sx.SGD(rate))


@pytest.mark.parametrize(("n_classes", "dtype"), [(65, "float32"), (3, "int64")])
def test_steps_beyond_the_limits_are_declined(n_classes, dtype):
    given = X.astype(dtype)
    options = {"dtype": "float32", "rule": "sgd", "bias": True, "launcher": ShimLauncher()}
    assert make_linear_steps(given, Y, n_classes=n_classes, **options) is None
    assert make_linear_steps(np.asfortranarray(X), Y, n_classes=3, **options) is None
