# SPDX-License-Identifier: BSD-3-Clause
"""The progress bar: what it shows, and that it changes nothing."""

import sys

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.training import progress
from softmax_xp.training.progress import ProgressBar
from tests.training.samples import blobs


def train(**settings):
    return sx.Trainer(**({"epochs": 3, "batch_size": 16, "device": "cpu"} | settings)).fit(*blobs(200))


@pytest.mark.parametrize("interval", [0.0, 0.25])
def test_it_shows_loss_accuracy_and_speed_on_stderr(capsys, monkeypatch, interval):
    monkeypatch.setattr(progress, "_REPORTING_INTERVAL", interval)
    _, history = train(verbose=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 3" in err
    assert f"loss={history['train_loss'][-1]:.4f}" in err
    assert f"accuracy={history['train_accuracy'][-1]:.4f}" in err
    assert "samples/s" in err
    assert "600/600" in err


def test_it_is_silent_unless_asked(capsys):
    train()
    assert capsys.readouterr() == ("", "")


def test_it_does_not_change_the_result(monkeypatch):
    monkeypatch.setattr(progress, "_REPORTING_INTERVAL", 0.0)  # look at every step
    silent, shown = train(), train(verbose=True)
    np.testing.assert_array_equal(silent[0].params.weight, shown[0].params.weight)
    for column in ("step", "train_accuracy", "learning_rate"):
        assert silent[1][column] == shown[1][column]
    np.testing.assert_allclose(silent[1]["train_loss"], shown[1]["train_loss"], rtol=1e-14)


def test_it_closes_after_an_error(capsys):
    class Broken(sx.Callback):
        def on_epoch_end(self, event):
            msg = "broken"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="broken"):
        train(verbose=True, callbacks=[Broken()])
    assert capsys.readouterr().err.endswith("\n")


def test_a_bar_that_is_off_does_not_import_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    bar = ProgressBar(10, enabled=False)
    assert bar.step(5, 0, None) is None
    bar.show(0, 0.0, 0.0)
    bar.close()
