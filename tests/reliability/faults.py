# SPDX-License-Identifier: BSD-3-Clause
"""Lets a chosen call of the operating system fail, or the process die there."""

__all__ = ["CALLS", "MEMORY", "Crash", "Faults"]

import os
from pathlib import Path

# Where there is such a file system, tests that write thousands of files wait for no disk. SIGKILL loses nothing there;
# that the disk is waited for is the affair of tests/io/test_atomic.py.
MEMORY = Path("/dev/shm")  # noqa: S108

CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "ftruncate")


class Crash(BaseException):
    """The process ends here: nothing that it does afterwards reaches the disk."""


class Faults:
    """Counts calls; the one with number `at` raises, and after a crash so does every later one.

    With `partial`, a failing write has written half of what it was to write, as a disk does that fills up.
    """

    def __init__(self, monkeypatch, *, at=None, error=None, calls=CALLS, lasting=False, partial=False):
        self.at, self.error, self.lasting, self.partial = at, error or Crash(), lasting, partial
        self.made, self.struck = [], False
        for name in calls:
            monkeypatch.setattr(os, name, self._counting(name, getattr(os, name)))

    def _counting(self, name, real):
        def call(*args, **kwargs):
            number = len(self.made)
            self.made.append(name)
            if number == self.at or (self.struck and (self.lasting or isinstance(self.error, Crash))):
                self.struck = True
                if self.partial and name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                raise self.error
            return real(*args, **kwargs)

        return call
