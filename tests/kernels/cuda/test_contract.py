# SPDX-License-Identifier: BSD-3-Clause
"""The CUDA kernels behind the table's signatures, run by the CPU: they stand in for the definitions."""

from functools import partial

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.errors import TrainingDivergedError
from softmax_xp.kernels.cuda import contract
from softmax_xp.kernels.cuda.contract import (
    EpochSteps,
    linear_cross_entropy,
    make_linear_steps,
    softmax_cross_entropy,
    update,
)
from softmax_xp.objectives import LinearObjective, one_read
from softmax_xp.ops import cross_entropy
from softmax_xp.optimizers import OPTIMIZERS
from softmax_xp.training import fused_steps, fused_update
from softmax_xp.typing import LinearParams
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
def in_one_read(monkeypatch):
    """Let NumPy's objectives make their passes by the kernel of CUDA; the answers."""
    answers = []

    def kernel(*args, **options):
        answers.append(linear_cross_entropy(*args, launcher=ShimLauncher(), **options))
        return answers[-1]

    monkeypatch.setattr(one_read, "find_kernel", lambda name, array: {"linear_cross_entropy": kernel}.get(name))
    return answers


LOSSES = {
    "plain": sx.CrossEntropy(),
    "class weights": sx.CrossEntropy(class_weight=(1.0, 2.0, 0.5)),
    "all options": sx.CrossEntropy(label_smoothing=0.1, class_weight=(1.0, 2.0, 0.5), ignore_index=2, temperature=1.5),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weight", [None, np.where(np.arange(40) % 3 == 0, 0.0, 1.5)], ids=["even", "weighted"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("stored", ["float64", "float32", "uint8"])
def test_a_pass_in_one_read_is_that_of_the_definition(monkeypatch, in_one_read, loss, weight, bias, stored):
    rows = (np.abs(X) * 50).astype(stored) if stored == "uint8" else X.astype(stored)
    targets = LOSSES[loss].prepare(Y, 3, dtype=np.float64, sample_weight=weight)
    objective = LinearObjective(rows, targets, LOSSES[loss], sx.L2(0.1), np.float64)
    params = LinearParams(RANDOM.standard_normal((4, 3)) / 50, RANDOM.standard_normal(3) if bias else None)
    value, gradient = objective.value_and_gradient(params)
    assert in_one_read[0] is not None
    monkeypatch.undo()
    expected, reference = objective.value_and_gradient(params)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    for mine, other in zip(gradient, reference, strict=True):
        assert (mine is None) is (other is None)
        if other is not None:
            np.testing.assert_allclose(mine, other, rtol=1e-11, atol=1e-13 * np.abs(rows).max())


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
@pytest.mark.parametrize("options", [{}, {"class_weight": "balanced", "fit_intercept": False}], ids=str)
def test_a_convex_fit_in_one_read_is_that_of_the_definition(monkeypatch, in_one_read, solver, options):
    wide = X.astype("float64")
    fit = lambda: sx.SoftmaxClassifier(solver=solver, tol=1e-9, **options).fit(wide, Y)  # noqa: E731
    ours = fit()
    assert len(in_one_read) > 3
    assert None not in in_one_read
    monkeypatch.undo()
    expected = fit()
    assert ours.certificate_.test == expected.certificate_.test == "certificate"
    np.testing.assert_allclose(ours.coef_, expected.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.certificate_.value, expected.certificate_.value, rtol=1e-12)


@pytest.mark.parametrize(
    ("rows", "weight"),
    [
        (np.asfortranarray(X), np.zeros((4, 3), "float32")),
        (X, np.zeros((3, 4), "float32").T),
        (X, np.zeros((4, 33), "float32")),
        (X.astype("int64"), np.zeros((4, 3), "float32")),
        (np.zeros((2, 2000), "float32"), np.zeros((2000, 32), "float32")),
    ],
    ids=["rows of X", "layout of the weight", "classes", "integers", "features"],
)
def test_a_pass_beyond_the_limits_is_declined(rows, weight):
    labels = np.zeros(len(rows), int)
    assert linear_cross_entropy(LinearParams(weight), rows, labels, launcher=ShimLauncher()) is None


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


@pytest.fixture
def updated_on_cuda(monkeypatch):
    """Let NumPy's trainings make their updates by the kernel of CUDA; the answers."""
    answers = []

    def kernel(*args, **options):
        answers.append(update(*args, launcher=ShimLauncher(), **options))
        return answers[-1]

    monkeypatch.setattr(fused_update, "find_kernel", lambda name, array: {"update": kernel}.get(name))
    return answers


CLIPPED = {"clipping": sx.ClipByGlobalNorm(0.5)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_have_the_bits_of_the_optimizers(monkeypatch, updated_on_cuda, name, dtype):
    settings = CLIPPED | {"optimizer": OPTIMIZERS[name], "X": X.astype(dtype)}
    ours, _ = trained(**settings)
    assert len(updated_on_cuda) == 21
    assert None not in updated_on_cuda
    monkeypatch.undo()
    np.testing.assert_array_equal(ours, trained(**settings)[0])


@pytest.mark.parametrize(
    ("params", "grads"),
    [
        (np.zeros((3, 2), np.float16), np.zeros((3, 2), np.float16)),
        (np.zeros((3, 2), order="F"), np.zeros((3, 2))),
        (np.zeros((3, 2)), np.zeros((3, 2), order="F")),
    ],
)
def test_updates_beyond_the_limits_are_declined(params, grads):
    scalars = np.zeros((1, 2), params.dtype)
    assert update("sgd", params, grads, (), scalars, step=0, launcher=ShimLauncher()) is None
