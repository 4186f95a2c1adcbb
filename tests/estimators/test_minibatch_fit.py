# SPDX-License-Identifier: BSD-3-Clause
"""Fits by minibatches: the same objective, and an end without being asked."""

import warnings

import numpy as np
import pytest

from softmax_xp import SGD, Adam, EarlyStopping, SoftmaxClassifier
from softmax_xp.errors import InvalidTypeError, SmallDataWarning, TrainingDivergedError
from softmax_xp.estimators.minibatch_fit import penalty_of
from softmax_xp.estimators.reporting import NotConvergedWarning
from softmax_xp.estimators.settings import FitSettings
from softmax_xp.optimizers import OPTIMIZERS
from softmax_xp.typing import LinearParams
from tests.estimators.samples import blobs, soft


def full_batch(n_samples=90, **params):
    defaults = {"learning_rate": 0.05, "batch_size": n_samples, "max_iter": 5000, "tol": 1e-12, "random_state": 0}
    return SoftmaxClassifier(device="cpu", **(defaults | params))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["labels", "soft"])
@pytest.mark.parametrize("class_weight", [None, {0: 2.0}])
def test_gradient_descent_ends_where_the_solvers_do(n_classes, kind, class_weight):
    X, y = blobs(n_classes=n_classes)
    y = y if kind == "labels" else soft(len(y), n_classes)
    weight = np.random.default_rng(2).uniform(0.5, 1.5, size=len(X))
    params = {"C": 0.1, "class_weight": class_weight}
    exact = SoftmaxClassifier(device="cpu", tol=1e-13, **params).fit(X, y, weight)
    descended = full_batch(solver="sgd", learning_rate=0.3, **params).fit(X, y, weight)
    assert descended.coef_.shape == exact.coef_.shape
    np.testing.assert_allclose(descended.coef_, exact.coef_, atol=1e-4)
    np.testing.assert_allclose(descended.predict_proba(X), exact.predict_proba(X), atol=1e-4)
    assert descended.certificate_.value == pytest.approx(exact.certificate_.value, abs=1e-8)
    certificate = descended.certificate_
    assert certificate.value <= exact.certificate_.value + certificate.bound + 1e-14
    assert (certificate.test, descended.status_) in {("certificate", "certified"), ("none", "plateau")}


@pytest.mark.parametrize("solver", sorted(OPTIMIZERS))
def test_every_optimizer_ends_by_itself_and_learns(solver):
    X, y = blobs()
    rate = {"adadelta": 10.0, "lion": 0.01}.get(solver, 0.05)
    classifier = full_batch(solver=solver, learning_rate=rate, tol=1e-3, batch_size=32).fit(X, y)
    assert classifier.status_ in {"plateau", "certified"}
    assert classifier.solver_ == solver
    assert 34 < classifier.n_iter_[0] == len(classifier.history_) < 5000
    exact = SoftmaxClassifier(device="cpu", tol=1e-10).fit(X, y)
    assert classifier.score(X, y) > exact.score(X, y) - 0.1


def test_an_instance_is_an_optimizer_too():
    X, y = blobs()
    classifier = full_batch(solver=SGD(momentum=0.9), learning_rate=None, tol=1e-3).fit(X, y)
    assert classifier.solver_ == "SGD"
    assert classifier.history_["learning_rate"][0] == 0.01


def test_one_seed_is_one_model():
    X, y = blobs()
    params = {"solver": "adam", "batch_size": 16, "max_iter": 20, "tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        first, second = (full_batch(**params, random_state=3).fit(X, y) for _ in range(2))
        other = full_batch(**params, random_state=4).fit(X, y)
    np.testing.assert_array_equal(first.coef_, second.coef_)
    assert (other.coef_ != first.coef_).any()


def test_the_wait_is_for_a_fall_by_tol_however_slow():
    X, y = blobs()
    slow = full_batch(solver="sgd", learning_rate=1e-3, tol=1e-3, max_iter=200)
    with pytest.warns(NotConvergedWarning, match="Increase `max_iter` or `learning_rate`") as caught:
        slow.fit(X, y)
    assert caught[0].filename == __file__
    assert slow.status_ == "max_iter"
    still = full_batch(solver="sgd", learning_rate=1e-9, tol=1e-3, max_iter=200).fit(X, y)
    assert still.status_ == "plateau"
    assert still.n_iter_[0] == 101


def test_the_penalty_of_two_columns_is_that_of_one():
    settings = FitSettings.of(SoftmaxClassifier(C=0.5, l1_ratio=0.25))
    column = np.asarray([[1.0], [-2.0]])
    one = penalty_of(settings, 0.1, 3).value(LinearParams(column))
    two = penalty_of(settings, 0.1, 2).value(LinearParams(np.concatenate([-column / 2, column / 2], axis=1)))
    assert float(one) == pytest.approx(float(two))
    assert penalty_of(FitSettings.of(SoftmaxClassifier(C=np.inf)), 0.1, 3) is None


def test_a_batch_larger_than_the_data_is_all_of_them():
    X, y = blobs(30)
    with pytest.warns(SmallDataWarning, match="`batch_size` is 256 and there are 30 samples") as caught:
        SoftmaxClassifier(solver="adam", learning_rate=0.1, tol=1e-2, device="cpu", random_state=0).fit(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_loss_that_leaves_the_finite_numbers_is_an_error():
    X, y = blobs()
    with pytest.raises(TrainingDivergedError, match="Pass a smaller learning rate"):
        full_batch(solver="sgd", learning_rate=1e300, batch_size=16).fit(X * 1e10, y)


def test_callbacks_of_the_trainer_work_too():
    X, y = blobs()
    stopper = EarlyStopping("train_loss", patience=0, min_delta=10.0)
    classifier = full_batch(solver="adam", callbacks=[stopper]).fit(X, y)
    assert classifier.status_ == "stopped"
    assert classifier.n_iter_[0] == 2
    with pytest.raises(InvalidTypeError, match="which waits for epochs"):
        full_batch(solver="lbfgs", callbacks=[stopper]).fit(X, y)


def test_a_warm_start_goes_on():
    X, y = blobs()
    for n_classes in (2, 3):
        some = y < n_classes
        classifier = full_batch(some.sum(), solver=Adam(), learning_rate=0.1, tol=1e-6, warm_start=True)
        classifier.fit(X[some], y[some])
        first = classifier.history_["train_loss"]
        classifier.fit(X[some], y[some])
        assert classifier.history_["train_loss"][0] < first[0] - 0.1
        assert classifier.history_["train_loss"][0] == pytest.approx(first[-1], abs=1e-2)


def test_an_interrupt_keeps_the_last_full_step():
    X, y = blobs()

    def interrupt(row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.warns(NotConvergedWarning, match="interrupted"):
        classifier = full_batch(solver="adam", callbacks=[interrupt]).fit(X, y)
    assert classifier.status_ == "interrupted"
    assert classifier.n_iter_[0] == 4
