# SPDX-License-Identifier: BSD-3-Clause
"""A proximal quasi-Newton method that ends as Newton's, for penalties with an L1 part."""

__all__ = ["Proximal", "ProximalState"]

from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple, Protocol, final, runtime_checkable

from softmax_xp.backend import array_namespace, scalar
from softmax_xp.hyperparameters import AT_LEAST_ONE, FRACTION, check_hyperparameters
from softmax_xp.solvers.contract import Curvature, Evaluation, Objective, evaluate
from softmax_xp.solvers.line_search import SUFFICIENT, TRIALS, shortening
from softmax_xp.solvers.proximal_descent import minimise_model, spread
from softmax_xp.solvers.proximal_model import (
    FlatSurrogate,
    Pair,
    QuadraticModel,
    Surrogate,
    exact_model,
    quadratic_model,
)
from softmax_xp.typing import Array

# Entries that are zero, and whose slope is below this share of their l1, are left alone for an iteration.
_LIKELY_ZERO = 0.8
# For up to so many working entries the Hessian itself is made: at once when they are few, else when the fit proves to
# be a hard one. It costs about n_entries / 50 passes, and then the equations for the entries that are not zero.
_MATRIX_LIMIT, _SMALL_MATRIX, _PATIENCE = 1200, 150, 15
_LIFETIME = 5  # iterations that the first surrogate is to serve


@runtime_checkable
class _Surveyed(Protocol):
    """What a curvature may offer besides the contract's."""

    def surrogate(self) -> Surrogate:
        """Return a stand-in for the Hessian."""
        ...

    def hessian(self, entries: Array) -> Array:
        """Return the Hessian for some entries of a flat point."""
        ...


class ProximalState(NamedTuple):
    """Between two iterations."""

    evaluation: Evaluation
    step: float
    pairs: tuple[Pair, ...]  # oldest first
    surrogate: Surrogate | None  # None: the Hessian itself is made in each iteration
    age: int  # iterations since the surrogate was made
    lifetime: int  # iterations that it is to serve
    n_iter: int


@final
@dataclass(frozen=True, slots=True)
class Proximal:
    """Proximal L-BFGS, begun with a surrogate of the Hessian instead of a multiple of the identity; later Newton.

    Each iteration minimises a quadratic model of the loss together with the L1 part itself, so entries become
    exactly zero, and reads the data once. The model knows the second moments of the features and the confusions among
    the classes (the surrogate), and learns the rest from the last steps (the pairs). For sparse data the surrogate
    is a diagonal, and the model covers only the entries that are not zero or could leave zero; the gradient, of
    which nothing is left out, brings in others. The surrogate is made anew after 5, 10, 20, 40, ... iterations, while
    samples leave the boundaries between classes.

    Where no more than 1200 entries are at work, the Hessian for these takes the model's place: at once if they are few,
    else if the fit has taken many iterations. That ends fits whose features are badly scaled or nearly collinear, and
    reaches the limits of the dtype in a few iterations more.

    Parameters
    ----------
    memory : int, default: 10
        Pairs to remember.
    looseness : float, default: 0.03
        How precisely to minimise the model, in [0, 1): see
        :func:`softmax_xp.solvers.proximal_descent.minimise_model`.
    max_inner : int, default: 1000
        The most gradient steps for one model; none of them reads the data.

    References
    ----------
    .. [1] J. D. Lee, Y. Sun, M. A. Saunders, "Proximal Newton-type methods for minimizing composite functions", 2014.
    .. [2] H. Zhong, I. E.-H. Yen, I. S. Dhillon, P. Ravikumar, "Proximal quasi-Newton for computationally intensive
       l1-regularized M-estimators", 2014.

    Examples
    --------
    >>> from softmax_xp.solvers import Proximal
    >>> Proximal()
    Proximal(memory=10, looseness=0.03, max_inner=1000)
    """

    memory: int = 10
    looseness: float = 0.03
    max_inner: int = 1000

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(self, memory=AT_LEAST_ONE, looseness=FRACTION, max_inner=AT_LEAST_ONE)

    def init(self, objective: Objective, point: Array) -> ProximalState:
        """Return the state before the first iteration.

        Parameters
        ----------
        objective : Objective
            With or without an L1 part.
        point : array of shape (n_rows, n_columns)
            Where to start.

        Returns
        -------
        ProximalState
            At ``point``.
        """
        return ProximalState(evaluate(objective, point), 1.0, (), None, 0, 0, 0)

    def advance(self, objective: Objective, state: ProximalState) -> ProximalState:
        """Make one iteration.

        Parameters
        ----------
        objective : Objective
            With or without an L1 part.
        state : ProximalState
            The last one.

        Returns
        -------
        ProximalState
            The next one.
        """
        aged = state.age > 0 or len(state.pairs) > 0
        found, state = self._improve(objective, state)
        if found is None and aged:
            # Near the limits of the dtype old pairs mislead; what the data say now does not.
            found, state = self._improve(objective, state._replace(pairs=(), lifetime=0))
        if found is None:
            return state._replace(step=0.0)
        evaluation, step = found
        pairs = () if state.surrogate is None else self._remember(state, evaluation)
        return state._replace(evaluation=evaluation, step=step, pairs=pairs, age=state.age + 1, n_iter=state.n_iter + 1)

    def _improve(
        self, objective: Objective, state: ProximalState
    ) -> tuple[tuple[Evaluation, float] | None, ProximalState]:
        """Minimise the model at the current point, and go there as far as it is an improvement."""
        now = state.evaluation
        xp, shape, dtype = array_namespace(now.point), objective.shape, now.point.dtype
        l1 = xp.zeros_like(now.point) if objective.l1 is None else xp.broadcast_to(objective.l1, shape)
        flat = [xp.reshape(array, (-1,)) for array in (now.point, now.gradient, l1)]
        mask = (flat[0] != 0) | (xp.abs(flat[1]) >= _LIKELY_ZERO * flat[2])
        state, model, working = _model(objective, state, mask)
        if model is None:
            return None, state
        if working is not None:
            flat = [xp.take(array, working) for array in flat]
        wide = [xp.astype(array, model.diagonal.dtype, copy=False) for array in flat]
        best = minimise_model(model, *wide, looseness=self.looseness, max_inner=self.max_inner)
        best = xp.astype(best, dtype, copy=False)
        target = best if working is None else spread(best, mask)
        return _search(objective, now, xp.reshape(target, shape), l1), state

    def _remember(self, state: ProximalState, new: Evaluation) -> tuple[Pair, ...]:
        """Append the newest pair; one without positive curvature, which only rounding makes, is left out."""
        xp = array_namespace(new.point)
        step = xp.reshape(new.point - state.evaluation.point, (-1,))
        change = xp.reshape(new.gradient - state.evaluation.gradient, (-1,))
        product = scalar(xp.vecdot(step, change))  # host: one number
        return (*state.pairs, Pair(step, change, product))[-self.memory :] if product > 0.0 else state.pairs


