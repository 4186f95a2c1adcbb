# SPDX-License-Identifier: BSD-3-Clause
"""L-BFGS in the metric of the data."""

__all__ = ["LBFGS", "LBFGSState", "Pair"]

from dataclasses import dataclass
from typing import NamedTuple, final

from softmax_xp.backend import array_namespace
from softmax_xp.hyperparameters import AT_LEAST_ONE, check_hyperparameters
from softmax_xp.solvers.contract import Evaluation, Metric, Objective, evaluate
from softmax_xp.solvers.line_search import search_line
from softmax_xp.typing import Array


class Pair(NamedTuple):
    """One step and how it changed the gradient, with the products that each use needs."""

    step: Array  # s, flat
    change: Array  # y, flat
    reciprocal: Array  # 1 / (s . y), shape ()


class LBFGSState(NamedTuple):
    """Between two iterations."""

    evaluation: Evaluation
    step: float
    pairs: tuple[Pair, ...]  # oldest first
    metric: Metric
    scale: Array | float  # of the inverse metric, from the newest pair
    age: int  # iterations since the metric was made
    lifetime: int  # iterations that it is to serve


@final
@dataclass(frozen=True, slots=True)
class LBFGS:
    """Limited-memory BFGS whose initial Hessian is the metric of the data.

    Plain L-BFGS begins each direction with a multiple of the identity, and needs hundreds of iterations to learn what
    ``X.T @ diag(w) @ X`` says at once. Here the two-loop recursion begins with the inverse of such a metric, scaled by
    the newest pair. The metric is made anew after 8, then 16, 32, ... more iterations: the weights ``w`` change most at
    the beginning, while samples leave the boundaries between the classes.

    Parameters
    ----------
    memory : int, default: 10
        Pairs to remember.

    References
    ----------
    .. [1] D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.

    Examples
    --------
    >>> from softmax_xp.solvers import LBFGS
    >>> LBFGS()
    LBFGS(memory=10)
    """

    memory: int = 10

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(self, memory=AT_LEAST_ONE)

    def init(self, objective: Objective, point: Array) -> LBFGSState:
        """Return the state before the first iteration.

        Parameters
        ----------
        objective : Objective
            Smooth.
        point : array of shape (n_rows, n_columns)
            Where to start.

        Returns
        -------
        LBFGSState
            At ``point``.
        """
        return LBFGSState(evaluate(objective, point), 1.0, (), objective.curvature(point).metric(), 1.0, 0, 8)

    def advance(self, objective: Objective, state: LBFGSState) -> LBFGSState:
        """Make one iteration.

        Parameters
        ----------
        objective : Objective
            Smooth.
        state : LBFGSState
            The last one.

        Returns
        -------
        LBFGSState
            The next one.
        """
        if state.age >= state.lifetime:
            metric = objective.curvature(state.evaluation.point).metric()
            state = state._replace(metric=metric, age=0, lifetime=2 * state.lifetime)
            state = state._replace(scale=_scale(state.pairs, metric, objective.shape))
        found = self._search(objective, state)
        if found is None and (state.pairs or state.age):
            # Old pairs mislead now and then, near the limits of the dtype; the metric by itself does not.
            metric = objective.curvature(state.evaluation.point).metric()
            state = state._replace(pairs=(), scale=1.0, metric=metric, age=0)
            found = self._search(objective, state)
        if found is None:
            return state._replace(step=0.0)
        evaluation, step = found
        pairs = self._remember(state, evaluation)
        scale = _scale(pairs, state.metric, objective.shape)
        return state._replace(evaluation=evaluation, step=step, pairs=pairs, scale=scale, age=state.age + 1)

    def _search(self, objective: Objective, state: LBFGSState) -> tuple[Evaluation, float] | None:
        """Go along the direction of the state."""
        xp = array_namespace(state.evaluation.point)
        direction = _direction(state)
        gradient = state.evaluation.gradient
        slope = float(xp.vecdot(xp.reshape(gradient, (-1,)), xp.reshape(direction, (-1,))))  # host: one number
        return search_line(objective, state.evaluation, direction, slope, with_change=True)

    def _remember(self, state: LBFGSState, new: Evaluation) -> tuple[Pair, ...]:
        """Append the newest pair; a pair without positive curvature, which only rounding makes, is left out."""
        change = new.change
        if change is None or not change.curvature > 0.0:
            return state.pairs
        return (*state.pairs, Pair(change.step, change.gradient, 1.0 / change.product))[-self.memory :]


def _scale(pairs: tuple[Pair, ...], metric: Metric, shape: tuple[int, int]) -> Array | float:
    """Return the multiple of the inverse metric that fits the newest pair best: (s . y) / (y . solve(y))."""
    if not pairs or metric.is_calibrated:
        return 1.0
    _, change, reciprocal = pairs[-1]
    xp = array_namespace(change)
    solved = xp.reshape(metric.solve(xp.reshape(change, shape)), (-1,))
    return 1.0 / (reciprocal * xp.vecdot(change, solved))


def _direction(state: LBFGSState) -> Array:
    """Return minus the inverse Hessian of the pairs times the gradient, by the two-loop recursion."""
    gradient = state.evaluation.gradient
    xp = array_namespace(gradient)
    flat = xp.reshape(gradient, (-1,))
    coefficients = []
    for step, change, reciprocal in reversed(state.pairs):
        coefficient = reciprocal * xp.vecdot(step, flat)
        flat = flat - coefficient * change
        coefficients.append(coefficient)
    flat = state.scale * xp.reshape(state.metric.solve(xp.reshape(flat, gradient.shape)), (-1,))
    for (step, change, reciprocal), coefficient in zip(state.pairs, reversed(coefficients), strict=True):
        flat = flat + (coefficient - reciprocal * xp.vecdot(change, flat)) * step
    return -xp.reshape(flat, gradient.shape)
