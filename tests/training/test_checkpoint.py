# SPDX-License-Identifier: BSD-3-Clause
from pathlib import Path

import pytest

from softmax_xp import Checkpoint
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.training.checkpoint import as_checkpoint


def test_a_path_stands_for_the_defaults():
    assert as_checkpoint("runs/1") == Checkpoint("runs/1")
    assert as_checkpoint(Path("runs/1")).path == Path("runs/1")
    assert as_checkpoint(None) is None
    own = Checkpoint("a", every_steps=5)
    assert as_checkpoint(own) is own


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"folder": 3}, InvalidTypeError, "`folder` must be a path; got 3"),
        ({"folder": b"a"}, InvalidTypeError, "`folder` must be a path; got b'a'"),
        ({"folder": "a", "every_seconds": -1}, InvalidValueError, "`every_seconds` must be"),
        ({"folder": "a", "every_steps": 0}, InvalidValueError, "`every_steps` must be at least 1"),
        ({"folder": "a", "keep": 0}, InvalidValueError, "`keep` must be at least 1"),
        ({"folder": "a", "resume": "yes"}, InvalidTypeError, "`resume` must be True or False"),
        ({"folder": "a", "on_sigterm": 1}, InvalidTypeError, "`on_sigterm` must be True or False"),
    ],
)
def test_settings_are_checked(settings, error, message):
    with pytest.raises(error, match=message):
        Checkpoint(**settings)


def test_anything_else_is_refused():
    with pytest.raises(InvalidTypeError, match="`checkpoint` must be a folder or a Checkpoint; got True. Pass Checkp"):
        as_checkpoint(True)
