# SPDX-License-Identifier: BSD-3-Clause
"""Early stopping, best weights, and callbacks of a user's own."""

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.training import EpochEnd
from tests.training.samples import blobs


def trainer(**settings):
    return sx.Trainer(**({"optimizer": sx.SGD(0.5), "epochs": 6, "batch_size": 30, "device": "cpu"} | settings))


def show(callback, column, values):
    """Feed one column of a history, epoch by epoch; return the epochs at which the callback stops."""
    history = sx.History()
    callback.on_fit_start()
    stops = []
    for epoch, value in enumerate(values):
        history.append({"epoch": epoch, column: value})
        if callback.on_epoch_end(EpochEnd(epoch, f"params {epoch}", history)):
            stops.append(epoch)
    return stops, callback.on_fit_end(EpochEnd(len(values) - 1, "last", history))


class TestEarlyStopping:
    @pytest.mark.parametrize(
        ("patience", "values", "first"),
        [
            (0, [3.0, 2.0, 2.0, 1.0], 2),
            (1, [3.0, 2.0, 2.0, 1.0, 1.0, 1.0], 5),
            (2, [3.0, 4.0, 5.0, 6.0], 3),
            (0, [np.nan, 1.0], 0),
        ],
    )
    def test_it_stops_when_patience_runs_out(self, patience, values, first):
        stops, _ = show(sx.EarlyStopping("validation_loss", patience), "validation_loss", values)
        assert stops[0] == first

    def test_accuracies_should_rise(self):
        assert show(sx.EarlyStopping("validation_accuracy", 0), "validation_accuracy", [0.1, 0.2, 0.3]) == ([], None)
        assert show(sx.EarlyStopping("train_accuracy", 0), "train_accuracy", [0.3, 0.2])[0] == [1]

    def test_an_improvement_must_exceed_min_delta(self):
        assert show(sx.EarlyStopping("train_loss", 0, 0.5), "train_loss", [3.0, 2.4, 1.9])[0] == [2]
        assert show(sx.EarlyStopping("train_loss", 0, 0.5), "train_loss", [3.0, 2.0, 1.0])[0] == []

    def test_a_second_fit_starts_afresh(self):
        callback = sx.EarlyStopping("train_loss", 0)
        assert show(callback, "train_loss", [1.0, 1.0])[0] == [1]
        assert show(callback, "train_loss", [2.0, 1.5])[0] == []

    def test_a_fit_stops_and_says_so(self):
        X, y = blobs()
        _, history = trainer(epochs=50, callbacks=[sx.EarlyStopping("train_loss", patience=1, min_delta=0.05)]).fit(
            X, y
        )
        assert history.status == "stopped"
        assert 2 < len(history) < 50

    def test_bad_settings_are_errors(self):
        with pytest.raises(InvalidTypeError, match="`patience` must be an integer; got 1.5."):
            sx.EarlyStopping(patience=1.5)
        with pytest.raises(InvalidTypeError, match="`patience` must be an integer; got True."):
            sx.EarlyStopping(patience=True)
        with pytest.raises(InvalidValueError, match="`patience` and `min_delta` must be >= 0; got -1 and 0.0."):
            sx.EarlyStopping(patience=-1)
        with pytest.raises(InvalidValueError, match="must be >= 0; got 5 and nan."):
            sx.EarlyStopping(min_delta=float("nan"))

    def test_it_prints(self):
        assert eval(repr(sx.EarlyStopping(patience=2)), {"EarlyStopping": sx.EarlyStopping}).patience == 2  # noqa: S307


class TestMonitor:
    @pytest.mark.parametrize("callback", [sx.EarlyStopping(), sx.BestWeights()])
    def test_validation_columns_need_validation_data(self, callback):
        with pytest.raises(
            InvalidValueError, match=r"`monitor` must be a column .*train_loss.*got 'validation_loss'. Pass validation"
        ):
            trainer(callbacks=[callback]).fit(*blobs())

    def test_an_unknown_column_lists_the_known(self):
        with pytest.raises(InvalidValueError, match=r"epoch, step, learning_rate, .*got 'loss'\.\n"):
            trainer(callbacks=[sx.EarlyStopping("loss")]).fit(*blobs())


