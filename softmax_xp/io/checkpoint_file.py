# SPDX-License-Identifier: BSD-3-Clause
"""A folder of checkpoints: numbered files of which the newest count, each replaced whole or not at all.

A file is a safetensors file with a SHA-256 (:mod:`softmax_xp.io.safetensors_file`). Metadata of format 1: ``format``
(the number 1), ``kind`` ("checkpoint"), ``softmax_xp`` and ``numpy`` (versions that wrote it), ``fit`` (JSON: what must
be the same for the fit to go on), ``place`` (JSON: what should be the same for it to go on with the same bits) and
``state`` (JSON: see :mod:`softmax_xp.io.records`, whose arrays are those of the file).
"""

__all__ = ["FORMAT", "MIGRATIONS", "CheckpointFolder", "Content", "read_checkpoint"]

import contextlib
import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.errors import (
    CheckpointCorruptError,
    CheckpointVersionError,
    CheckpointWarning,
    CheckpointWriteError,
    DataNotFoundError,
    ModelFileError,
)
from softmax_xp.io.atomic import remove_leftovers
from softmax_xp.io.folder_lock import FolderLock
from softmax_xp.io.safetensors_file import read_tensors, write_tensors
from softmax_xp.version import __version__

FORMAT = 1
_NAME = re.compile(r"checkpoint-(\d{8,18})\.safetensors")


class Content(NamedTuple):
    """What a checkpoint holds."""

    fit: Mapping[str, str]
    place: Mapping[str, str]
    structure: Any  # of the state
    tensors: Mapping[str, NDArray[Any]]


_Raw: TypeAlias = tuple[dict[str, NDArray[Any]], dict[str, str]]  # as the file has them: tensors, metadata
# A format -> what makes a file of the next one of it. A new format adds a line here, and a file to tests/io/fixtures.
MIGRATIONS: dict[int, Callable[[_Raw], _Raw]] = {}


@final
class CheckpointFolder:
    """A folder of checkpoints, held for one writer.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    keep : int
        How many checkpoints to keep.

    Raises
    ------
    CheckpointLockedError
        When another fit holds it.
    CheckpointWriteError
        When it cannot be made or written to.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self._damaged = set[Path]()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(folder)
        except OSError as error:
            msg = f"`checkpoint` must name a folder that can be written to; got {folder} ({error})."
            raise CheckpointWriteError(msg) from error
        # Whoever wrote them here held the lock, and is gone.
        remove_leftovers(folder)

    def close(self) -> None:
        """Let others write."""
        self._lock.release()

    def paths(self) -> list[Path]:
        """Return the checkpoints, oldest first."""
        numbered = [(int(match[1]), name) for name in os.listdir(self.folder) if (match := _NAME.fullmatch(name))]  # noqa: PTH208
        return [self.folder / name for _, name in sorted(numbered)]

    def write(self, content: Content) -> Path:
        """Write the next checkpoint; once it is safe, remove those that are no longer needed.

        Parameters
        ----------
        content : Content
            What it holds.

        Returns
        -------
        Path
            Where it is.

        Raises
        ------
        OSError
            When it cannot be written. All others are as they were.
        """
        before = self.paths()
        number = 1 + (int(_NAME.fullmatch(before[-1].name)[1]) if before else 0)  # type: ignore[index]
        path = self.folder / f"checkpoint-{number:08d}.safetensors"
        metadata = {
            "format": str(FORMAT),
            "kind": "checkpoint",
            "softmax_xp": __version__,
            "numpy": np.__version__,
            "fit": json.dumps(dict(content.fit)),
            "place": json.dumps(dict(content.place)),
            "state": json.dumps(content.structure),
        }
        write_tensors(path, content.tensors, metadata)
        intact = [each for each in before if each not in self._damaged]
        needed = {path, *intact[len(intact) - self.keep + 1 :]}
        for each in before:
            if each not in needed:
                with contextlib.suppress(OSError):
                    each.unlink()
        return path

    def read_newest(self) -> Content | None:
        """Read the newest checkpoint that is intact, with a warning for each that is not.

        Returns
        -------
        Content or None
            None where there is none.

        Raises
        ------
        CheckpointCorruptError
            When none is intact.
        CheckpointVersionError
            When the newest is of a newer format.
        """
        reasons = []
        for path in reversed(self.paths()):
            try:
                content = read_checkpoint(path)
            except (CheckpointCorruptError, OSError) as error:
                reasons.append(str(error))
                self._damaged.add(path)
                continue
            for reason in reasons:
                warnings.warn(f"{reason} The fit goes on from the one before.", CheckpointWarning, stacklevel=2)
            return content
        if reasons:
            msg = f"{reasons[0]} No other in this folder is intact. Remove the folder to begin anew."
            raise CheckpointCorruptError(msg)
        return None


def read_checkpoint(path: Path) -> Content:
    """Read one checkpoint; nothing in it is trusted before its checksum is verified.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Content
        Of the newest format.

    Raises
    ------
    CheckpointCorruptError
        When it is damaged or no checkpoint.
    CheckpointVersionError
        When it is of a newer format.
    OSError
        When it cannot be read.
    """
    try:
        tensors, metadata = _migrated(read_tensors(path), path)
        return Content(_texts(metadata["fit"]), _texts(metadata["place"]), json.loads(metadata["state"]), tensors)
    except CheckpointVersionError:
        raise
    except DataNotFoundError as error:
        raise FileNotFoundError(str(path)) from error
    except ModelFileError as error:
        msg = f"`checkpoint` must hold intact files; {str(error).partition('; ')[2]}"
        raise CheckpointCorruptError(msg) from None
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        msg = f"`checkpoint` must hold checkpoints; got {path}, in which {error!r:.200} is missing or wrong."
        raise CheckpointCorruptError(msg) from None


def _migrated(raw: _Raw, path: Path) -> _Raw:
    """Bring a file of an older format to this one."""
    metadata = raw[1]
    if metadata["kind"] != "checkpoint":
        raise ValueError(metadata["kind"])
    version = int(metadata["format"])
    if version > FORMAT:
        raise _newer(path, version, metadata.get("softmax_xp", "of an unknown version"))
    for old in range(version, FORMAT):
        raw = MIGRATIONS[old](raw)
    return raw


def _newer(path: Path, version: int, writer: str) -> CheckpointVersionError:
    """Build the error for a format that is yet to be invented."""
    msg = (
        f"`checkpoint` must hold checkpoints of format {FORMAT} or older; got format {version} in {path}, written by "
        f"softmax_xp {writer}. Install that version or a newer one, or pass another folder."
    )
    return CheckpointVersionError(msg)


def _texts(text: str) -> dict[str, str]:
    """Read a JSON object of texts."""
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(text[:80])
    return found
