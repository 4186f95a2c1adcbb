# SPDX-License-Identifier: BSD-3-Clause
import errno
import os
import signal
import warnings

import numpy as np
import pytest

from softmax_xp import Checkpoint
from softmax_xp.backend import backend_of
from softmax_xp.errors import (
    CheckpointCorruptError,
    CheckpointLockedError,
    CheckpointMismatchError,
    CheckpointWarning,
    CheckpointWriteError,
)
from softmax_xp.training import keeper as module
from softmax_xp.training.keeper import Keeper
from tests.reliability.faults import Faults


def keep(folder, fit=None, place=None, **settings):
    checkpoint = Checkpoint(folder, **settings)
    backend = backend_of(np.zeros(1))
    return Keeper(checkpoint, fit=fit or {"seed": "1"}, place=place or {"device": "cpu"}, known={}, backend=backend)


@pytest.fixture
def saved(tmp_path):
    """Give a folder with a checkpoint in it."""
    with keep(tmp_path) as keeper:
        assert keeper.load() is None
        keeper.save({"step": 3})
    return tmp_path


def test_what_is_saved_is_loaded(saved):
    with keep(saved) as keeper:
        assert keeper.load() == {"step": 3}
    with keep(saved, resume=False) as keeper:
        assert keeper.load() is None


def test_a_folder_is_held_while_it_is_used(saved):
    with keep(saved), pytest.raises(CheckpointLockedError):
        keep(saved)
    with keep(saved):
        pass


def test_another_fit_is_refused_and_its_differences_named(saved):
    with (
        keep(saved, fit={"seed": "2", "epochs": "5"}) as keeper,
        pytest.raises(
            CheckpointMismatchError,
            match=r"has another seed \(1 there, 2 here\), epochs \(None there, 5 here\). Pass the same .* resume=False",
        ),
    ):
        keeper.load()


def test_another_place_is_a_warning(saved):
    with (
        keep(saved, place={"device": "cuda:0"}) as keeper,
        pytest.warns(CheckpointWarning, match=r"rounded differently, .* another device \(cpu there, cuda:0 here\)"),
    ):
        assert keeper.load() == {"step": 3}


def test_an_intact_file_that_is_no_state_is_an_error(saved, monkeypatch):
    with keep(saved) as keeper:
        monkeypatch.setattr(module, "pack", lambda state, known: ([1], {}))
        keeper.save({})
        with pytest.raises(CheckpointCorruptError, match="must hold states of this fit; got .* cannot be put together"):
            keeper.load()


def test_steps_and_seconds_decide_when_one_is_due(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    with keep(tmp_path, every_steps=3, every_seconds=60) as keeper:
        assert [keeper.due() for _ in range(3)] == [False, False, True]
        keeper.save({})
        assert not keeper.due(2)
        assert keeper.due(1)
        keeper.save({})
        assert not keeper.due(0)
        now = 161.0
        assert keeper.due(0)


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send itself this signal")
def test_ctrl_c_makes_one_due(tmp_path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with keep(tmp_path, every_seconds=1e9) as keeper:
            assert not keeper.due()
            os.kill(os.getpid(), signal.SIGINT)
            assert keeper.is_stopping
            assert keeper.due(0)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_full_disk_is_a_warning_and_the_third_time_in_a_row_an_error(saved):
    full = OSError(errno.ENOSPC, "No space left on device")
    with keep(saved) as keeper:
        for _ in range(2):
            with pytest.MonkeyPatch.context() as patch:
                Faults(patch, at=0, error=full, calls=("write",), lasting=True, partial=True)
                for _ in range(2):
                    with pytest.warns(CheckpointWarning, match="could not be written .*No space left.* fit goes on"):
                        keeper.save({"step": 4})
            assert keeper.load() == {"step": 3}
            keeper.save({"step": 3})  # there is room again, and the count begins anew
        with pytest.MonkeyPatch.context() as patch:
            Faults(patch, at=0, error=full, calls=("write",), lasting=True)
            for _ in range(2):
                with pytest.warns(CheckpointWarning):
                    keeper.save({"step": 4})
            with pytest.raises(CheckpointWriteError, match="folder that can be written to. The checkpoint could not"):
                keeper.save({"step": 4})
            with pytest.warns(CheckpointWarning):
                keeper.save({"step": 4}, is_last=True)  # nobody loses a finished model to a full disk
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert keeper.load() == {"step": 3}
