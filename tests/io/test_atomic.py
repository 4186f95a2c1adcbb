# SPDX-License-Identifier: BSD-3-Clause
import errno
import os
import subprocess
import sys

import pytest

from softmax_xp.io.atomic import remove_leftovers, replace_file
from tests.reliability.faults import Crash, Faults

OLD, NEW = b"old" * 100, b"new\n" * 1000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    return path


def names(folder):
    return {path.name for path in folder.iterdir()}


def calls_of_a_write(path):
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch)
        replace_file(path, NEW)
    return faults.made


def test_the_content_is_that_of_the_last_write(path):
    replace_file(path, NEW)
    assert path.read_bytes() == NEW
    replace_file(path, b"")
    assert path.read_bytes() == b""
    assert names(path.parent) == {"file"}


def test_the_disk_is_waited_for_before_the_move_and_after_it(path):
    assert calls_of_a_write(path) == ["open", "write", "fsync", "close", "replace", "open", "fsync", "close"]


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("partial", [False, True])
def test_a_crash_at_any_call_leaves_the_old_file_or_the_new_one(path, at, partial):
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch, at=at, partial=partial)
        with pytest.raises(Crash):
            replace_file(path, NEW)
    assert faults.struck
    assert path.read_bytes() == (OLD if at <= 4 else NEW)
    remove_leftovers(path.parent)
    assert names(path.parent) == {"file"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("at", range(5))
def test_a_failing_call_leaves_the_old_file_and_nothing_else(path, at, code):
    with pytest.MonkeyPatch.context() as patch:
        Faults(patch, at=at, error=OSError(code, "injected"), partial=True)
        with pytest.raises(OSError, match="injected"):
            replace_file(path, NEW)
    assert path.read_bytes() == OLD
    assert names(path.parent) == {"file"}


@pytest.mark.parametrize("at", [5, 6, 7])
def test_folders_that_cannot_be_synchronised_are_no_failure(path, at):
    with pytest.MonkeyPatch.context() as patch:
        Faults(patch, at=at, error=OSError(errno.EINVAL, "injected"))
        replace_file(path, NEW)
    assert path.read_bytes() == NEW


def test_a_write_that_is_cut_short_goes_on(path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda number, content: write(number, bytes(content)[:7]))
    replace_file(path, NEW)
    assert path.read_bytes() == NEW


def test_only_what_dead_writers_left_is_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    sign = "0123456789abcdef"
    gone = {f".tmp-{process}-{sign}.safetensors" for process in (dead.pid, os.getpid())}
    # The parent of this process is alive; the others have other names.
    kept = {f".tmp-{os.getppid()}-{sign}.safetensors", f".tmp-{dead.pid}-{sign}.npz", "model.safetensors", ".lock"}
    for name in gone | kept:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == kept
