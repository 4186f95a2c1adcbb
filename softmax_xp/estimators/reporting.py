# SPDX-License-Identifier: BSD-3-Clause
"""What a fit tells while it runs, and the warning of a fit that did not end well."""

__all__ = ["NotConvergedWarning", "Show", "as_shown", "check_functions", "warn_unless_converged"]

import warnings
from collections.abc import Callable, Mapping
from typing import TypeAlias

from sklearn.exceptions import ConvergenceWarning

from softmax_xp.blas import let_go
from softmax_xp.errors import InvalidTypeError, SoftmaxXPWarning
from softmax_xp.estimators.settings import FitSettings
from softmax_xp.solvers import Status

# Is shown each row of the history; a true answer ends the fit.
Show: TypeAlias = Callable[[Mapping[str, float]], bool]


class NotConvergedWarning(SoftmaxXPWarning, ConvergenceWarning):  # type: ignore[misc]  # it has no types
    """A fit ended before its tolerance was met, or there is no minimum."""


def warn_unless_converged(status: str, *, is_minibatch: bool = False) -> None:
    """Give scikit-learn's warning, with advice, for a fit that missed its tolerance."""
    if status not in {Status.FLOOR, Status.MAX_ITER, Status.INTERRUPTED}:
        return
    advice = Status(status).message
    if is_minibatch and status == Status.MAX_ITER:
        advice = "The objective still fell after `max_iter` epochs. Increase `max_iter` or `learning_rate`."
    warnings.warn(f"The fit did not converge. {advice}", NotConvergedWarning, stacklevel=4)


def check_functions(settings: FitSettings) -> None:
    """Refuse callbacks that wait for epochs, where there are none."""
    for callback in settings.callbacks:
        if not callable(callback):
            msg = (
                f"`callbacks` must be functions of a row of the history with solver={settings.solver!r}; got "
                f"{callback!r}, which waits for epochs. Use a minibatch solver, such as 'adam'."
            )
            raise InvalidTypeError(msg)


def as_shown(settings: FitSettings) -> Show:
    """Return what prints a row of the history where that is wanted, and asks the functions among the callbacks."""
    functions = [callback for callback in settings.callbacks if callable(callback)]

    def show(row: Mapping[str, float]) -> bool:
        if settings.verbose:
            print("  ".join(f"{name} {value:.6g}" for name, value in row.items()))  # noqa: T201 - `verbose` asks for it
        # A list: every callback sees every row, whoever asks to stop. It may wait for other threads.
        with let_go():
            answers = [bool(function(row)) for function in functions]
        return any(answers)

    return show
