# SPDX-License-Identifier: BSD-3-Clause
"""Files that are replaced whole or not at all, whatever ends the program in between.

Every call of the operating system is spelled out and stands in the module ``os``, so that the tests can let each of
them fail, or end the process between any two.
"""

__all__ = ["remove_leftovers", "replace_file"]

import contextlib
import os
import re
import secrets
from pathlib import Path

_TEMPORARY = re.compile(r"\.tmp-(\d+)-[0-9a-f]{16}\.safetensors")
# Without the last, Windows would write two bytes for each line feed.
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def replace_file(path: Path, content: bytes) -> None:
    """Write to a temporary file beside ``path``, then move it into place.

    The content reaches the disk before the move, and the move before the function returns: whoever reads ``path`` sees
    the old file or the new one, also after a loss of power.

    Parameters
    ----------
    path : Path
        The file to write or replace.
    content : bytes
        All of it.

    Raises
    ------
    OSError
        If the file cannot be written; ``path`` is then what it was.
    """
    # Beside it, because a move is only atomic within one file system. The name does not grow with that of `path`, which
    # may be as long as the file system allows.
    temporary = path.parent / f".tmp-{os.getpid()}-{secrets.token_hex(8)}.safetensors"
    try:
        # O_EXCL never follows what someone else put there; 0o666, unlike mkstemp, leaves the permissions to the umask.
        number = os.open(temporary, _NEW_FILE, 0o666)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(number, rest) :]
            os.fsync(number)
        finally:
            os.close(number)
        os.replace(temporary, path)  # noqa: PTH105 - see the module's docstring
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - as above
        raise
    # The move itself must reach the disk too; folders cannot be synchronised everywhere.
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that were killed.

    Parameters
    ----------
    folder : Path
        Where to look. Nobody else may be replacing files there from this process.
    """
    for name in os.listdir(folder):  # noqa: PTH208 - names are all that is looked at
        match = _TEMPORARY.fullmatch(name)
        if match is not None and (int(match[1]) == os.getpid() or not _is_alive(int(match[1]))):
            with contextlib.suppress(OSError):
                (folder / name).unlink()


def _is_alive(process: int) -> bool:
    """Tell whether there is such a process; where that cannot be asked without doing harm, there is."""
    if os.name == "nt":  # where signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
