# SPDX-License-Identifier: BSD-3-Clause
"""Also tests/cli/test_train.py, as a user meets these."""

from pathlib import Path

import pytest
import typer

from softmax_xp.cli.outputs import checked_checkpoint, checked_path, end_if_interrupted
from softmax_xp.errors import DataNotFoundError, InvalidValueError


def test_the_model_is_named_after_the_data(tmp_path):
    assert checked_path(None, "some/X.tar.npy") == Path("softmax-xp-X.safetensors")
    assert checked_path(tmp_path / "m", "X.npy") == tmp_path / "m"
    with pytest.raises(InvalidValueError, match="must name a file; got the folder"):
        checked_path(tmp_path, "X.npy")
    with pytest.raises(DataNotFoundError, match="must lie in a folder that exists"):
        checked_path(tmp_path / "none" / "m", "X.npy")


def test_checkpoints_are_neither_lost_nor_taken_up_unasked(tmp_path):
    assert checked_checkpoint(None, resume=False) is None
    assert checked_checkpoint(tmp_path, resume=False).on_sigterm
    (tmp_path / "checkpoint-000001.safetensors").touch()
    assert checked_checkpoint(tmp_path, resume=True).path == tmp_path
    with pytest.raises(InvalidValueError, match="Pass --resume to go on from them"):
        checked_checkpoint(tmp_path, resume=False)
    with pytest.raises(InvalidValueError, match="Pass --checkpoint FOLDER"):
        checked_checkpoint(None, resume=True)


def test_only_an_interrupted_training_ends_with_the_code_of_ctrl_c(tmp_path, capsys):
    end_if_interrupted("completed", tmp_path, None)
    assert capsys.readouterr().err == ""
    for checkpoint, ending in ((None, "of the last full step\n"), (checked_checkpoint(tmp_path, resume=False), "on\n")):
        with pytest.raises(typer.Exit) as caught:
            end_if_interrupted("interrupted", tmp_path, checkpoint)
        assert caught.value.exit_code == 130
        assert capsys.readouterr().err.endswith(ending)
