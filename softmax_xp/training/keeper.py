# SPDX-License-Identifier: BSD-3-Clause
"""Keeps a fit's checkpoints: when to write one, what to do where that fails, and where to go on from."""

__all__ = ["Keeper"]

import logging
import warnings
from collections.abc import Mapping
from time import monotonic
from typing import Any, Self, final

from softmax_xp.backend import Backend
from softmax_xp.errors import (
    CheckpointCorruptError,
    CheckpointMismatchError,
    CheckpointWarning,
    CheckpointWriteError,
)
from softmax_xp.io.checkpoint_file import CheckpointFolder, Content
from softmax_xp.io.records import pack, unpack
from softmax_xp.training.checkpoint import Checkpoint
from softmax_xp.training.signals import StopRequest

logger = logging.getLogger("softmax_xp")

# Writes in a row that may fail.
_FAILURES = 3


@final
class Keeper:
    """What a loop talks to between two steps. Use it in a ``with`` block: it holds the folder, and Ctrl-C.

    Parameters
    ----------
    checkpoint : Checkpoint
        The user's settings.
    fit, place : mapping of str to str
        From :mod:`softmax_xp.training.fingerprint`: what must be the same, and what should.
    known : mapping of str to type
        The classes of records that states of this fit may hold.
    backend : Backend
        Where arrays go.

    Raises
    ------
    CheckpointLockedError
        When another fit writes to the folder.
    CheckpointWriteError
        When the folder cannot be written to.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        fit: Mapping[str, str],
        place: Mapping[str, str],
        known: Mapping[str, type],
        backend: Backend,
    ) -> None:
        self.checkpoint, self.fit, self.place, self.known, self.backend = checkpoint, fit, place, known, backend
        self._folder = CheckpointFolder(checkpoint.path, checkpoint.keep)
        self._stop = StopRequest(on_sigterm=checkpoint.on_sigterm)
        self._steps = self._failures = 0
        self._due = monotonic() + checkpoint.every_seconds

    def __enter__(self) -> Self:
        """Take Ctrl-C over."""
        self._stop.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        """Give Ctrl-C back, and the folder."""
        self._stop.__exit__()
        self._folder.close()

    @property
    def is_stopping(self) -> bool:
        """Whether Ctrl-C asks for a checkpoint and the end of the fit."""
        return self._stop.is_made

    def load(self) -> Any | None:
        """Return the newest state.

        Returns
        -------
        object or None
            None where there is none, or none is wanted.

        Raises
        ------
        CheckpointCorruptError
            When no checkpoint is intact.
        CheckpointMismatchError
            When it is that of another fit.
        CheckpointVersionError
            When it is of a newer format.
        """
        if not self.checkpoint.resume:
            return None
        content = self._folder.read_newest()
        if content is None:
            return None
        self._compare(content)
        try:
            with self.backend.scope():
                return unpack(content.structure, content.tensors, self.known, self.backend.put)
        except ValueError as error:
            raise self.unusable(error) from None

    def unusable(self, reason: object) -> CheckpointCorruptError:
        """Build the error for a checkpoint that is intact, and no state of this fit."""
        msg = f"`checkpoint` must hold states of this fit; got {self.checkpoint.path}, in which {reason!s:.300}."
        return CheckpointCorruptError(msg)

    def due(self, steps: int = 1) -> bool:
        """Count further steps, and tell whether a checkpoint is to be written now.

        Parameters
        ----------
        steps : int, default: 1
            Made since the last call.

        Returns
        -------
        bool
            Also true where Ctrl-C asks for one.
        """
        self._steps += steps
        every = self.checkpoint.every_steps
        return self._stop.is_made or (every is not None and self._steps >= every) or monotonic() >= self._due

    def save(self, state: Any, *, is_last: bool = False) -> None:
        """Write a checkpoint. A failure is a warning, and an error when it is the third in a row.

        Parameters
        ----------
        state : object
            As :mod:`softmax_xp.io.records` has it.
        is_last : bool, default: False
            Whether the fit is over: then a failure is no more than a warning.

        Raises
        ------
        CheckpointWriteError
            After three failures in a row.
        InvalidTypeError
            For a state that could not be read back.
        """
        content = Content(self.fit, self.place, *pack(state, self.known))
        try:
            path = self._folder.write(content)
        except OSError as error:
            self._failures += 1
            what = f"The checkpoint could not be written to {self.checkpoint.path} ({error})."
            if self._failures >= _FAILURES and not is_last:
                msg = f"`checkpoint` must name a folder that can be written to. {what} Earlier ones are as they were."
                raise CheckpointWriteError(msg) from error
            warnings.warn(f"{what} The fit goes on; earlier ones are as they were.", CheckpointWarning, stacklevel=2)
        else:
            self._failures = 0
            logger.debug("Wrote the checkpoint %s.", path)
        self._steps, self._due = 0, monotonic() + self.checkpoint.every_seconds

    def _compare(self, content: Content) -> None:
        """Refuse another fit's checkpoint; say where the same one will round differently."""
        other = _differences(content.fit, self.fit)
        if other:
            msg = (
                f"`checkpoint` must be that of this fit; the one in {self.checkpoint.path} has another {other}. Pass "
                "the same data and settings, or another folder, or Checkpoint(..., resume=False) to begin anew."
            )
            raise CheckpointMismatchError(msg)
        elsewhere = _differences(content.place, self.place)
        if elsewhere:
            msg = f"The fit goes on with the last bits perhaps rounded differently, as there is another {elsewhere}."
            warnings.warn(msg, CheckpointWarning, stacklevel=2)


def _differences(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """List the fields that differ."""
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return ", ".join(f"{name} ({there.get(name)!s:.200} there, {here.get(name)!s:.200} here)" for name in names)
