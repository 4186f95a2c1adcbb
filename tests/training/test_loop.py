# SPDX-License-Identifier: BSD-3-Clause
"""How a run ends: diverged, interrupted, stopped by an error; and what the model is then."""

import pickle

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.errors import TrainingDivergedError
from softmax_xp.kernels.numpy import linear_steps
from softmax_xp.training import loop, progress
from tests.training.samples import blobs

X, Y = blobs(60)


@pytest.fixture(params=["kernels", "definition"], autouse=True)
def steps(request, monkeypatch):
    """Every run ends alike, whoever takes its steps."""
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", str(int(request.param == "kernels")))
    return request.param


def fit(X=X, y=Y, **settings):
    defaults = {"optimizer": sx.SGD(0.5), "epochs": 4, "batch_size": 20, "device": "cpu", "shuffle": False}
    return sx.Trainer(**(defaults | settings)).fit(X, y)


def flat(model):
    return np.vstack([model.params.weight, model.params.bias])


def steep_from(step, rate=np.inf):
    """A learning rate that spoils the weights in the given step, so that the loss of the next is not finite."""
    return sx.SGD(lambda count: rate if count == step else 0.5)


def after(n_steps):
    """The weights after some steps, by a run that ends there."""
    kept = []
    original = loop._Run._step

    def spy(run, index):
        original(run, index)
        kept.append(run.carry.packed.copy())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Run, "_step", spy)
        fit()
    return kept[n_steps - 1] if n_steps else np.zeros((6, 3))


@pytest.fixture(params=[False, True], ids=["quiet", "verbose"])
def verbose(request, monkeypatch):
    monkeypatch.setattr(progress, "_REPORTING_INTERVAL", 0.0)  # a look at every step
    return request.param


class TestDivergence:
    @pytest.mark.parametrize(
        ("spoilt", "step", "good", "epochs"),
        [
            (0, 1, 0, 0),  # in the first epoch: back to where it started
            (1, 2, 0, 0),
            (2, 3, 0, 1),  # by the last step of an epoch: the next one starts badly, so back by an epoch
            (3, 4, 3, 1),  # in the second epoch: back to its start
            (4, 5, 3, 1),
            (5, 6, 3, 2),
            (8, 9, 6, 3),
            (11, 12, 9, 4),  # by the very last step of the run
        ],
    )
    def test_it_names_the_step_and_keeps_the_last_good_weights(self, verbose, spoilt, step, good, epochs):
        with pytest.raises(TrainingDivergedError) as caught:
            fit(optimizer=steep_from(spoilt), verbose=verbose)
        error = caught.value
        # The rate is that of the step whose loss was bad; there is none after the last.
        rate = "inf" if spoilt == 11 else "0.5"
        assert str(error) == (
            f"The loss must stay finite; at step {step} (counted from 0), with learning rate {rate}, it was not. "
            "Pass a smaller learning rate, standardize=True or clipping=ClipByGlobalNorm(1.0). "
            "The error's `model` has the last good weights."
        )
        assert error.step == step
        assert error.history.status == "diverged"
        assert len(error.history) == epochs
        np.testing.assert_array_equal(flat(error.model), after(good))
        assert np.isfinite(error.model.predict_log_proba(X)).all()

    def test_a_rate_at_which_it_always_diverges_is_named(self):
        with pytest.raises(TrainingDivergedError, match=r"at step 1 .* learning rate 1e\+200, it was not"):
            fit(X * 1e200, optimizer=sx.SGD(1e200))

    @pytest.mark.parametrize("batch_size", [20, 60])
    @pytest.mark.parametrize("epochs", [1, 3])
    def test_huge_features_diverge_and_leave_a_finite_model(self, verbose, batch_size, epochs):
        with pytest.raises(TrainingDivergedError, match="at step 1 .*standardize=True") as caught:
            fit(X * 1e300 / np.abs(X).max(), batch_size=batch_size, epochs=epochs, verbose=verbose)
        np.testing.assert_array_equal(flat(caught.value.model), 0.0)

    def test_a_bad_start_blames_the_features(self):
        with pytest.raises(TrainingDivergedError, match=r"at step 0 .*The features may be too large: pass standardize"):
            fit(X * (3e38 / np.abs(X).max()), dtype="float32", initial_scale=10.0)

    def test_the_step_before_the_bad_one_may_be_any(self, backend):
        """The same step and weights on every backend."""
        with pytest.raises(TrainingDivergedError) as caught:
            fit(backend.asarray(X), backend.asarray(Y), optimizer=steep_from(4), device=None)
        assert caught.value.step == 5
        np.testing.assert_allclose(
            backend.to_numpy(caught.value.model.params.weight), after(3)[:5], rtol=1e-12, atol=1e-15
        )

    def test_averages_are_good_weights_too(self):
        with pytest.raises(TrainingDivergedError) as caught:
            fit(optimizer=steep_from(4), averaging=sx.UniformAverage())
        average = (after(1) + after(2) + after(3)) / 3
        np.testing.assert_allclose(flat(caught.value.model), average, rtol=1e-12)

    def test_callbacks_do_not_get_the_last_word(self):
        class Spoiler(sx.Callback):
            def on_fit_end(self, event):
                raise AssertionError

        with pytest.raises(TrainingDivergedError):
            fit(optimizer=steep_from(4), callbacks=[Spoiler()])

    def test_a_stop_does_not_hide_a_bad_last_step(self):
        class Stopper(sx.Callback):
            def on_epoch_end(self, event):
                return event.epoch == 1

        with pytest.raises(TrainingDivergedError, match="at step 6 ") as caught:
            fit(optimizer=steep_from(5), callbacks=[Stopper()])
        np.testing.assert_array_equal(flat(caught.value.model), after(3))

    def test_the_error_survives_pickling(self):
        with pytest.raises(TrainingDivergedError) as caught:
            fit(optimizer=steep_from(4))
        twin = pickle.loads(pickle.dumps(caught.value))
        assert (str(twin), twin.step) == (str(caught.value), 5)
        np.testing.assert_array_equal(flat(twin.model), flat(caught.value.model))
        assert twin.history.rows == caught.value.history.rows

    def test_it_can_be_caught_as_an_arithmetic_error(self):
        with pytest.raises(ArithmeticError):
            fit(optimizer=steep_from(1))

    def test_a_finite_run_is_left_in_peace(self, verbose):
        model, history = fit(verbose=verbose)
        assert history.status == "completed"
        np.testing.assert_array_equal(flat(model), after(12))


