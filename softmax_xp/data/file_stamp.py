# SPDX-License-Identifier: BSD-3-Clause
"""How a change to a file that is read again and again is noticed."""

__all__ = ["FileStamp"]

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from softmax_xp.errors import DataChangedError


class FileStamp(NamedTuple):
    """The size of a file and when it was written last, by which a change is noticed."""

    size: int
    modified: int  # in nanoseconds

    @classmethod
    def of(cls, file: BinaryIO | Path) -> Self:
        """Read the stamp of a file."""
        status = file.stat() if isinstance(file, Path) else os.fstat(file.fileno())
        return cls(status.st_size, status.st_mtime_ns)

    def check(self, file: BinaryIO | Path, path: Path) -> None:
        """Raise unless the file still has this stamp.

        Parameters
        ----------
        file : file or path
            The open file, or where it is.
        path : path
            For the message.

        Raises
        ------
        DataChangedError
            For another size or time.
        """
        try:
            now = self.of(file)
        except FileNotFoundError as error:
            msg = f"`source` must stay as it is while it is read; got {path}, which is gone."
            raise DataChangedError(msg) from error
        if now != self:
            what = f"{self.size} bytes before, {now.size} now" if now.size != self.size else "it was written to"
            msg = (
                f"`source` must stay as it is while it is read; got {path}, which has changed since it was opened "
                f"({what}). Write to another file, and open this one anew."
            )
            raise DataChangedError(msg)
