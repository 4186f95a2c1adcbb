# SPDX-License-Identifier: BSD-3-Clause
"""A run that is stopped and resumed ends with the bits of one that was not."""

import os
import signal
import sys

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.data import shuffled
from softmax_xp.errors import CheckpointCorruptError, CheckpointMismatchError, TrainingDivergedError
from softmax_xp.optimizers import OPTIMIZERS
from softmax_xp.schedules import SCHEDULES
from softmax_xp.training.keeper import Keeper

RNG = np.random.default_rng(11)
X = RNG.standard_normal((90, 6)).astype("float32")
Y = np.argmax(X[:, :4] + RNG.standard_normal((90, 4)), axis=1)
VALIDATION = X[::3], Y[::3]
WEIGHT = RNG.uniform(0.5, 2.0, 90)


class Killed(BaseException):
    """Stands for a signal that cannot be caught."""


def fit(folder=None, *, X=X, checkpoint=None, weighted=False, **settings):
    settings = {"optimizer": sx.Adam(0.02), "epochs": 3, "batch_size": 16, "device": "cpu", "seed": 4} | settings
    if folder is not None:
        settings["checkpoint"] = checkpoint or sx.Checkpoint(folder, every_steps=1)
    weight = WEIGHT if weighted else None
    return sx.Trainer(**settings).fit(X, Y, sample_weight=weight, validation=VALIDATION)


def bits(found):
    model, history = found
    bias = model.params.bias
    rows = [{name: value for name, value in row.items() if "second" not in name} for row in history]
    return model.params.weight.tobytes(), None if bias is None else bias.tobytes(), rows, history.status


def fit_killed_after(saves, folder, **settings):
    """Fit until so many checkpoints have been written, and die."""
    count, save = 0, Keeper.save

    def counting(self, state, **how):
        nonlocal count
        save(self, state, **how)
        count += 1
        if count == saves:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "save", counting)
        with pytest.raises(Killed):
            fit(folder, **settings)


def test_samples_in_storage_resume_with_the_same_bits_and_other_samples_do_not(tmp_path):
    np.save(tmp_path / "X.npy", X)
    stored = sx.open_source(tmp_path / "X.npy")
    undisturbed = bits(fit(X=stored))
    for number, saves in enumerate((2, 7, 17)):
        fit_killed_after(saves, tmp_path / str(number), X=stored)
        assert bits(fit(tmp_path / str(number), X=stored)) == undisturbed
    np.save(tmp_path / "Z.npy", X[::-1])
    with pytest.raises(CheckpointMismatchError, match="another X"):
        fit(tmp_path / "0", X=sx.open_source(tmp_path / "Z.npy"))