class TestInterrupt:
    @pytest.mark.parametrize("n_steps", [0, 1, 3, 5, 11])
    @pytest.mark.parametrize("where", ["before", "within"])
    def test_within_a_step_it_leaves_the_weights_of_the_last_full_one(
        self, monkeypatch, caplog, verbose, n_steps, where
    ):
        expected = after(n_steps)
        calls = []
        original = loop._Run._step

        def interrupted_step(run, index):
            calls.append(1)
            if where == "before" and len(calls) == n_steps + 1:
                raise KeyboardInterrupt
            original(run, index)

        def interrupting(apply):
            def interrupted_update(*args):
                result = apply(*args)
                if where == "within" and len(calls) == n_steps + 1:
                    raise KeyboardInterrupt
                return result

            return interrupted_update

        monkeypatch.setattr(loop._Run, "_step", interrupted_step)
        monkeypatch.setattr(loop, "apply_updates", interrupting(loop.apply_updates))
        monkeypatch.setattr(linear_steps, "update", interrupting(linear_steps.update))
        model, history = fit(verbose=verbose)
        assert history.status == "interrupted"
        assert len(history) == n_steps // 3
        np.testing.assert_array_equal(flat(model), expected)
        assert model.predict(X).shape == (60,)
        assert f"Training was interrupted in epoch {n_steps // 3}; the model has the weights" in caplog.text

    def test_in_a_callback_it_leaves_those_of_the_epoch(self):
        class Interrupter(sx.Callback):
            def on_epoch_end(self, event):
                if event.epoch == 1:
                    raise KeyboardInterrupt

        model, history = fit(callbacks=[Interrupter()])
        assert (history.status, len(history)) == ("interrupted", 2)
        np.testing.assert_array_equal(flat(model), after(6))

    def test_averages_are_those_of_the_full_steps(self, monkeypatch):
        expected = (after(1) + after(2)) / 2
        original = loop._Run._step
        calls = []

        def interrupted_step(run, index):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            original(run, index)

        monkeypatch.setattr(loop._Run, "_step", interrupted_step)
        model, _ = fit(averaging=sx.UniformAverage())
        np.testing.assert_allclose(flat(model), expected, rtol=1e-13)

    @pytest.mark.parametrize("averaging", [None, sx.UniformAverage()])
    def test_weights_that_went_bad_unread_are_not_the_model(self, monkeypatch, averaging):
        original = loop._Run._step
        calls = []

        def interrupted_step(run, index):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            original(run, index)

        monkeypatch.setattr(loop._Run, "_step", interrupted_step)
        model, history = fit(optimizer=sx.SGD(1e308), penalty=sx.L2(1.0), averaging=averaging)
        assert history.status == "interrupted"
        np.testing.assert_array_equal(flat(model), after(0))

    def test_best_weights_still_have_the_last_word(self):
        class Interrupter(sx.Callback):
            def on_epoch_end(self, event):
                if event.epoch == 2:
                    raise KeyboardInterrupt

        best = sx.BestWeights("train_loss")
        model, _ = fit(callbacks=[best, Interrupter()])
        assert best.best_epoch == 2
        np.testing.assert_array_equal(flat(model), after(9))


