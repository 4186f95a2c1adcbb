# SPDX-License-Identifier: BSD-3-Clause
"""Every exception and warning of the package.

Each error is both a :class:`SoftmaxXPError` and the builtin that fits, so that ``except ValueError``
written for another library still works. Messages have one form:
"`name` must be ...; got .... Pass/Use/Install ...".
"""

__all__ = [
    "CheckpointCorruptError",
    "CheckpointError",
    "CheckpointLockedError",
    "CheckpointMismatchError",
    "CheckpointVersionError",
    "CheckpointWarning",
    "CheckpointWriteError",
    "DataChangedError",
    "DataNotFoundError",
    "DeviceMismatchError",
    "DeviceUnavailableError",
    "InvalidTypeError",
    "InvalidValueError",
    "MissingDependencyError",
    "ModelFileError",
    "ShardError",
    "SmallDataWarning",
    "SoftmaxXPError",
    "SoftmaxXPWarning",
    "TrainingDivergedError",
    "WorkerLostError",
]

from functools import partial
from typing import Any


class SoftmaxXPError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidValueError(SoftmaxXPError, ValueError):
    """An argument of the right type holds a value that makes no sense."""


class InvalidTypeError(SoftmaxXPError, TypeError):
    """An argument is of the wrong kind."""


class DeviceUnavailableError(SoftmaxXPError, RuntimeError):
    """A device was asked for by name and cannot be used here.

    Parameters
    ----------
    reason : str
        What is missing.
    install : str
        The command that adds it; empty where none does.
    """

    def __init__(self, reason: str, *, install: str = "") -> None:
        super().__init__(f"{reason} Install it with: {install}" if install else reason)
        self.reason = reason
        self.install = install


class DeviceMismatchError(SoftmaxXPError, ValueError):
    """Two arrays that must meet live in different libraries or on different devices."""


class MissingDependencyError(SoftmaxXPError, ImportError):
    """An optional dependency is needed for what was asked and is not installed."""


class DataNotFoundError(SoftmaxXPError, FileNotFoundError):
    """A data set or file is neither on this machine nor to be had from it."""


class DataChangedError(SoftmaxXPError, RuntimeError):
    """A file was written to, cut off or replaced while a fit was reading it."""


class ShardError(SoftmaxXPError, RuntimeError):
    """A worker of a cluster could not load its part of the data."""


class WorkerLostError(SoftmaxXPError, RuntimeError):
    """A cluster has no worker left, or none that answers."""


class ModelFileError(SoftmaxXPError, ValueError):
    """A model file is damaged, foreign or not a model of this package."""


class CheckpointError(SoftmaxXPError, RuntimeError):
    """A checkpoint cannot be written, read or used. Each reason has a class of its own."""


class CheckpointCorruptError(CheckpointError, ValueError):
    """No file of a checkpoint folder is intact."""


class CheckpointVersionError(CheckpointError, ValueError):
    """A checkpoint is of a newer format than this version of the package reads."""


class CheckpointMismatchError(CheckpointError, ValueError):
    """A checkpoint is that of another fit: of other data, or with other settings."""


class CheckpointLockedError(CheckpointError):
    """Another fit is writing to the same checkpoint folder."""


# OSError first: it has fields of its own in C, and only its `__new__` may make one. Dask's pickles call the first one
# that the class inherits, which would be RuntimeError's.
class CheckpointWriteError(OSError, CheckpointError):
    """The folder of the checkpoints cannot be written to, or has failed too often in a row."""


class TrainingDivergedError(SoftmaxXPError, ArithmeticError):
    """The loss stopped being finite.

    Parameters
    ----------
    message : str
        What happened, at which step and learning rate.
    model : object
        The model with the last weights under which the loss was finite.
    history : object
        The history up to that point.
    step : int
        The first step, counted from 0, whose loss was not finite.
    """

    def __init__(self, message: str, *, model: Any, history: Any, step: int) -> None:
        super().__init__(message)
        self.model = model
        self.history = history
        self.step = step

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the arguments by name, which an exception by itself forgets."""
        parts = {"model": self.model, "history": self.history, "step": self.step}
        return partial(type(self), *self.args, **parts), (), getattr(self, "__dict__", None)


class SoftmaxXPWarning(UserWarning):
    """Base of every warning that this package gives."""


class SmallDataWarning(SoftmaxXPWarning):
    """There are fewer samples than one batch holds, or than a cluster is worth."""


class CheckpointWarning(SoftmaxXPWarning):
    """A checkpoint could not be written or read, and the fit goes on without it."""
