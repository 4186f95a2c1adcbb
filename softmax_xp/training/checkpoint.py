# SPDX-License-Identifier: BSD-3-Clause
"""Where and how often a fit is to be saved."""

__all__ = ["Checkpoint", "as_checkpoint"]

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from softmax_xp.errors import InvalidTypeError
from softmax_xp.hyperparameters import AT_LEAST_ONE, FLAG, NON_NEGATIVE, check_hyperparameters


@final
@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Save a fit as it goes, so that it can go on after whatever ends it.

    A fit that is killed at any moment and started again with the same arguments ends with the same bits as one that was
    never killed, where libraries and device are the same. Files are written whole or not at all, carry a SHA-256 and
    hold no code; if the newest is damaged, the one before takes its place. The first Ctrl-C lets the step under way
    end, writes a checkpoint and leaves a usable model; the second ends the fit at once.

    Parameters
    ----------
    folder : path-like
        Of this fit alone; made where it does not exist.
    every_seconds : float, default: 60.0
        Write when so many seconds have passed since the last.
    every_steps : int, optional
        Write when so many steps, or iterations of a full-batch solver, have been made since the last. The fit's end
        and Ctrl-C write one in any case.
    keep : int, default: 2
        How many checkpoints to keep.
    resume : bool, default: True
        Whether to go on from the newest checkpoint where there is one. False begins anew, and replaces it.
    on_sigterm : bool, default: False
        Whether SIGTERM, which clusters send before they end a job, is treated like Ctrl-C. Only in the main thread.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a setting is of the wrong kind or out of range.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trainer = sx.Trainer(epochs=3, batch_size=2, device="cpu", checkpoint=sx.Checkpoint(folder))
    ...     model, history = trainer.fit(X, y)
    ...     again, _ = trainer.fit(X, y)  # from the checkpoint of the finished fit
    >>> bool((model.params.weight == again.params.weight).all())
    True
    """

    folder: str | os.PathLike[str]
    every_seconds: float = 60.0
    every_steps: int | None = None
    keep: int = 2
    resume: bool = True
    on_sigterm: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        if not isinstance(self.folder, str | os.PathLike) or not isinstance(os.fspath(self.folder), str):
            msg = f"`folder` must be a path; got {self.folder!r}."
            raise InvalidTypeError(msg)
        check_hyperparameters(self, every_seconds=NON_NEGATIVE, keep=AT_LEAST_ONE, resume=FLAG, on_sigterm=FLAG)
        if self.every_steps is not None:
            check_hyperparameters(self, every_steps=AT_LEAST_ONE)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder)


def as_checkpoint(checkpoint: Any) -> Checkpoint | None:
    """Return the settings that an argument ``checkpoint=`` stands for.

    Parameters
    ----------
    checkpoint : path-like, Checkpoint or None
        A path stands for ``Checkpoint(path)``.

    Returns
    -------
    Checkpoint or None
        None for None.

    Raises
    ------
    InvalidTypeError
        For anything else.
    """
    if checkpoint is None or isinstance(checkpoint, Checkpoint):
        return checkpoint
    if isinstance(checkpoint, str | os.PathLike):
        return Checkpoint(checkpoint)
    msg = f"`checkpoint` must be a folder or a Checkpoint; got {checkpoint!r}. Pass Checkpoint(folder)."
    raise InvalidTypeError(msg)
