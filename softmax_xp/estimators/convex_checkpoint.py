# SPDX-License-Identifier: BSD-3-Clause
"""Checkpoints of a fit by a full-batch solver."""

__all__ = ["StagedKeeper", "keeper_of"]

from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

from numpy.typing import NDArray

from softmax_xp.estimators.settings import FitSettings
from softmax_xp.io.records import record_classes
from softmax_xp.kernels import enabled
from softmax_xp.objectives import ConvexObjective
from softmax_xp.solvers import Solution, Solver, Status
from softmax_xp.training.fingerprint import describe, describe_array, describe_data, describe_form, describe_place
from softmax_xp.training.keeper import Keeper
from softmax_xp.typing import Array

# More iterations than were asked for at first are more of the same fit; all of these shape it.
_SHAPING = ("C", "l1_ratio", "fit_intercept", "class_weight", "tol", "stopping", "compute", "memory_budget")
# What the second stage needs of the first, besides its status.
_CARRIED = ("certified", "n_iter", "passes", "history")


def keeper_of(
    settings: FitSettings, objective: ConvexObjective, solver: Solver, start: Array, classes: NDArray[Any]
) -> AbstractContextManager[Keeper | None]:
    """Return what keeps the checkpoints of a fit.

    Parameters
    ----------
    settings : FitSettings
        The parameters.
    objective : ConvexObjective
        What is minimised.
    solver : Solver
        By which.
    start : array of shape (n_rows, n_columns)
        Where it begins.
    classes : array of shape (n_classes,)
        The labels.

    Returns
    -------
    context manager of Keeper or None
        None where no checkpoint is asked for.
    """
    if settings.checkpoint is None:
        return nullcontext(None)
    backend, linear = objective.backend, objective.linear
    with backend.scope():
        fit = {
            "kind": "full batch",
            "solver": describe(solver),
            "parameters": describe_form(start),
            "classes": describe(classes.tolist()),
            **describe_data(linear.X, linear.targets, backend),
            "start": describe_array(start),
            **{name: describe(getattr(settings, name)) for name in _SHAPING},
        }
    # The metrics and surrogates that a state refers to are the objectives'; a solver of the user's own has states too.
    known = record_classes(["softmax_xp.solvers", "softmax_xp.objectives", type(solver).__module__])
    place = describe_place(backend, kernels=enabled())
    return Keeper(settings.checkpoint, fit=fit, place=place, known=known, backend=backend)


@final
class StagedKeeper:
    """Keeps the checkpoints of two fits in a row, the second of which begins where the first has ended.

    Parameters
    ----------
    keeper : Keeper
        Of both.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper, self._found = keeper, keeper.load()
        self._stage = 0
        self._before: dict[str, Any] | None = None

    @property
    def is_stopping(self) -> bool:
        """Whether Ctrl-C asks for a checkpoint and the end of the fit."""
        return self._keeper.is_stopping

    def due(self, steps: int = 1) -> bool:
        """Count further iterations, and tell whether a checkpoint is to be written now."""
        return self._keeper.due(steps)

    def unusable(self, reason: object) -> Exception:
        """Return the error for a state that is none of this fit."""
        return self._keeper.unusable(reason)

    def load(self) -> Any | None:
        """Return the newest state of the present stage, or None."""
        return None if self._found is None or self._found["stage"] != self._stage else self._found["state"]

    def save(self, state: Any, *, is_last: bool = False) -> None:
        """Write a state of the present stage."""
        self._keeper.save({"stage": self._stage, "before": self._before, "state": state}, is_last=is_last)

    def first(self) -> Solution | None:
        """Return how the first stage ended, where a checkpoint of the second says so."""
        if self._found is None or self._found["stage"] == 0:
            return None
        before = self._found["before"]
        try:
            return Solution(status=Status(before["status"]), **{name: before[name] for name in _CARRIED})
        except (LookupError, TypeError, ValueError) as error:
            raise self.unusable(repr(error)) from None

    def begin_second(self, first: Solution) -> None:
        """Go over to the second stage."""
        self._stage = 1
        self._before = {"status": str(first.status), **{name: getattr(first, name) for name in _CARRIED}}
