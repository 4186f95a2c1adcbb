# SPDX-License-Identifier: BSD-3-Clause
"""Callbacks: what happens between epochs.

A callback is any object with the three methods of :class:`Callback`; subclass it to write only those you need. They
run on the host after a finished epoch, never inside a step.
"""

__all__ = ["BestWeights", "Callback", "EarlyStopping", "EpochEnd"]

from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple, final

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.training.history import History
from softmax_xp.typing import LinearParams


class EpochEnd(NamedTuple):
    """What a callback sees after an epoch.

    ``params`` are never overwritten by later steps, so a callback may keep them without a copy.
    """

    epoch: int
    params: LinearParams
    history: History


class Callback:
    """Base of callbacks: does nothing.

    Examples
    --------
    >>> from softmax_xp import Callback
    >>> class Printer(Callback):
    ...     def on_epoch_end(self, event):
    ...         print(event.epoch, event.history.rows[-1]["train_loss"])
    """

    def on_fit_start(self) -> None:
        """Forget earlier fits."""

    def on_epoch_end(self, event: EpochEnd) -> bool | None:
        """Look at an epoch.

        Parameters
        ----------
        event : EpochEnd
            The epoch, the parameters after it and the history, whose last row is this epoch's.

        Returns
        -------
        bool or None
            True stops the fit after this epoch.
        """

    def on_fit_end(self, event: EpochEnd) -> LinearParams | None:
        """Have the last word on the model's parameters.

        Parameters
        ----------
        event : EpochEnd
            The last epoch, the parameters after it and the history, whose last row is this epoch's.

        Returns
        -------
        LinearParams or None
            What the model should have; None keeps the last ones.
        """

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold for the callback to go on as if nothing had happened.

        Returns
        -------
        dict of str to object
            Arrays, numbers, text and None, in tuples, lists and dicts; `LinearParams` too. Empty for a callback that
            remembers nothing from epoch to epoch.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned; called after :meth:`on_fit_start`.

        Parameters
        ----------
        state : mapping of str to object
            From a checkpoint.
        """


def _improves(event: EpochEnd, monitor: str, best: float, min_delta: float) -> tuple[bool, float]:
    """Compare the newest value of a column with the best so far; accuracies rise, everything else falls."""
    row = event.history.rows[-1]
    if monitor not in row:
        hint = " Pass validation data to fit." if monitor.startswith("validation") else ""
        msg = f"`monitor` must be a column of the history, {', '.join(row)}; got {monitor!r}.{hint}"
        raise InvalidValueError(msg)
    value = -row[monitor] if monitor.endswith("accuracy") else row[monitor]
    return value < best - min_delta, value


@final
class EarlyStopping(Callback):
    """Stop when a column of the history has not improved for some epochs.

    Parameters
    ----------
    monitor : str, default: "validation_loss"
        The column. One that ends in ``accuracy`` should rise, any other fall.
    patience : int, default: 5
        How many epochs without improvement to allow.
    min_delta : float, default: 0.0
        What counts as an improvement, in the units of the column.

    Raises
    ------
    InvalidValueError
        For a negative patience or ``min_delta``.

    See Also
    --------
    BestWeights : Return to the weights of the best epoch.

    References
    ----------
    .. [1] L. Prechelt, "Early stopping - but when?", 1998.

    Examples
    --------
    >>> from softmax_xp import EarlyStopping
    >>> EarlyStopping(patience=3)
    EarlyStopping(monitor='validation_loss', patience=3, min_delta=0.0)
    """

    def __init__(self, monitor: str = "validation_loss", patience: int = 5, min_delta: float = 0.0) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int):
            msg = f"`patience` must be an integer; got {patience!r}."
            raise InvalidTypeError(msg)
        if patience < 0 or not min_delta >= 0:
            msg = f"`patience` and `min_delta` must be >= 0; got {patience} and {min_delta}."
            raise InvalidValueError(msg)
        self.monitor, self.patience, self.min_delta = monitor, patience, min_delta
        self._best, self._waited = inf, 0

    def __repr__(self) -> str:
        """Show the settings."""
        return f"EarlyStopping(monitor={self.monitor!r}, patience={self.patience}, min_delta={self.min_delta})"

    def on_fit_start(self) -> None:
        """Forget earlier fits."""
        self._best, self._waited = inf, 0

    def on_epoch_end(self, event: EpochEnd) -> bool:
        """Count the epochs since the last improvement.

        Parameters
        ----------
        event : EpochEnd
            The epoch, the parameters after it and the history, whose last row is this epoch's.

        Returns
        -------
        bool
            Whether patience has run out.
        """
        improved, value = _improves(event, self.monitor, self._best, self.min_delta)
        self._best, self._waited = (value, 0) if improved else (self._best, self._waited + 1)
        return self._waited > self.patience

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold.

        Returns
        -------
        dict of str to object
            The best value, and the epochs since.
        """
        return {"best": self._best, "waited": self._waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned.

        Parameters
        ----------
        state : mapping of str to object
            From a checkpoint.
        """
        self._best, self._waited = state["best"], state["waited"]


@final
class BestWeights(Callback):
    """End with the weights of the best epoch instead of the last.

    Parameters
    ----------
    monitor : str, default: "validation_loss"
        The column that says which epoch is best. One that ends in ``accuracy`` should rise, any other fall.

    Attributes
    ----------
    best_epoch : int or None
        Whose weights the model has, counted from 0.

    Examples
    --------
    >>> from softmax_xp import BestWeights
    >>> BestWeights(monitor="validation_accuracy")
    BestWeights(monitor='validation_accuracy')
    """

    def __init__(self, monitor: str = "validation_loss") -> None:
        self.monitor = monitor
        self.best_epoch: int | None = None
        self._best = inf
        self._params: LinearParams | None = None

    def __repr__(self) -> str:
        """Show the settings."""
        return f"BestWeights(monitor={self.monitor!r})"

    def on_fit_start(self) -> None:
        """Forget earlier fits."""
        self.best_epoch, self._best, self._params = None, inf, None

    def on_epoch_end(self, event: EpochEnd) -> None:
        """Keep the parameters of a better epoch. They are never overwritten, so this is no copy.

        Parameters
        ----------
        event : EpochEnd
            The epoch, the parameters after it and the history, whose last row is this epoch's.
        """
        improved, value = _improves(event, self.monitor, self._best, 0.0)
        if improved:
            self.best_epoch, self._best, self._params = event.epoch, value, event.params

    def on_fit_end(self, event: EpochEnd) -> LinearParams | None:
        """Return to the best epoch.

        Parameters
        ----------
        event : EpochEnd
            The last epoch, the parameters after it and the history, whose last row is this epoch's.

        Returns
        -------
        LinearParams or None
            The best parameters; None where no epoch ended, or where Ctrl-C did, which asks for the last full step.
        """
        return None if event.history.status == "interrupted" else self._params

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold.

        Returns
        -------
        dict of str to object
            The best epoch, its value and its parameters.
        """
        return {"best_epoch": self.best_epoch, "best": self._best, "params": self._params}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned.

        Parameters
        ----------
        state : mapping of str to object
            From a checkpoint.
        """
        self.best_epoch, self._best, self._params = state["best_epoch"], state["best"], state["params"]