def test_the_same_samples_in_another_order_are_another_fit(tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", X)
    stored = sx.open_source(tmp_path / "X.npy")
    fit_killed_after(2, tmp_path / "run", X=stored)
    monkeypatch.setattr(shuffled, "_BLOCKS", 2)  # as if the storage had so many more rows than a window
    monkeypatch.setattr(shuffled, "_BLOCK_BYTES", 256)
    with pytest.raises(CheckpointMismatchError, match="another order"):
        fit(tmp_path / "run", X=stored)


@pytest.mark.parametrize("kernels", ["0", "1", "numba"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_resumes_with_the_same_bits(tmp_path, monkeypatch, name, kernels):
    if kernels == "numba":
        pytest.importorskip("numba")
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", kernels)
    undisturbed = bits(fit(optimizer=OPTIMIZERS[name]))
    # In the middle of an epoch, at its last step, after it, and when all is done: 6 steps make an epoch.
    for number, saves in enumerate((2, 6, 7, 17, 19)):
        fit_killed_after(saves, tmp_path / str(number), optimizer=OPTIMIZERS[name])
        assert bits(fit(tmp_path / str(number), optimizer=OPTIMIZERS[name])) == undisturbed


CASES = {
    "sample weights": {"weighted": True},
    "averaging": {"averaging": sx.ExponentialAverage()},
    "uniform average": {"averaging": sx.UniformAverage(start=3)},
    "clipping": {"clipping": sx.ClipByGlobalNorm(0.1)},
    "no bias": {"fit_intercept": False},
    "drop last": {"drop_last": True},
    "in order": {"shuffle": False},
    "standardized": {"standardize": True},
    "float64": {"dtype": "float64"},
    "elastic net": {"penalty": sx.ElasticNet(1e-3, 1e-3)},
    "random start": {"initial_scale": 0.5},
    **{f"schedule {name}": {"schedule": schedule} for name, schedule in SCHEDULES.items()},
    "impatient plateau": {"schedule": sx.Plateau(patience=0, threshold=0.2)},
}


@pytest.mark.parametrize("case", CASES)
def test_everything_that_a_trainer_offers_resumes_with_the_same_bits(tmp_path, case):
    undisturbed = bits(fit(**CASES[case]))
    for saves in (4, 13):
        fit_killed_after(saves, tmp_path / str(saves), **CASES[case])
        assert bits(fit(tmp_path / str(saves), **CASES[case])) == undisturbed


# Marked by hand: the name of a library in this call would mark the whole file, which takes a minute.
@pytest.mark.optional_library
@pytest.mark.parametrize("device", ["torch:cpu", "jax"])
def test_other_libraries_resume_with_the_same_bits(tmp_path, device):
    pytest.importorskip(device.partition(":")[0])

    def found(result):
        return np.asarray(result[0].params.weight).tobytes(), np.asarray(result[0].params.bias).tobytes()

    undisturbed = found(fit(device=device))
    fit_killed_after(8, tmp_path, device=device)
    assert found(fit(tmp_path, device=device)) == undisturbed


def test_callbacks_go_on_from_what_they_remember(tmp_path):
    def settings():
        stopping = sx.EarlyStopping("validation_loss", patience=1, min_delta=0.2)
        return {"epochs": 12, "callbacks": [sx.BestWeights("validation_accuracy"), stopping]}

    undisturbed = settings()
    expected = bits(fit(**undisturbed))
    assert expected[3] == "stopped"
    for saves in (5, 10, len(expected[2]) * 6):
        resumed = settings()
        fit_killed_after(saves, tmp_path / str(saves), **resumed)
        assert bits(fit(tmp_path / str(saves), **resumed)) == expected
        assert resumed["callbacks"][0].best_epoch == undisturbed["callbacks"][0].best_epoch


def test_a_finished_fit_is_not_made_again(tmp_path, monkeypatch):
    stop = [sx.EarlyStopping("train_loss", patience=0, min_delta=9.0), sx.BestWeights("train_loss")]
    first = bits(fit(tmp_path, callbacks=stop))
    assert first[3] == "stopped"
    monkeypatch.setattr("softmax_xp.training.loop._Run.epoch", None)
    assert bits(fit(tmp_path, callbacks=stop)) == first


def test_without_resume_a_fit_begins_anew(tmp_path):
    undisturbed = bits(fit())
    fit_killed_after(9, tmp_path)
    again = sx.Checkpoint(tmp_path, every_steps=100, resume=False)
    assert bits(fit(tmp_path, checkpoint=again)) == undisturbed


def test_a_path_writes_one_at_the_end(tmp_path):
    found = fit(checkpoint=None, epochs=1)
    trainer = sx.Trainer(optimizer=sx.Adam(0.02), epochs=1, batch_size=16, device="cpu", seed=4, checkpoint=tmp_path)
    for _ in range(2):
        model, _ = trainer.fit(X, Y, validation=(X[::3], Y[::3]))
        assert model.params.weight.tobytes() == found[0].params.weight.tobytes()
    assert len(list(tmp_path.glob("checkpoint-*"))) >= 1


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("optimizer", {"optimizer": sx.Adam(0.03)}),
        ("loss", {"loss": sx.CrossEntropy(label_smoothing=0.1)}),
        ("penalty", {"penalty": sx.L2(1.0)}),
        ("schedule", {"schedule": sx.Cosine()}),
        ("epochs", {"epochs": 4}),
        ("batch_size", {"batch_size": 15}),
        ("seed", {"seed": 5}),
        ("parameters", {"dtype": "float64"}),
        ("parameters", {"fit_intercept": False}),
        ("weights", {"weighted": True}),
        ("callbacks", {"callbacks": [sx.BestWeights()]}),
    ],
)
def test_another_fit_is_refused_by_the_name_of_what_differs(tmp_path, field, changed):
    fit_killed_after(1, tmp_path)
    with pytest.raises(CheckpointMismatchError, match=f"another .*{field} \\("):
        fit(tmp_path, **changed)


def test_other_data_and_classes_are_refused(tmp_path):
    fit_killed_after(1, tmp_path)
    trainer = sx.Trainer(optimizer=sx.Adam(0.02), epochs=3, batch_size=16, device="cpu", seed=4, checkpoint=tmp_path)
    with pytest.raises(CheckpointMismatchError, match=r"another classes \(.*y \(.*validation X \("):
        trainer.fit(X, Y[::-1] + 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send itself these signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_leaves_a_usable_model(tmp_path, number):
    class Signal(sx.Callback):
        sent = False

        def on_epoch_end(self, event):
            if event.epoch == 1 and not self.sent:
                type(self).sent = True
                os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        checkpoint = sx.Checkpoint(tmp_path, every_seconds=1e9, on_sigterm=True)
        model, history = fit(tmp_path, checkpoint=checkpoint, callbacks=[Signal()])
        assert (history.status, len(history)) == ("interrupted", 2)
        assert model.predict(X).shape == (90,)
        assert bits(fit(tmp_path, checkpoint=checkpoint, callbacks=[Signal()])) == bits(fit(callbacks=[Signal()]))
    finally:
        signal.signal(signal.SIGINT, before)


def test_bad_parameters_are_never_saved(tmp_path):
    settings = {"optimizer": sx.SGD(lambda step: 0.1 if step < 8 else np.inf), "epochs": 3}
    with pytest.raises(TrainingDivergedError):
        fit(tmp_path, **settings)
    # It diverges again, from the last good checkpoint, where it did before.
    with pytest.raises(TrainingDivergedError) as error:
        fit(tmp_path, **settings)
    assert np.isfinite(error.value.model.params.weight).all()


class Forgetful(sx.Callback):
    """Writes what it cannot read."""

    def state(self):
        return {"a": 1}

    def restore(self, state):
        state["b"]


def test_a_state_that_does_not_fit_is_a_damaged_checkpoint(tmp_path):
    fit_killed_after(1, tmp_path, callbacks=[Forgetful()])
    with pytest.raises(CheckpointCorruptError, match="must hold states of this fit; got .*KeyError"):
        fit(tmp_path, callbacks=[Forgetful()])


@pytest.mark.parametrize(
    "change",
    [
        {"packed": np.zeros((6, 4), dtype="float32")},
        {"packed": np.zeros((7, 4), dtype="float64")},
        {"packed": 1.0},
        {"good": None},
        {"epoch": -1},
        {"epoch": 4},
        {"epoch": "1"},
        {"position": 91},
        {"position": 0.5},
        {"meter": {}},
        {"history": [1]},
        {"callbacks": [{}]},
        {"monitored": None},
        {"seconds": "1"},
    ],
)
def test_a_state_of_another_form_is_a_damaged_checkpoint(tmp_path, change):
    save = Keeper.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "save", lambda self, state, **how: save(self, {**state, **change}, **how))
        fit(tmp_path)
    with pytest.raises(CheckpointCorruptError, match="must hold states of this fit"):
        fit(tmp_path)


def test_a_kernel_looks_no_further_ahead_than_the_epoch_that_is_resumed(tmp_path, monkeypatch):
    """A plateau may change the learning rate between two epochs, so a table of rates must end with the epoch."""
    seen = []

    class Declining:
        def begin_epoch(self, state, n_steps):
            seen.append((state.count, n_steps))

        def step(self, packed, grads, state):
            return None

    monkeypatch.setattr("softmax_xp.training.loop.find_fused_update", lambda *arguments: Declining())
    fit_killed_after(8, tmp_path)
    seen.clear()
    fit(tmp_path)
    assert seen == [(8, 4), (12, 6)]
