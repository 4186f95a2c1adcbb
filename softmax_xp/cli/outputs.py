# SPDX-License-Identifier: BSD-3-Clause
"""Where a training is saved: sure that it can be before it takes its time, and said when it was cut short."""

__all__ = ["checked_checkpoint", "checked_path", "end_if_interrupted"]

import os
from pathlib import Path

import typer

from softmax_xp.errors import DataNotFoundError, InvalidValueError
from softmax_xp.training import Checkpoint


def checked_checkpoint(folder: Path | None, *, resume: bool) -> Checkpoint | None:
    """Return where to save the training; an earlier one there is neither lost nor taken up unasked."""
    if folder is None:
        if resume:
            msg = "`--resume` must come with a folder of checkpoints. Pass --checkpoint FOLDER."
            raise InvalidValueError(msg)
        return None
    if not resume and any(folder.glob("checkpoint-*.safetensors")):
        msg = f"`--checkpoint` must name a folder without checkpoints; got {folder}. Pass --resume to go on from them."
        raise InvalidValueError(msg)
    return Checkpoint(folder, on_sigterm=True)


def checked_path(output: Path | None, data: str) -> Path:
    """Return where to save the model, in a folder that exists and can be written to."""
    path = Path(f"softmax-xp-{Path(data).name.partition('.')[0]}.safetensors") if output is None else output
    if path.is_dir():
        msg = f"`output` must name a file; got the folder {path}."
        raise InvalidValueError(msg)
    if not path.parent.is_dir():
        msg = f"`output` must lie in a folder that exists; got {path}."
        raise DataNotFoundError(msg)
    if not os.access(path.parent, os.W_OK):
        msg = f"`output` must lie in a folder that can be written to; got {path}."
        raise InvalidValueError(msg)
    return path


def end_if_interrupted(status: str, path: Path, checkpoint: Checkpoint | None) -> None:
    """End with the exit code of Ctrl-C where a fit was cut short by it, and say what there is."""
    if status == "interrupted":
        hint = "" if checkpoint is None else "; the same command with --resume goes on"
        typer.echo(f"interrupted: {path} holds the model of the last full step{hint}", err=True)
        raise typer.Exit(130)