class TestBestWeights:
    @pytest.mark.parametrize(
        ("column", "values", "best"),
        [
            ("validation_loss", [3.0, 1.0, 2.0, 1.0], 1),
            ("validation_accuracy", [0.1, 0.9, 0.9], 1),
            ("train_loss", [np.nan, 5.0, np.nan], 1),
        ],
    )
    def test_it_keeps_the_first_of_the_best(self, column, values, best):
        callback = sx.BestWeights(column)
        assert show(callback, column, values) == ([], f"params {best}")
        assert callback.best_epoch == best

    def test_it_has_nothing_to_say_when_no_epoch_was_good(self):
        assert show(sx.BestWeights("train_loss"), "train_loss", [np.nan]) == ([], None)

    def test_the_model_has_the_weights_of_that_epoch(self):
        X, y = blobs()
        # Steps that grow: the first epochs are the best.
        growing = trainer(optimizer=sx.SGD(lambda step: 0.05 * 3.0**step), batch_size=45)
        best = sx.BestWeights("validation_loss")
        model, history = sx.Trainer(
            optimizer=growing.optimizer, epochs=6, batch_size=45, device="cpu", callbacks=[best]
        ).fit(X, y, validation=(X, y))
        assert 0 <= best.best_epoch < 5
        assert history["validation_loss"][best.best_epoch] == min(history["validation_loss"])
        probabilities = model.predict_log_proba(X)[np.arange(len(y)), y]
        assert -probabilities.mean() == pytest.approx(min(history["validation_loss"]), rel=1e-12)

    def test_a_second_fit_starts_afresh(self):
        callback = sx.BestWeights("train_loss")
        show(callback, "train_loss", [1.0])
        assert show(callback, "train_loss", [9.0, 8.0])[1] == "params 1"

    def test_it_prints(self):
        assert repr(sx.BestWeights("train_loss")) == "BestWeights(monitor='train_loss')"


class TestOwnCallbacks:
    def test_it_sees_every_epoch_and_may_keep_the_weights(self):
        class Keeper(sx.Callback):
            def __init__(self):
                self.seen = []

            def on_epoch_end(self, event):
                self.seen.append((event.epoch, event.params, event.params.weight.copy(), len(event.history)))

        X, y = blobs()
        keeper = Keeper()
        model, _ = trainer(callbacks=[keeper]).fit(X, y)
        assert [(epoch, length) for epoch, _, _, length in keeper.seen] == [(i, i + 1) for i in range(6)]
        for epoch, params, weight, _ in keeper.seen:
            np.testing.assert_array_equal(params.weight, weight)  # later steps wrote to none of them
            assert (epoch == 5) == np.array_equal(weight, model.params.weight)

    def test_all_see_the_epoch_at_which_one_stops(self):
        class Stopper(sx.Callback):
            def on_epoch_end(self, event):
                return event.epoch == 1

        class Counter(sx.Callback):
            epochs = 0

            def on_epoch_end(self, event):
                self.epochs += 1

        counter = Counter()
        _, history = trainer(callbacks=[Stopper(), counter]).fit(*blobs())
        assert (len(history), counter.epochs, history.status) == (2, 2, "stopped")

    def test_the_last_word_goes_through_them_in_turn(self):
        class Doubler(sx.Callback):
            def on_fit_end(self, event):
                return event.params._replace(weight=event.params.weight * 2.0)

        X, y = blobs()
        once, twice = (trainer(callbacks=[Doubler()] * n).fit(X, y)[0].params.weight for n in (1, 2))
        np.testing.assert_array_equal(twice, once * 2.0)

    def test_a_plain_callback_does_nothing(self):
        X, y = blobs()
        with_it, history = trainer(callbacks=(sx.Callback(),)).fit(X, y)
        np.testing.assert_array_equal(with_it.params.weight, trainer().fit(X, y)[0].params.weight)
        assert history.status == "completed"

    def test_an_error_of_its_own_says_in_which_epoch(self):
        class Broken(sx.Callback):
            def __repr__(self):
                return "Broken()"

            def on_epoch_end(self, event):
                if event.epoch == 2:
                    msg = "disk full"
                    raise OSError(msg)

        with pytest.raises(OSError, match="disk full") as caught:
            trainer(callbacks=[Broken()]).fit(*blobs())
        assert caught.value.__notes__ == ["Raised by Broken() at the end of epoch 2 (counted from 0)."]