def test_a_step_changes_none_of_its_arguments():
    kept = []
    original = loop._Run._step

    def spy(run, index):
        carry = run.carry
        before = [array.copy() for array in (carry.packed, carry.optimizer_state.trace, index)]
        original(run, index)
        after = (carry.packed, carry.optimizer_state.trace, index)
        kept.append(all(np.array_equal(old, new) for old, new in zip(before, after, strict=True)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Run, "_step", spy)
        fit(optimizer=sx.SGD(0.5, momentum=0.9))
    assert kept == [True] * 12


def test_the_host_computes_what_comes_next_before_it_waits(monkeypatch, steps):
    """The next order, and the numbers of the next steps, are made while the device works on those before."""
    events = []
    order, read, step = loop.row_order, loop.Meter.read, loop._Run._step
    monkeypatch.setattr(loop, "row_order", lambda X, seed, number: events.append("order") or order(X, seed, number))
    monkeypatch.setattr(loop.Meter, "read", lambda meter: events.append("wait") or read(meter))
    monkeypatch.setattr(loop._Run, "_step", lambda run, index: events.append("steps") or step(run, index))
    if steps == "kernels":
        monkeypatch.setattr(linear_steps.LinearSteps, "steps_at_once", 2)
    rate = lambda count: events.append("rate") or 0.1  # noqa: E731
    fit(optimizer=sx.SGD(rate), epochs=3, shuffle=True)
    # The first is asked for once beforehand, and each epoch's history asks for the last.
    calls = ["steps", "rate", "rate", "steps", "rate"] if steps == "kernels" else ["steps", "rate"] * 3
    first, middle, last = events.index("steps"), ["order", "wait", "rate"], ["wait", "rate"]
    assert events[first:-2] == [*calls, *middle, *calls, *middle, *calls, *last]
    assert events[:first].count("order") == 1


def test_without_memory_for_its_buffers_a_kernel_is_given_up(monkeypatch, caplog, steps):
    settings = {"optimizer": sx.Adam(0.1), "batch_size": 16, "penalty": sx.L2(0.1)}
    expected, history = fit(**settings)
    original, calls = linear_steps.LinearSteps.run, []

    def run(self, packed, accumulators, order, **options):
        calls.append(len(order))
        if len(calls) == 3:
            raise MemoryError
        return original(self, packed, accumulators, order, **options)

    monkeypatch.setattr(linear_steps.LinearSteps, "run", run)
    model, other_history = fit(**settings)
    np.testing.assert_allclose(flat(model), flat(expected), rtol=1e-12)
    assert other_history.rows[-1]["train_loss"] == pytest.approx(history.rows[-1]["train_loss"], rel=1e-12)
    assert len(calls) == len(caplog.records) * 3 == (3 if steps == "kernels" else 0)


@pytest.mark.parametrize("steps", ["kernels"], indirect=True)
def test_several_steps_of_a_kernel_that_is_given_up_are_taken_one_by_one(monkeypatch):
    expected, _ = fit()

    def run(*_, **__):
        raise MemoryError

    monkeypatch.setattr(linear_steps.LinearSteps, "run", run)
    monkeypatch.setattr(linear_steps.LinearSteps, "steps_at_once", 2)
    model, _ = fit()
    np.testing.assert_allclose(flat(model), flat(expected), rtol=1e-12)
