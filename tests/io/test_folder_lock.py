# SPDX-License-Identifier: BSD-3-Clause
import errno
import os
import subprocess
import sys

import pytest

from softmax_xp.errors import CheckpointLockedError
from softmax_xp.io.folder_lock import FolderLock
from tests.house.source import ROOT

HOLDER = """
import sys, time
from pathlib import Path
from softmax_xp.io.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_one_writer_at_a_time(tmp_path):
    lock = FolderLock(tmp_path)
    with pytest.raises(CheckpointLockedError, match=f"in use by process {os.getpid()}. Wait for its end, or"):
        FolderLock(tmp_path)
    lock.release()
    lock.release()  # twice is once
    FolderLock(tmp_path).release()


def test_another_process_is_shut_out_until_it_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CheckpointLockedError, match=f"in use by process {holder.pid}"):
            FolderLock(tmp_path)
        holder.kill()
        holder.wait()
        FolderLock(tmp_path).release()


@pytest.mark.skipif(os.name == "nt", reason="Windows has locks on every file system")
def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    import fcntl

    def fail(number, flags):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    FolderLock(tmp_path).release()


@pytest.mark.skipif(os.name == "nt", reason="no flock on Windows")
def test_an_interrupt_while_locking_leaves_no_open_file(tmp_path, monkeypatch):
    import fcntl

    def fail(number, flags):
        raise KeyboardInterrupt

    closed = []
    close = os.close
    monkeypatch.setattr(fcntl, "flock", fail)
    monkeypatch.setattr(os, "close", lambda number: closed.append(number) or close(number))
    with pytest.raises(KeyboardInterrupt):
        FolderLock(tmp_path)
    assert len(closed) == 1


def test_a_folder_that_cannot_be_written_to_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="none"):
        FolderLock(tmp_path / "none")
