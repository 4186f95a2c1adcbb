# SPDX-License-Identifier: BSD-3-Clause
"""The faults of the textbook's listings, each beside the listing that has it.

Every test first runs the listing, as a control: the fault must show there, else the test could not tell right from
wrong. Then it shows that the package does without it.
"""

import math

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.data.order import epoch_order, initial_weight
from softmax_xp.errors import InvalidValueError


def textbook_softmax(scores):
    exponentials = np.exp(scores)
    return exponentials / np.sum(exponentials, axis=1, keepdims=True)


def textbook_loss(W, X, y, softmax=textbook_softmax):
    probabilities = softmax(X @ W)
    loss = -np.mean(np.log(probabilities[np.arange(len(y)), y]))
    scores = probabilities.copy()
    scores[np.arange(len(y)), y] -= 1
    return loss, X.T @ scores / len(y)


def textbook_adam(W, dW, config=None):
    if config is None:
        config = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "t": 0}
        config |= {"m": np.zeros_like(W), "v": np.zeros_like(W)}
    config["t"] += 1
    config["m"] = config["beta1"] * config["m"] + (1 - config["beta1"]) * dW
    config["v"] = config["beta2"] * config["v"] + (1 - config["beta2"]) * dW**2
    m_hat = config["m"] / (1 - config["beta1"] ** config["t"])
    v_hat = config["v"] / (1 - config["beta2"] ** config["t"])
    return W - config["learning_rate"] * m_hat / (np.sqrt(v_hat) + config["epsilon"]), config


def textbook_trainer(X, y, W, batches, learning_rate, *, keep_state):
    """The loop over batches, with Adam's config made anew at each batch, as printed, or kept, as it should be."""
    config = None
    for batch in batches:
        _, dW = textbook_loss(W, X[batch], y[batch])
        if config is None or not keep_state:
            config = {"learning_rate": learning_rate, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "t": 0}
            config |= {"m": np.zeros_like(W), "v": np.zeros_like(W)}
        W, config = textbook_adam(W, dW, config)
    return W


@pytest.fixture
def problem():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(50, 4))
    return X, np.argmax(X @ rng.normal(size=(4, 3)), axis=1)