def _model(
    objective: Objective, state: ProximalState, mask: Array
) -> tuple[ProximalState, QuadraticModel | None, Array | None]:
    """Build the model, unless no entry is at work; also return which entries it is about, None for all.

    The surrogate is made anew when it has served its time, and may give way to the Hessian then.
    """
    xp, point = array_namespace(mask), state.evaluation.point
    surrogate, working = state.surrogate, None
    if surrogate is None or state.age >= state.lifetime:
        curvature: Curvature = objective.curvature(point)
        if not isinstance(curvature, _Surveyed):
            surrogate = FlatSurrogate(xp.ones_like(point[:1, :1]))
        else:
            working = xp.nonzero(mask)[0]
            if working.shape[0] == 0:
                return state, None, working
            if working.shape[0] <= min(_MATRIX_LIMIT, _SMALL_MATRIX + _PATIENCE * state.n_iter):
                exact = exact_model(curvature.hessian(working), rounding=xp.finfo(point.dtype).eps)
                return state._replace(surrogate=None, pairs=(), age=0), exact, working
            surrogate = curvature.surrogate()
        state = state._replace(surrogate=surrogate, age=0, lifetime=2 * state.lifetime or _LIFETIME)
    if not surrogate.separable:
        return state, quadratic_model(surrogate, state.pairs, objective.shape, None), None
    working = xp.nonzero(mask)[0] if working is None else working
    if working.shape[0] == 0:
        return state, None, working
    return state, quadratic_model(surrogate, state.pairs, objective.shape, working), working


def _search(objective: Objective, now: Evaluation, target: Array, l1: Array) -> tuple[Evaluation, float] | None:
    """Return the first point on the way to ``target`` that is enough of an improvement, and how far on the way it is.

    As :func:`softmax_xp.solvers.line_search.search_line`, with what the model promises in the place of the slope, and
    at least the rounding of a value of 1: the L1 part is a sum of its own.
    """
    xp = array_namespace(target)
    direction = target - now.point
    change = now.gradient * direction + l1 * (xp.abs(target) - xp.abs(now.point))
    promised = scalar(xp.sum(change))  # host: one number
    if not promised < 0.0:
        return None
    noise = 8.0 * xp.finfo(target.dtype).eps * max(abs(now.total), 1.0)
    step = 1.0
    for _ in range(TRIALS):
        trial = evaluate(objective, now.point + step * direction, direction)
        decrease = now.total - trial.total
        if isfinite(trial.total):
            if decrease >= -SUFFICIENT * step * promised:
                return trial, step
            if decrease >= -noise and abs(_slope(trial, direction, l1)) <= -0.9 * promised:
                return trial, step
        step *= shortening(-step * promised, decrease)
    return None


def _slope(trial: Evaluation, direction: Array, l1: Array) -> float:
    """Return the derivative of the objective along ``direction``, on the side from which ``trial`` was reached."""
    xp = array_namespace(direction)
    bent = xp.where(trial.point == 0, -xp.abs(direction), xp.sign(trial.point) * direction)
    return trial.slope + scalar(xp.sum(l1 * bent))  # host: near the limits of the dtype only
