# SPDX-License-Identifier: BSD-3-Clause
"""A fit by the trainer: minibatches, until the objective no longer falls."""

__all__ = ["PLATEAU", "fit_minibatch", "penalty_of"]

import warnings
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from numbers import Integral
from typing import Any, final

from softmax_xp.errors import InvalidValueError, SmallDataWarning
from softmax_xp.estimators.coefficients import columns_of_classes, one_column
from softmax_xp.estimators.convex_fit import convex_objective
from softmax_xp.estimators.problem import FitProblem, FittedParts, check_dense, counting
from softmax_xp.estimators.reporting import Show, warn_unless_converged
from softmax_xp.estimators.settings import FitSettings, minibatch_name, minibatch_optimizer, seed_of
from softmax_xp.losses import CrossEntropy
from softmax_xp.penalties import ElasticNet, Penalty
from softmax_xp.solvers import Status
from softmax_xp.training import Callback, Trainer
from softmax_xp.training.callbacks import EpochEnd
from softmax_xp.typing import LinearParams

# The status of a fit that ended because its objective no longer fell.
PLATEAU = "plateau"
# Epochs, and steps, without progress that end a fit. Within as many the objective must have fallen by `tol`, however
# slowly. Momentum makes the objective rise and fall for some dozens of steps, which few samples make in as many epochs.
_PATIENT_EPOCHS, _PATIENT_STEPS = 10, 100


@final
class _Watch(Callback):
    """Shows each epoch to the user, and ends a fit whose objective has not fallen by `tol` for some time."""

    def __init__(self, tol: float, show: Show, steps_per_epoch: int) -> None:
        self.tol, self.show = tol, show
        self.patience = max(_PATIENT_EPOCHS, -(-_PATIENT_STEPS // steps_per_epoch))
        self.best, self.waited = inf, 0
        self.is_plateau = False

    def state(self) -> dict[str, Any]:
        """Return the best value, the epochs since, and whether they were too many."""
        return {"best": self.best, "waited": self.waited, "is_plateau": self.is_plateau}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""
        self.best, self.waited, self.is_plateau = state["best"], state["waited"], state["is_plateau"]

    def on_epoch_end(self, event: EpochEnd) -> bool:
        """Look at the newest row."""
        row = event.history.rows[-1]
        value = row["train_loss"] + row.get("penalty", 0.0)
        if value < self.best - self.tol:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        self.is_plateau = self.waited >= self.patience
        return self.show(row) or self.is_plateau


def penalty_of(settings: FitSettings, reciprocal_total: float, n_classes: int) -> Penalty | None:
    """Return the penalty of a model with a column for each class.

    Two columns ``(-w / 2, w / 2)`` have half the sum of squares of the one column ``w``, and the same sum of absolute
    values; so for two classes the L2 part counts twice.
    """
    l1, l2 = settings.strengths(reciprocal_total)
    if not (l1 or l2):
        return None
    return ElasticNet(l1=l1, l2=2.0 * l2 if n_classes == 2 else l2)


def fit_minibatch(problem: FitProblem, settings: FitSettings, start: LinearParams | None, show: Show) -> FittedParts:
    """Train.

    Parameters
    ----------
    problem : FitProblem
        The data.
    settings : FitSettings
        The parameters; ``max_iter`` counts epochs.
    start : LinearParams or None
        Where to begin; None is zero.
    show : callable
        Is shown each row of the history; a true answer ends the fit.

    Returns
    -------
    FittedParts
        With the certificate of the last weights.
    """
    check_dense(problem)
    _check_order(settings)
    problem = counting(problem)
    X, targets, weight = problem.linear.X, problem.targeted.targets, problem.linear.targets.sample_weight
    n_classes, optimizer = len(problem.classes), minibatch_optimizer(settings)
    batch_size = _batch_size(settings.batch_size, X.shape[0])
    watch = _Watch(settings.tol, show, -(-X.shape[0] // batch_size))
    trainer = Trainer(
        optimizer=optimizer,
        loss=CrossEntropy(class_weight=problem.class_weight),
        penalty=penalty_of(settings, problem.reciprocal_total, n_classes),
        epochs=settings.max_iter,
        batch_size=batch_size,
        device=problem.backend,
        dtype=problem.dtype,
        seed=seed_of(settings.random_state),
        fit_intercept=settings.fit_intercept,
        compute=settings.compute,
        memory_budget=settings.memory_budget,
        checkpoint=settings.checkpoint,
        callbacks=[*(each for each in settings.callbacks if isinstance(each, Callback)), watch],
    )
    initial = None if start is None else columns_of_classes(problem.put(start))
    model, history = trainer.fit(X, targets, sample_weight=weight, classes=list(range(n_classes)), initial=initial)
    objective = convex_objective(problem, settings)
    # What is certified is the model with the best bias, so that is what the fit leaves.
    point, certificate = objective.certificate(objective.point(one_column(model.params)))
    params = objective.params(point)
    is_certified = certificate.bound <= settings.tol
    certificate = replace(certificate, test="certificate" if is_certified else "none")
    status = _status(history.status, is_plateau=watch.is_plateau, is_certified=is_certified)
    warn_unless_converged(status, is_minibatch=True)
    return FittedParts(params, len(history), status, certificate, history, minibatch_name(settings))


def _check_order(settings: FitSettings) -> None:
    """Refuse an order of the samples that would be another one when the fit goes on."""
    if settings.checkpoint is not None and not isinstance(settings.random_state, Integral):
        msg = (
            "`random_state` must be an integer with a checkpoint and a minibatch solver; got "
            f"{settings.random_state!r}. The order of the samples must be the same when the fit goes on."
        )
        raise InvalidValueError(msg)


def _batch_size(batch_size: int, n_samples: int) -> int:
    """Return the samples of a step: never more than there are."""
    if batch_size <= n_samples:
        return batch_size
    msg = f"`batch_size` is {batch_size} and there are {n_samples} samples: each step uses all of them."
    warnings.warn(msg, SmallDataWarning, stacklevel=4)
    return n_samples


def _status(ended: str, *, is_plateau: bool, is_certified: bool) -> str:
    """Name the way in which a training run ended."""
    if ended == "interrupted":
        return Status.INTERRUPTED
    if is_certified:
        return Status.CERTIFIED
    if is_plateau:
        return PLATEAU
    return Status.STOPPED if ended == "stopped" else Status.MAX_ITER