class TestOverflow:
    SCORES = np.asarray([[1000.0, 0.0, -1000.0], [1e300, 1e300, -1e300]])

    def test_the_textbook_overflows(self):
        with np.errstate(over="ignore", invalid="ignore"):
            assert np.isnan(textbook_softmax(self.SCORES)).any()

    def test_softmax_and_loss_do_not(self):
        np.testing.assert_array_equal(sx.softmax(self.SCORES), [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
        loss, dW = sx.softmax_loss(np.eye(3), self.SCORES[:1], np.asarray([1]))
        assert loss == 1000.0
        np.testing.assert_array_equal(dW, np.outer(self.SCORES[0], [1.0, -1.0, 0.0]))


class TestLogOfZero:
    """A shift by the largest score cures the overflow, and not the underflow of the label's probability."""

    X = np.asarray([[0.0, 1000.0]])

    @staticmethod
    def shifted_softmax(scores):
        return textbook_softmax(scores - scores.max(axis=1, keepdims=True))

    def test_the_textbook_takes_the_logarithm_of_zero(self):
        with np.errstate(divide="ignore"):
            assert textbook_loss(np.eye(2), self.X, np.asarray([0]), self.shifted_softmax)[0] == math.inf

    def test_the_loss_is_finite(self):
        assert sx.softmax_loss(np.eye(2), self.X, np.asarray([0]))[0] == 1000.0
        np.testing.assert_array_equal(sx.log_softmax(self.X), [[-1000.0, 0.0]])


class TestAdamStateInTheTrainer:
    EPOCHS, BATCH_SIZE, LEARNING_RATE, SEED = 4, 10, 0.05, 3

    def batches(self, n_samples):
        orders = [epoch_order(self.SEED, epoch, n_samples) for epoch in range(self.EPOCHS)]
        return [order[i : i + self.BATCH_SIZE] for order in orders for i in range(0, n_samples, self.BATCH_SIZE)]

    def runs(self, problem):
        """The weights with the state rebuilt at each batch, and with the state kept, both by the textbook."""
        X, y = problem
        start, batches = initial_weight(self.SEED, 4, 3, 1e-3), self.batches(len(y))
        return [textbook_trainer(X, y, start, batches, self.LEARNING_RATE, keep_state=keep) for keep in (False, True)]

    def test_the_textbook_forgets_it_at_every_batch(self, problem):
        forgetful, right = self.runs(problem)
        # Without memory Adam's step is the sign of the gradient, so the two are far apart.
        assert np.max(np.abs(forgetful - right)) > self.LEARNING_RATE

    def test_train_softmax_loss_keeps_it(self, problem):
        X, y = problem
        ours = sx.train_softmax_loss(
            X,
            y,
            learning_rate=self.LEARNING_RATE,
            reg=0.0,
            num_epochs=self.EPOCHS,
            batch_size=self.BATCH_SIZE,
            optimizer="adam",
            verbose=False,
            device="cpu",
            seed=self.SEED,
        )
        np.testing.assert_allclose(ours, self.runs(problem)[1], rtol=1e-10, atol=1e-13)

    def test_the_trainer_counts_steps_over_all_epochs(self, problem):
        counts = []

        def learning_rate(count):
            counts.append(count)
            return self.LEARNING_RATE

        X, y = problem
        trainer = sx.Trainer(
            optimizer=sx.Adam(learning_rate), epochs=self.EPOCHS, batch_size=self.BATCH_SIZE, device="cpu"
        )
        _, history = trainer.fit(X, y)
        assert set(counts) >= set(range(20))
        assert history["step"] == [5, 10, 15, 20]


class TestAdamDefaults:
    W, dW = np.asarray([[1.0, 2.0]]), np.asarray([[0.5, -0.25]])

    def test_the_textbook_loses_them_with_a_partial_config(self):
        with pytest.raises(KeyError):
            textbook_adam(self.W, self.dW, {"learning_rate": 0.1})

    def test_a_partial_config_is_completed(self):
        partial, config = sx.adam(self.W, self.dW, {"learning_rate": 0.1})
        complete = {"learning_rate": 0.1, "b1": 0.9, "b2": 0.999, "eps": 1e-8}
        np.testing.assert_array_equal(partial, sx.adam(self.W, self.dW, complete)[0])
        assert {name: config[name] for name in complete} == complete
        assert config["count"] == 1

    @pytest.mark.parametrize("rule", [sx.adagrad, sx.rmsprop, sx.adam])
    def test_so_it_is_for_each_rule_with_a_config(self, rule):
        default, config = rule(self.W, self.dW)
        again, _ = rule(self.W, self.dW, {"eps": config["eps"]})
        np.testing.assert_array_equal(default, again)


class TestInPlaceUpdates:
    @staticmethod
    def textbook_sgd(W, dW, learning_rate):
        W -= learning_rate * dW
        return W

    def test_the_textbook_changes_the_array_of_its_caller(self):
        W = np.ones((2, 2))
        self.textbook_sgd(W, np.ones((2, 2)), 0.5)
        assert W[0, 0] == 0.5

    def test_no_rule_does(self):
        W, dW = np.ones((2, 2)), np.full((2, 2), 0.5)
        W.flags.writeable = dW.flags.writeable = False
        for rule in (sx.sgd, sx.momentum_sgd, sx.adagrad, sx.rmsprop, sx.adam):
            result = rule(W, dW)
            state = result[1] if isinstance(result, tuple) else None
            kept = {name: np.copy(value) for name, value in state.items()} if isinstance(state, dict) else None
            moved = result[0] if isinstance(result, tuple) else result
            assert not np.shares_memory(moved, W)
            assert np.all(moved < 1.0)
            if kept is not None:
                rule(moved, dW, state)
                for name, value in kept.items():
                    np.testing.assert_array_equal(state[name], value)
        np.testing.assert_array_equal(W, 1.0)
        np.testing.assert_array_equal(dW, 0.5)

    def test_training_leaves_data_and_initial_weights_alone(self, problem):
        X, y = problem
        initial = sx.SoftmaxModel(
            sx.Trainer(epochs=1, device="cpu", batch_size=50).fit(X, y)[0].params, range(3)
        ).params
        given = [X, y, initial.weight, initial.bias]
        before = [array.copy() for array in given]
        sx.Trainer(epochs=2, device="cpu", batch_size=10, standardize=True).fit(X, y, initial=initial)
        for array, original in zip(given, before, strict=True):
            np.testing.assert_array_equal(array, original)


class TestCountingClasses:
    """Labels 0 and 2: class 1 has no sample, and still is one."""

    X, y = np.asarray([[1.0, 0.0], [0.0, 1.0]] * 10), np.asarray([0, 2] * 10)

    def test_the_textbook_counts_different_labels(self):
        W = np.zeros((2, len(set(self.y.tolist()))))
        with pytest.raises(IndexError):
            textbook_loss(W, self.X, self.y)

    def test_the_textbook_functions_count_by_the_largest_label(self):
        W = sx.train_softmax_loss(self.X, self.y, learning_rate=1.0, batch_size=5, verbose=False, device="cpu")
        assert W.shape == (2, 3)
        np.testing.assert_array_equal(sx.predict_softmax_loss(W, self.X), self.y)

    def test_a_class_that_only_validation_has_counts(self):
        W = sx.train_softmax_loss(
            self.X, self.y, self.X[:1], np.asarray([4]), batch_size=5, verbose=False, device="cpu"
        )
        assert W.shape == (2, 5)

    def test_the_trainer_takes_the_classes(self):
        trainer = sx.Trainer(optimizer=sx.SGD(1.0), batch_size=5, device="cpu")
        model, _ = trainer.fit(self.X, self.y, classes=[0, 1, 2])
        assert model.params.weight.shape == (2, 3)
        np.testing.assert_array_equal(model.predict(self.X), self.y)

    def test_a_batch_may_lack_a_class(self):
        X, y = np.repeat(np.eye(3), 4, axis=0), np.repeat(np.arange(3), 4)
        trainer = sx.Trainer(optimizer=sx.SGD(1.0), batch_size=4, shuffle=False, device="cpu")  # one class a batch
        np.testing.assert_array_equal(trainer.fit(X, y)[0].predict(X), y)


class TestEpochLoss:
    def losses(self, problem):
        """Losses of one epoch's batches under plain gradient descent, and their sizes."""
        X, y = problem
        W, losses = np.zeros((4, 3)), []
        for start in range(0, 50, 20):
            batch = slice(start, start + 20)
            loss, dW = textbook_loss(W, X[batch], y[batch])
            W, losses = W - 1.0 * dW, [*losses, loss]
        return losses, [20, 20, 10]

    def reported(self, problem):
        trainer = sx.Trainer(
            optimizer=sx.SGD(1.0), epochs=1, batch_size=20, shuffle=False, fit_intercept=False, device="cpu"
        )
        return trainer.fit(*problem)[1]["train_loss"][0]

    def test_the_textbook_reports_that_of_the_last_batch(self, problem):
        losses, sizes = self.losses(problem)
        assert losses[-1] < 0.8 * np.average(losses, weights=sizes)

    def test_the_history_has_the_mean_over_all_samples(self, problem):
        losses, sizes = self.losses(problem)
        assert self.reported(problem) == pytest.approx(np.average(losses, weights=sizes), rel=1e-12)
        # The last batch is smaller: the plain mean over batches is something else.
        assert self.reported(problem) != pytest.approx(np.mean(losses), rel=1e-3)


class TestLastSmallerBatch:
    """Eleven samples in batches of five; only the last sample has the second feature."""

    X = np.asarray([[1.0, 0.0]] * 10 + [[0.0, 1.0]])
    y = np.asarray([0, 1] * 5 + [1])

    def textbook(self, epochs):
        """`num_batches = n_samples // batch_size`, as printed."""
        W = np.zeros((2, 2))
        for _ in range(epochs):
            for i in range(len(self.y) // 5):
                W = W - 0.5 * textbook_loss(W, self.X[5 * i : 5 * i + 5], self.y[5 * i : 5 * i + 5])[1]
        return W

    def test_the_textbook_never_sees_it(self):
        np.testing.assert_array_equal(self.textbook(3)[1], 0.0)

    def train(self, **settings):
        settings = {"optimizer": sx.SGD(0.5), "epochs": 3, "batch_size": 5, "shuffle": False} | settings
        return sx.Trainer(fit_intercept=False, device="cpu", **settings).fit(self.X, self.y)

    def test_the_trainer_takes_a_step_of_the_mean_over_its_own_samples(self):
        W = np.zeros((2, 2))
        for _ in range(3):
            for batch in (slice(0, 5), slice(5, 10), slice(10, 11)):
                W = W - 0.5 * textbook_loss(W, self.X[batch], self.y[batch])[1]
        model, history = self.train()
        np.testing.assert_allclose(model.params.weight, W, rtol=1e-13)
        assert history["step"] == [3, 6, 9]
        assert abs(W[1, 0]) > 0.5

    def test_it_may_be_dropped_on_request(self):
        model, history = self.train(drop_last=True)
        np.testing.assert_allclose(model.params.weight, self.textbook(3), rtol=1e-13, atol=1e-15)
        assert history["step"] == [2, 4, 6]


class TestLabelsFromElsewhere:
    X = np.asarray([[1.0, 0.0], [0.0, 1.0]] * 10)
    SIGNS = np.asarray([-1, 1] * 10)

    def test_the_textbook_takes_minus_one_for_the_last_class(self):
        W = np.zeros((2, 2))
        for _ in range(20):
            W = W - textbook_loss(W, self.X, self.SIGNS)[1]
        # Both labels are column 1, silently.
        np.testing.assert_array_equal(np.argmax(self.X @ W, axis=1), 1)

    @pytest.mark.parametrize("labels", [(-1, 1), (10, 20), (1, 2), ("no", "yes"), (False, True), (1.0, 2.0), (7, "x")])
    def test_the_trainer_encodes_any_labels(self, labels):
        y = [labels[i % 2] for i in range(20)]
        model, _ = sx.Trainer(optimizer=sx.SGD(1.0), batch_size=5, device="cpu").fit(self.X, y)
        assert model.classes.tolist() == list(labels)
        assert model.predict(self.X).tolist() == y
        assert model.score(self.X, y) == 1.0

    def test_the_functions_refuse_what_is_no_class_number(self):
        with pytest.raises(InvalidValueError, match="must lie in 0 .. 1; got labels from -1 to 1"):
            sx.softmax_loss(np.zeros((2, 2)), self.X, self.SIGNS)
        with pytest.raises(
            InvalidValueError, match="must lie in 0 .. 1; got labels from 0 to 2. .* a `W` with 3 columns"
        ):
            sx.softmax_loss(np.zeros((2, 2)), self.X, self.SIGNS + 1)
        with pytest.raises(InvalidValueError, match="class numbers >= 0; got -1. Use Trainer"):
            sx.train_softmax_loss(self.X, self.SIGNS, verbose=False, device="cpu")
