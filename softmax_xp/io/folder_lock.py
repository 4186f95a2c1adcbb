# SPDX-License-Identifier: BSD-3-Clause
"""A folder that one writer at a time may use."""

__all__ = ["FolderLock"]

import contextlib
import os
from importlib import import_module
from pathlib import Path
from typing import Any, final

from softmax_xp.errors import CheckpointLockedError

_NAME = ".lock"


@final
class FolderLock:
    """Holds a folder for one writer, until it is released or the process ends, however it ends.

    The operating system holds the lock, on an open file: nobody has to find out whether the one who left a file behind
    is still alive. Two writers of one process exclude each other too.

    Parameters
    ----------
    folder : Path
        That exists and can be written to.

    Raises
    ------
    CheckpointLockedError
        When someone else holds it.
    OSError
        When the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._number: int | None = os.open(folder / _NAME, flags, 0o666)
        try:
            _lock(self._number)
        except BlockingIOError:
            holder = os.pread(self._number, 20, 0).decode("ascii", "replace") if hasattr(os, "pread") else ""
            self.release()
            msg = (
                f"`checkpoint` must name a folder that no other fit writes to; {folder} is in use"
                f"{' by process ' + holder if holder.isdigit() else ''}. Wait for its end, or pass another folder."
            )
            raise CheckpointLockedError(msg) from None
        except BaseException:
            self.release()
            raise
        with contextlib.suppress(OSError):  # a full disk is no reason not to hold a lock
            os.ftruncate(self._number, 0)
            os.write(self._number, str(os.getpid()).encode("ascii"))

    def release(self) -> None:
        """Let others in. The file stays: whoever removed it could remove the next holder's."""
        if self._number is not None:
            os.close(self._number)
            self._number = None


def _lock(number: int) -> None:
    """Lock an open file, or raise BlockingIOError; file systems without locks are used without."""
    # Any: type checkers see one operating system, and each of these modules exists on one.
    module: Any = import_module("msvcrt" if os.name == "nt" else "fcntl")
    if os.name == "nt":
        try:
            os.lseek(number, 1 << 20, os.SEEK_SET)  # beyond the text, which others may then read
            module.locking(number, module.LK_NBLCK, 1)
        except PermissionError:
            raise BlockingIOError from None
        finally:
            os.lseek(number, 0, os.SEEK_SET)
        return
    try:
        module.flock(number, module.LOCK_EX | module.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # ENOLCK, ENOTSUP: some network file systems
        return
