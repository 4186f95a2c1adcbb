# SPDX-License-Identifier: BSD-3-Clause
"""The textbook's trainer."""

import dataclasses

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.errors import InvalidTypeError, InvalidValueError, TrainingDivergedError
from softmax_xp.optimizers import OPTIMIZERS
from tests.training.samples import blobs

X, Y = blobs(100)


def train(X=X, y=Y, *rest, **settings):
    return sx.train_softmax_loss(X, y, *rest, **({"verbose": False, "device": "cpu", "learning_rate": 0.1} | settings))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_the_trainer_with_its_parts_by_name(name):
    trainer = sx.Trainer(
        optimizer=dataclasses.replace(OPTIMIZERS[name], learning_rate=0.1),
        penalty=sx.L2(0.01),
        epochs=3,
        batch_size=50,
        device="cpu",
        seed=5,
        fit_intercept=False,
        initial_scale=1e-3,
    )
    expected, _ = trainer.fit(X, Y)
    ours = train(reg=0.01, num_epochs=3, optimizer=name, seed=5)
    np.testing.assert_array_equal(ours, expected.params.weight)
    instance = train(reg=0.01, num_epochs=3, optimizer=OPTIMIZERS[name], seed=5)
    np.testing.assert_array_equal(instance, ours)


def test_it_learns():
    W = train(num_epochs=30)
    assert np.mean(sx.predict_softmax_loss(W, X) == Y) > 0.7
    assert sx.softmax_loss(W, X, Y)[0] < 0.8 * np.log(3)


def test_the_weights_come_back_to_where_the_samples_live(backend):
    given = backend.asarray(X.astype("float32"))
    for device in ("cpu", None):
        W = sx.train_softmax_loss(given, backend.asarray(Y), verbose=False, device=device, num_epochs=2)
        here = sx.backend.backend_of(W)
        assert here.xp is backend.xp
        assert here.device == backend.device
        assert backend.to_numpy(W).dtype == np.float32
        expected = train(X.astype("float32"), learning_rate=1e-3, num_epochs=2)
        np.testing.assert_allclose(backend.to_numpy(W), expected, rtol=1e-4, atol=1e-7)
        backend.to_numpy(sx.predict_softmax_loss(W, given))


def test_lists_will_do():
    np.testing.assert_array_equal(train(X.tolist(), Y.tolist()), train())


def test_arguments_may_come_in_the_textbooks_order(capsys):
    W = sx.train_softmax_loss(X, Y, X, Y, 0.1, 1e-5, 2, 50, "momentum_sgd", True, "cpu", 7)
    out, err = capsys.readouterr()
    np.testing.assert_array_equal(W, train(optimizer="momentum_sgd", num_epochs=2, seed=7))
    assert "validation_loss" in out
    assert len(out.splitlines()) == 3
    assert "samples/s" in err


def test_silence_is_silent(capsys):
    train()
    assert capsys.readouterr() == ("", "")


def test_no_penalty_differs_from_a_penalty():
    assert not np.array_equal(train(reg=0.0), train(reg=0.5))
    with pytest.raises(InvalidValueError, match="`reg` must be a finite number of at least 0; got -1"):
        train(reg=-1.0)


def test_validation_changes_nothing_but_the_table():
    np.testing.assert_array_equal(train(X, Y, X[:50], Y[:50]), train())


@pytest.mark.parametrize(
    ("labels", "n_classes"),
    [([0, 1], 2), ([0, 0], 2), ([0, 3], 4), ([5, 5], 6), (np.asarray([0, 2], dtype="uint8"), 3)],
)
def test_classes_are_counted_by_the_largest_label(labels, n_classes):
    W = train(np.tile(np.eye(2), (25, 1)), np.tile(np.asarray(labels), 25))
    assert W.shape == (2, n_classes)


@pytest.mark.parametrize(
    ("y", "error", "text"),
    [
        (Y.astype(float), InvalidTypeError, "`y_train` must hold integer class numbers; got float64. Use Trainer"),
        (Y.astype(str), InvalidTypeError, "`y_train` must hold integer class numbers; got <U21. Use Trainer"),
        (Y > 0, InvalidTypeError, "`y_train` must hold integer class numbers; got bool."),
        (Y - 1, InvalidValueError, "`y_train` must hold class numbers >= 0; got -1. Use Trainer for other labels."),
        (Y[:50], InvalidValueError, "`y` must have one entry per sample of `X`"),
        (Y[:0], InvalidValueError, "`y` must hold at least one label"),
    ],
)
def test_labels_must_be_class_numbers(y, error, text):
    with pytest.raises(error, match=text):
        train(X, y)


def test_settings_are_checked():
    with pytest.raises(InvalidValueError, match="`optimizer` must be one of 'adadelta', .*; got 'adam2'."):
        train(optimizer="adam2")
    with pytest.raises(InvalidValueError, match="`learning_rate` must be"):
        train(learning_rate=-1.0)
    with pytest.raises(InvalidValueError, match="`device` must be 'auto', None"):
        train(device="gpu")
    with pytest.raises(TrainingDivergedError, match="at step 1 "):
        train(X * 1e300 / np.abs(X).max())
