# SPDX-License-Identifier: BSD-3-Clause
"""What a checkpoint of a training run holds, and how a run goes on from it.

The order of the samples is a function of the seed and the epoch, and schedules and optimizers remember nothing outside
their states, so this is all of it: where in which epoch, the parameters, the states of optimizer and averaging, the
sums of the epoch so far, the history, and what the callbacks remember.
"""

__all__ = ["known_records", "restore_run", "run_state"]

from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from softmax_xp.io.records import record_classes_in, record_name
from softmax_xp.typing import LinearParams

if TYPE_CHECKING:
    from softmax_xp.training.keeper import Keeper
    from softmax_xp.training.loop import _Run

_CARRIED = ("packed", "optimizer_state", "average_state")


def known_records(optimizer_state: Any, average_state: Any) -> dict[str, type]:
    """Return the classes that the state of a run may hold: those of the states it begins with, and parameters.

    Parameters
    ----------
    optimizer_state, average_state : object
        Before the first step.

    Returns
    -------
    dict of str to type
        For :class:`softmax_xp.training.keeper.Keeper`.
    """
    return {record_name(LinearParams): LinearParams} | record_classes_in((optimizer_state, average_state))


def run_state(run: "_Run", number: int, position: int, *, is_done: bool) -> dict[str, Any]:
    """Return the state of a run between two steps, with nothing left to read in its meter.

    Parameters
    ----------
    run : _Run
        Whose.
    number, position : int
        The epoch, and how many of its samples have been visited.
    is_done : bool
        Whether no step is to come.

    Returns
    -------
    dict of str to object
        For :meth:`softmax_xp.training.keeper.Keeper.save`.
    """
    return {
        "epoch": number,
        "position": position,
        "is_done": is_done,
        **{name: getattr(run.carry, name) for name in _CARRIED},
        "good": run.good,
        "previous": run.previous,
        "meter": run.meter.state(),
        "history": run.history.rows,
        "status": run.history.status,
        "monitored": run.monitored,
        "seconds": perf_counter() - run.start,
        "callbacks": [callback.state() for callback in run.settings.callbacks],
    }


def restore_run(run: "_Run", keeper: "Keeper") -> None:
    """Bring a run to where the newest checkpoint left off; without one it stays at its beginning.

    Parameters
    ----------
    run : _Run
        At its beginning.
    keeper : Keeper
        Has the checkpoints.

    Raises
    ------
    CheckpointCorruptError
        When the newest intact checkpoint holds something else.
    """
    state = keeper.load()
    if state is None:
        return
    try:
        _restore(run, state)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise keeper.unusable(repr(error)) from None


def _restore(run: "_Run", state: Mapping[str, Any]) -> None:
    number, position = state["epoch"], state["position"]
    if not 0 <= number <= run.settings.epochs or not 0 <= position <= run.samples or position % 1:
        raise ValueError((number, position))
    found = {name: state[name] for name in _CARRIED}
    for name, value in found.items():
        _check_form(getattr(run.carry, name), value, name)
    for name in ("good", "previous"):
        _check_form(run.good, state[name], name)
    run.carry = run.carry._replace(**found)
    run.good, run.previous = state["good"], state["previous"]
    run.number, run.position, run.is_done = number, position, state["is_done"]
    run.meter.restore(state["meter"])
    run.history.rows, run.history.status = [dict(row) for row in state["history"]], state["status"]
    run.monitored, run.start = tuple(state["monitored"]), perf_counter() - state["seconds"]
    for callback, kept in zip(run.settings.callbacks, state["callbacks"], strict=True):
        callback.restore(kept)
    run.bar.begin_at(number * run.samples + position)


def _check_form(expected: Any, found: Any, name: str) -> None:
    """Compare classes, shapes and dtypes with those of the beginning, which no step changes."""
    if type(found) is not type(expected):
        msg = f"`{name}` is of type {type(found).__name__}, not {type(expected).__name__}"
        raise TypeError(msg)
    if isinstance(expected, tuple):
        for number, (before, after) in enumerate(zip(expected, found, strict=True)):
            _check_form(before, after, f"{name}.{number}")
    elif hasattr(expected, "shape") and (found.shape != expected.shape or found.dtype != expected.dtype):
        msg = f"`{name}` is an array of shape {found.shape} and dtype {found.dtype}"
        raise ValueError(msg)
