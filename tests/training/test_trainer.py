# SPDX-License-Identifier: BSD-3-Clause
"""The trainer: its settings, and what a fit makes of them."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.data import shuffled
from softmax_xp.data.open_source import open_source
from softmax_xp.data.order import initial_weight
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SmallDataWarning
from softmax_xp.optimizers import OPTIMIZERS
from softmax_xp.schedules import SCHEDULES
from softmax_xp.typing import LinearParams
from tests.training.samples import blobs, reference_loss


def fit(*data, initial=None, sample_weight=None, validation=None, classes=None, **settings):
    """Train on NumPy for a few epochs."""
    trainer = sx.Trainer(**({"optimizer": sx.SGD(0.5), "epochs": 3, "batch_size": 30, "device": "cpu"} | settings))
    data = data or blobs()
    return trainer.fit(*data, initial=initial, sample_weight=sample_weight, validation=validation, classes=classes)


def weights(*data, **settings):
    model, _ = fit(*data, **settings)
    return np.vstack([model.params.weight, model.params.bias])


class TestSettings:
    def test_a_trainer_is_a_value(self):
        trainer = sx.Trainer(optimizer=sx.Adam(1e-2), penalty=sx.L2(0.1), callbacks=(), clipping=sx.ClipByValue(1.0))
        for twin in (pickle.loads(pickle.dumps(trainer)), copy.deepcopy(trainer), dataclasses.replace(trainer)):
            assert twin == trainer
            assert hash(twin) == hash(trainer)
        assert dataclasses.replace(trainer, seed=1) != trainer
        assert eval(repr(trainer), vars(sx)) == trainer  # noqa: S307  the text is ours
        with pytest.raises(dataclasses.FrozenInstanceError):
            trainer.epochs = 3

    @pytest.mark.parametrize("name", ["epochs", "batch_size"])
    def test_counts_are_integers_of_at_least_one(self, name):
        with pytest.raises(InvalidTypeError, match=f"`{name}` must be an integer; got 2.0."):
            sx.Trainer(**{name: 2.0})
        with pytest.raises(InvalidTypeError, match=f"`{name}` must be an integer; got True."):
            sx.Trainer(**{name: True})
        with pytest.raises(InvalidValueError, match=f"`{name}` must be at least 1; got 0."):
            sx.Trainer(**{name: 0})
        assert getattr(sx.Trainer(**{name: np.int64(4)}), name) == 4

    @pytest.mark.parametrize(
        ("name", "example", "wrong"),
        [
            ("optimizer", "Adam(1e-3)", "adam"),
            ("optimizer", "Adam(1e-3)", sx.Adam),
            ("optimizer", "Adam(1e-3)", None),
            ("loss", "CrossEntropy()", "log"),
            ("loss", "CrossEntropy()", sx.CrossEntropy),
            ("penalty", "L2(1e-5)", 1e-5),
            ("schedule", "Cosine()", "cosine"),
            ("schedule", "Cosine()", sx.Cosine),
            ("clipping", "ClipByGlobalNorm(1.0)", 1.0),
            ("averaging", "ExponentialAverage()", 0.9),
        ],
    )
    def test_parts_are_instances(self, name, example, wrong):
        with pytest.raises(InvalidTypeError) as caught:
            sx.Trainer(**{name: wrong})
        assert str(caught.value) == f"`{name}` must be an instance such as {example}; got {wrong!r}."

    def test_one_callback_is_no_sequence_of_them(self):
        with pytest.raises(InvalidTypeError, match=r"`callbacks` must be a sequence .*Pass \[BestWeights\("):
            sx.Trainer(callbacks=sx.BestWeights())

    @pytest.mark.parametrize("seed", [-1, 1.5, None, True])
    def test_a_seed_is_an_integer_of_at_least_zero(self, seed):
        with pytest.raises(InvalidValueError, match=f"`seed` must be an integer >= 0; got {seed}."):
            sx.Trainer(seed=seed)

    @pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf")])
    def test_the_initial_scale_is_finite(self, scale):
        with pytest.raises(InvalidValueError, match=f"`initial_scale` must be finite and >= 0; got {scale}."):
            sx.Trainer(initial_scale=scale)


class TestEpochsAndBatches:
    def test_the_history_has_a_row_for_each_epoch(self):
        _, history = fit(epochs=4, batch_size=40)
        assert history.columns == (
            "epoch",
            "step",
            "learning_rate",
            "train_loss",
            "train_accuracy",
            "seconds",
            "samples_per_second",
        )
        assert history["epoch"] == [0, 1, 2, 3]
        assert history["step"] == [3, 6, 9, 12]
        assert history.status == "completed"
        assert history["seconds"] == sorted(history["seconds"])
        assert min(history["samples_per_second"]) > 0

    def test_it_is_gradient_descent(self):
        X, y = blobs()
        weight, bias = np.zeros((5, 3)), np.zeros(3)
        for start in list(range(0, 90, 40)) * 2:
            rows, targets = X[start : start + 40], np.eye(3)[y[start : start + 40]]
            probabilities = sx.softmax(rows @ weight + bias)
            weight = weight - 0.5 * (rows.T @ (probabilities - targets) / len(rows) + 0.1 * weight)
            bias = bias - 0.5 * (probabilities - targets).mean(axis=0)
        ours = weights(X, y, epochs=2, batch_size=40, shuffle=False, penalty=sx.L2(0.1))
        np.testing.assert_allclose(ours, np.vstack([weight, bias]), rtol=1e-12)

    def test_order_depends_on_the_seed_and_nothing_else(self):
        np.testing.assert_array_equal(weights(seed=3), weights(seed=3))
        assert not np.array_equal(weights(seed=3), weights(seed=4))
        assert not np.array_equal(weights(seed=3), weights(seed=3, shuffle=False))

    def test_fewer_samples_than_a_batch_are_one_batch_and_a_warning(self):
        text = "`batch_size` is 256 and there are 90 samples: each step uses all of them."
        with pytest.warns(SmallDataWarning, match=text) as caught:
            _, history = fit(batch_size=256)
        assert caught[0].filename == __file__
        assert history["step"] == [1, 2, 3]

    def test_nothing_but_a_dropped_batch_is_an_error(self):
        with pytest.raises(InvalidValueError, match=r"at most the 90 samples with drop_last=True; got 91. No step"):
            fit(batch_size=91, drop_last=True)
        assert fit(batch_size=90, drop_last=True)[1]["step"] == [1, 2, 3]

    def test_a_dropped_batch_leaves_out_other_samples_in_each_epoch(self):
        _, y = blobs(50)
        # With 50 samples in batches of 49, one is left out. Which one, the weights of a one-hot design tell.
        hot = np.eye(50)
        model, history = fit(hot, y, batch_size=49, drop_last=True, epochs=1, fit_intercept=False)
        untouched = np.flatnonzero(np.all(model.params.weight == 0.0, axis=1))
        assert len(untouched) == 1
        again, _ = fit(hot, y, batch_size=49, drop_last=True, epochs=2, fit_intercept=False)
        assert np.all(np.any(again.params.weight != 0.0, axis=1))
        assert history["step"] == [1]

    def test_epochs_do_not_depend_on_how_many_follow(self):
        kept = []

        class Keeper(sx.Callback):
            def on_epoch_end(self, event):
                kept.append(event.params.weight)

        fit(epochs=4, callbacks=[Keeper()])
        np.testing.assert_array_equal(kept[1], fit(epochs=2)[0].params.weight)


class TestOptimizersAndSchedules:
    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_every_optimizer_learns(self, name):
        rate = {"adadelta": 1.0}.get(name, 0.05)
        _, history = fit(optimizer=dataclasses.replace(OPTIMIZERS[name], learning_rate=rate), epochs=20)
        assert history["train_loss"][-1] < 0.8 * history["train_loss"][0]

    @pytest.mark.parametrize("name", SCHEDULES)
    def test_schedules_apply_at_each_step(self, name):
        asked = []

        def rate(step):
            asked.append(step)
            return 0.5

        schedule = SCHEDULES[name]
        _, history = fit(optimizer=sx.SGD(rate), schedule=schedule, epochs=3)
        assert set(asked) >= set(range(9))
        # Nine steps by hand, each with its own rate; plateau has nothing to do in three epochs.
        X, y = blobs()
        from softmax_xp.data.order import epoch_order
        from softmax_xp.schedules import Progress

        W = np.zeros((6, 3))
        rates = [0.5 * schedule.factor(Progress(step, 9, 3, ())) for step in range(9)]
        for step, step_rate in enumerate(rates):
            batch = epoch_order(0, step // 3, 90)[30 * (step % 3) :][:30]
            rows = np.hstack([X[batch], np.ones((30, 1))])
            W = W - step_rate * sx.softmax_loss(W, rows, y[batch])[1]
        np.testing.assert_allclose(weights(schedule=schedule, epochs=3), W, rtol=1e-10, atol=1e-14)
        assert history["learning_rate"] == pytest.approx([rates[2], rates[5], rates[8]])

    def test_a_plateau_watches_the_validation_loss(self):
        X, y = blobs()
        plateau = sx.Plateau(gamma=0.5, patience=0)
        # Validation labels that are wrong: the better the fit, the worse their loss.
        _, history = fit(X, y, validation=(X, (y + 1) % 3), schedule=plateau, epochs=4)
        assert history["learning_rate"] == [0.5, 0.5, 0.25, 0.125]
        _, history = fit(X, y, schedule=plateau, epochs=4)
        assert history["learning_rate"] == [0.5] * 4

    def test_the_users_optimizer_is_not_touched(self):
        optimizer = sx.Adam(0.1)
        before = copy.deepcopy(optimizer)
        fit(optimizer=optimizer, schedule=sx.Cosine())
        assert optimizer == before

    def test_clipping_bounds_the_step(self):
        X, y = blobs()
        free, clipped = (weights(X * 1e3, y, epochs=1, batch_size=90, clipping=c) for c in (None, sx.ClipByValue(0.01)))
        assert np.abs(free).max() > 1.0
        assert np.abs(clipped).max() == pytest.approx(0.005)

    @pytest.mark.parametrize("averaging", [sx.ExponentialAverage(0.5), sx.UniformAverage()], ids=repr)
    def test_the_model_and_each_validation_have_averaged_weights(self, averaging):
        X, y = blobs()
        path = [weights(X, y, epochs=n, batch_size=90) for n in (1, 2, 3)]
        state = averaging.init(np.zeros((6, 3)))
        for step in path:
            state = averaging.update(state, step)
        seen = []

        class Keeper(sx.Callback):
            def on_epoch_end(self, event):
                seen.append(event.params)

        model, history = fit(X, y, validation=(X, y), averaging=averaging, batch_size=90, callbacks=[Keeper()])
        average = averaging.value(state)
        np.testing.assert_allclose(np.vstack([model.params.weight, model.params.bias]), average, rtol=1e-12)
        np.testing.assert_array_equal(seen[-1].weight, model.params.weight)
        assert history["validation_loss"][-1] == pytest.approx(reference_loss(average[:5], average[5], X, y))
        assert np.abs(average - path[-1]).max() > 0.01


class TestPenaltyInterceptAndStart:
    def test_the_penalty_has_a_column_of_its_own(self):
        X, y = blobs()
        model, history = fit(X, y, penalty=sx.L2(0.5))
        assert history["penalty"][-1] == pytest.approx(0.25 * np.sum(model.params.weight**2), rel=1e-12)
        strong, _ = fit(X, y, penalty=sx.L2(1.0))
        assert np.linalg.norm(strong.params.weight) < np.linalg.norm(model.params.weight)

    def test_a_model_may_lack_a_bias(self):
        model, _ = fit(fit_intercept=False)
        assert model.params.bias is None

    def test_it_starts_from_zero_or_from_the_seeds_numbers(self):
        still = {"optimizer": sx.SGD(0.0), "epochs": 1}
        np.testing.assert_array_equal(weights(**still), 0.0)
        drawn = weights(**still, initial_scale=0.1, seed=5)
        np.testing.assert_array_equal(drawn, np.vstack([initial_weight(5, 5, 3, 0.1), np.zeros(3)]))
        assert 0.03 < drawn[:5].std() < 0.3

    def test_or_from_given_weights_on_any_device(self, backend):
        half, _ = fit(epochs=2, shuffle=False)
        given = LinearParams(*map(backend.asarray, half.params))
        np.testing.assert_array_equal(weights(initial=given, epochs=1, shuffle=False), weights(epochs=3, shuffle=False))

    def test_initial_weights_must_fit(self):
        with pytest.raises(
            InvalidValueError, match=r"`initial` must hold .*\(\(5, 3\), \(3,\)\); got \(\(5, 3\), None"
        ):
            fit(initial=LinearParams(np.zeros((5, 3))))
        with pytest.raises(InvalidValueError, match=r"`initial` .*\(\(5, 3\), None\); got \(\(5, 2\), None"):
            fit(initial=LinearParams(np.zeros((5, 2))), fit_intercept=False)


class TestStandardize:
    def test_it_is_what_standardized_data_give(self):
        X, y = blobs()
        X = X * [1e-3, 1.0, 1e3, 1e6, 1.0] + [0.0, 5.0, -1e4, 0.0, 0.0]
        X[:, 4] = 7.0  # a constant column
        model, _ = fit(X, y, standardize=True)
        scale = np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
        by_hand, _ = fit((X - X.mean(axis=0)) / scale, y)
        np.testing.assert_allclose(model.params.weight, by_hand.params.weight, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(
            model.predict_proba(X), by_hand.predict_proba((X - X.mean(axis=0)) / scale), rtol=1e-8
        )

    def test_validation_is_standardized_by_the_training_data(self):
        X, y = blobs()
        model, history = fit(X * 50.0 + 3.0, y, standardize=True, validation=(X * 50.0 + 2.0, y))
        log_probabilities = model.predict_log_proba(X * 50.0 + 2.0)
        assert history["validation_loss"][-1] == pytest.approx(-log_probabilities[np.arange(90), y].mean())


class TestWeightsAndTargets:
    def test_integer_weights_are_repeated_rows(self):
        X, y = blobs()
        counts = np.random.default_rng(1).integers(0, 4, size=90)
        repeated = np.repeat(np.arange(90), counts)
        settings = {"shuffle": False, "epochs": 5}
        weighted, history = fit(X, y, sample_weight=counts, batch_size=90, **settings)
        plain, expected = fit(X[repeated], y[repeated], batch_size=len(repeated), **settings)
        np.testing.assert_allclose(weighted.params.weight, plain.params.weight, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(history["train_loss"], expected["train_loss"], rtol=1e-12)
        np.testing.assert_allclose(history["train_accuracy"], expected["train_accuracy"], rtol=1e-12)

    def test_a_weight_of_zero_is_absence(self):
        X, y = blobs()
        weight = np.ones(90)
        weight[60:] = 0.0
        X_spoilt = X.copy()
        X_spoilt[60:] = 1e6
        zero = weights(X_spoilt, y, sample_weight=weight, shuffle=False, batch_size=90)
        np.testing.assert_allclose(zero, weights(X[:60], y[:60], shuffle=False, batch_size=60), rtol=1e-11)
        # A whole batch of them changes nothing, and makes no NaN of 0 / 0.
        _, history = fit(X_spoilt, y, sample_weight=weight, shuffle=False, batch_size=30)
        batches = weights(X_spoilt, y, sample_weight=weight, shuffle=False, batch_size=30)
        np.testing.assert_allclose(batches, weights(X[:60], y[:60], shuffle=False, batch_size=30), rtol=1e-11)
        assert np.isfinite(history["train_loss"]).all()

    def test_a_common_factor_of_the_weights_is_nothing(self):
        np.testing.assert_allclose(weights(sample_weight=np.full(90, 7.0)), weights(), rtol=1e-12, atol=1e-15)

    def test_ignored_samples_are_absent(self):
        X, y = blobs()
        ignored = y.copy()
        ignored[60:] = -1
        loss = sx.CrossEntropy(ignore_index=-1)
        ours, history = fit(X, ignored, loss=loss, shuffle=False, batch_size=90, validation=(X, ignored))
        plain, expected = fit(X[:60], y[:60], shuffle=False, batch_size=60, validation=(X[:60], y[:60]))
        np.testing.assert_allclose(ours.params.weight, plain.params.weight, rtol=1e-11)
        for column in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            np.testing.assert_allclose(history[column], expected[column], rtol=1e-11)
        assert ours.classes.tolist() == [0, 1, 2]

    def test_soft_targets_that_are_certain_are_labels(self):
        X, y = blobs()
        soft, history = fit(X, np.eye(3)[y], validation=(X, np.eye(3)[y]))
        hard, expected = fit(X, y, validation=(X, y))
        np.testing.assert_allclose(soft.params.weight, hard.params.weight, rtol=1e-11, atol=1e-14)
        for column in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            np.testing.assert_allclose(history[column], expected[column], rtol=1e-11)
        as_list, _ = fit(X, np.eye(3)[y].tolist(), validation=(X, y))
        np.testing.assert_array_equal(as_list.params.weight, soft.params.weight)

    def test_soft_targets_are_learnt(self):
        X = np.repeat(np.eye(2), 20, axis=0)
        targets = np.repeat([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], 20, axis=0)
        model, _ = fit(X, targets, epochs=300, batch_size=40, optimizer=sx.SGD(2.0), classes=["a", "b", "c"])
        np.testing.assert_allclose(model.predict_proba(np.eye(2)), targets[[0, -1]], atol=0.01)
        assert model.predict(np.eye(2)).tolist() == ["a", "c"]

    def test_temperature_reaches_the_model(self):
        X, y = blobs()
        model, history = fit(X, y, loss=sx.CrossEntropy(temperature=3.0), validation=(X, y))
        assert model.temperature == 3.0
        loss = -model.predict_log_proba(X)[np.arange(90), y].mean()
        assert history["validation_loss"][-1] == pytest.approx(loss, rel=1e-12)


class TestClasses:
    def test_strings_are_sorted(self):
        X, y = blobs()
        model, _ = fit(X, np.asarray(["cat", "ant", "bee"])[y])
        assert model.classes.tolist() == ["ant", "bee", "cat"]
        assert model.score(X, np.asarray(["cat", "ant", "bee"])[y]) > 0.6

    def test_classes_may_come_in_any_order_and_without_samples(self):
        X, y = blobs()
        model, _ = fit(X, np.asarray(["cat", "ant", "bee"])[y], classes=["cat", "owl", "ant", "bee"], epochs=20)
        assert model.classes.tolist() == ["cat", "owl", "ant", "bee"]
        assert model.params.weight.shape == (5, 4)
        assert "owl" not in model.predict(X).tolist()

    def test_a_label_outside_classes_is_an_error(self):
        X, y = blobs()
        with pytest.raises(InvalidValueError, match="2"):
            fit(X, y, classes=[0, 1])
        with pytest.raises(InvalidValueError, match="5"):
            fit(X, y, validation=(X, np.where(y == 1, 5, y)))


class TestValidation:
    def test_it_is_judged_after_each_epoch_without_the_penalty(self):
        X, y = blobs(130)
        weight = np.random.default_rng(2).uniform(size=40)
        for held_out in [(X[90:], y[90:]), (X[90:], y[90:], weight), [X[90:], y[90:].tolist()]]:
            model, history = fit(X[:90], y[:90], validation=held_out, penalty=sx.L2(0.1))
            sample_weight = held_out[2] if len(held_out) == 3 else None
            expected = reference_loss(model.params.weight, model.params.bias, X[90:], y[90:], sample_weight)
            assert history["validation_loss"][-1] == pytest.approx(expected, rel=1e-12)
            accuracy = np.average(model.predict(X[90:]) == y[90:], weights=sample_weight)
            assert history["validation_accuracy"][-1] == pytest.approx(accuracy, rel=1e-12)
            assert len(history["validation_loss"]) == 3

    def test_it_changes_nothing(self):
        X, y = blobs()
        np.testing.assert_array_equal(weights(X, y, validation=(X, y)), weights(X, y))

    def test_it_must_be_a_pair_or_a_triple(self):
        X, y = blobs()
        for wrong in (X, (X,), (X, y, y, y), "Xy"):
            with pytest.raises(
                InvalidTypeError, match=r"`validation` must be \(X, y\) or \(X, y, sample_weight\); got"
            ):
                fit(X, y, validation=wrong)
        with pytest.raises(InvalidValueError, match="`validation X` must have 5 features like `X`; got 4."):
            fit(X, y, validation=(X[:, :4], y))
        with pytest.raises(InvalidValueError, match="`validation X` must be finite"):
            fit(X, y, validation=(X * np.nan, y))


class TestBackends:
    def test_the_model_lives_where_the_data_live(self, backend):
        X, y = blobs(dtype="float32")
        model, _ = fit(backend.asarray(X), backend.asarray(y), device=None, validation=(X, y))
        assert model.backend.xp is backend.xp
        assert model.backend.device == backend.device

    def test_everything_else_is_moved_to_the_device(self, backend):
        X, y = blobs(dtype="float32")
        soft = backend.asarray(np.eye(3, dtype="float32")[y])
        weight = backend.asarray(np.linspace(0.5, 1.5, 90, dtype="float32"))
        ours, _ = fit(backend.asarray(X), soft, sample_weight=weight, validation=(backend.asarray(X), soft, weight))
        expected, _ = fit(X, np.eye(3)[y], sample_weight=np.linspace(0.5, 1.5, 90))
        assert ours.backend.name == "cpu"
        np.testing.assert_array_equal(ours.params.weight, expected.params.weight)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_the_dtype_may_be_chosen(self, dtype):
        model, _ = fit(blobs()[0].astype("float32"), blobs()[1], dtype=dtype)
        assert model.params.weight.dtype == model.params.bias.dtype == dtype
        with pytest.raises(InvalidTypeError, match="`dtype` must be a real number type; got complex64."):
            fit(dtype="complex64")

    def test_an_unknown_device_is_an_error(self):
        with pytest.raises(InvalidValueError, match="`device` must be 'auto', None or start with"):
            fit(device="gpu")


def stored(tmp_path, X):
    np.save(tmp_path / "X.npy", X)
    return tmp_path / "X.npy"


@pytest.mark.parametrize("options", [{}, {"standardize": True}, {"dtype": "float64"}, {"shuffle": False}], ids=str)
def test_samples_in_storage_give_the_model_of_those_in_memory(tmp_path, options):
    X, y = np.random.default_rng(0).standard_normal((90, 4)).astype(np.float32), np.arange(90) % 3
    trainer = sx.Trainer(optimizer=sx.Adam(1e-2), epochs=3, batch_size=16, device="cpu", **options)
    held_out = (X[:20], y[:20])
    ours, our_history = trainer.fit(stored(tmp_path, X), y, validation=(stored(tmp_path, X), y))
    theirs, history = trainer.fit(X, y, validation=(X, y))
    np.testing.assert_allclose(ours.params.weight, theirs.params.weight, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(our_history["validation_loss"], history["validation_loss"], rtol=1e-6)
    with_labels, _ = trainer.fit(open_source(stored(tmp_path, X), labels=y), validation=held_out)
    np.testing.assert_array_equal(with_labels.params.weight, ours.params.weight)


def test_storage_is_shuffled_within_windows_and_again_from_the_seed(monkeypatch, tmp_path):
    monkeypatch.setattr(shuffled, "_BLOCK_BYTES", 160)
    monkeypatch.setattr(shuffled, "_BLOCKS", 2)
    X, y = np.random.default_rng(0).standard_normal((95, 4)).astype(np.float32), np.arange(95) % 3
    trainer = sx.Trainer(epochs=2, batch_size=16, device="cpu", seed=5)
    first, again = (trainer.fit(stored(tmp_path, X), y)[0].params.weight for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, trainer.fit(X, y)[0].params.weight)


def test_what_is_wrong_with_stored_samples_is_said(tmp_path):
    X = np.zeros((9, 2), dtype=np.float32)
    X[4, 1] = np.nan
    with pytest.raises(InvalidValueError, match="got NaN at row 4, column 1 of X.npy"):
        sx.Trainer(batch_size=4, device="cpu").fit(stored(tmp_path, X), np.arange(9) % 2)
    with pytest.raises(InvalidValueError, match="`y` must be given for X.npy"):
        sx.Trainer(device="cpu").fit(stored(tmp_path, X))
