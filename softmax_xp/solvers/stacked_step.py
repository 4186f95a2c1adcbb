# SPDX-License-Identifier: BSD-3-Clause
"""One iteration of Newton's method for a stack of heads: directions by conjugate gradients, and the step along each.

Points, gradients and directions have shape (n_columns, n_heads, n_rows); what belongs to one head is a slice of the
second axis.
"""

__all__ = [
    "Directions",
    "Measured",
    "StackedProblem",
    "directions_of",
    "dots",
    "measured",
    "replaced",
    "searched",
    "taken",
]

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple, Protocol

from softmax_xp.backend import array_namespace, backend_of, to_host
from softmax_xp.solvers.line_search import SUFFICIENT, TRIALS, shortening
from softmax_xp.typing import Array


class StackedProblem(Protocol):
    """What the solver sees of the objectives: see :class:`softmax_xp.objectives.stacked.StackedObjective`."""

    def evaluate(self, stack: Any, points: Array, *, wide: bool = False, keep: bool = False) -> Any:
        """Return the points, values and gradients of all heads: one pass."""
        ...

    def measures(self, stack: Any, evaluation: Any) -> Array:
        """Return value, gradient norm, bound, and the bound's part from the weights: shape (4, n_heads)."""
        ...

    def narrowed(self, stack: Any, evaluation: Any, heads: Sequence[int]) -> tuple[Any, Any]:
        """Return a stack of some of the heads, and their part of an evaluation."""
        ...

    def curvature(self, stack: Any, evaluation: Any) -> Any:
        """Return the Hessians: ``product``, ``bias_blocks``, ``narrowed``."""
        ...

    def metric(self, curvature: Any, *, thorough: bool) -> Any:
        """Return one metric for all heads: ``solve``. A thorough one costs more, and saves products."""
        ...

    def metric_cost(self, stack: Any) -> float:
        """Return what making a thorough metric costs, in products of the whole stack."""
        ...

    @property
    def has_bias(self) -> bool:
        """Whether the last row of a point is a bias."""
        ...

    @property
    def is_wide(self) -> bool:
        """Whether the fit itself has the widest float, so that each evaluation is a proof."""
        ...


class Measured(NamedTuple):
    """An evaluation of a stack, with the few numbers of each head that the host needs to see."""

    evaluation: Any
    values: list[float]
    norms: list[float]
    bounds: list[float]
    weights: list[float]
    slopes: list[float]  # along the directions that were asked about


class Directions(NamedTuple):
    """Where the heads of a stack go next."""

    direction: Array  # (n_columns, n_heads, n_rows)
    products: int  # how many the slowest head took
    is_lost: bool  # whether a residual grew: the metric does not fit, or rounding has the last word


def measured(problem: StackedProblem, stack: Any, evaluation: Any, direction: Array | None = None) -> Measured:
    """Read what the host needs to know of an evaluation: once.

    Parameters
    ----------
    problem : StackedProblem
        Whose.
    stack : Stack
        Of n_heads heads.
    evaluation : StackedEvaluation
        Of them.
    direction : array of shape (n_columns, n_heads, n_rows), optional
        Along which the slopes are wanted.

    Returns
    -------
    Measured
        With slopes of 0 where no direction was given.
    """
    table = problem.measures(stack, evaluation)
    xp = array_namespace(table)
    slopes = xp.zeros_like(table[:1, :])
    if direction is not None:
        along = xp.astype(direction, evaluation.gradient.dtype, copy=False)
        slopes = xp.astype(dots(evaluation.gradient, along), table.dtype)[None, :]
    rows = to_host(xp.concat((table, slopes), axis=0)).tolist()  # host: the loop decides by these
    return Measured(evaluation, *rows)


def dots(left: Array, right: Array) -> Array:
    """Return the scalar product of each head."""
    return array_namespace(left).sum(left * right, axis=(0, 2))


def directions_of(
    problem: StackedProblem,
    curvature: Any,
    metric: Any,
    gradient: Array,
    *,
    settled: Sequence[bool],
    looseness: float,
    max_inner: int,
) -> Directions:
    """Solve the Newton equations of each head loosely; those of the biases, at last, exactly.

    Where only the biases are left to improve, nothing else is asked. Conjugate gradients leave a residual in the biases
    as in any other coordinate; but the certificate has no mercy with theirs.

    Parameters
    ----------
    problem : StackedProblem
        The objectives.
    curvature : StackedCurvature
        Of the stack.
    metric : StackedMetric
        For it.
    gradient : array of shape (n_columns, n_heads, n_rows)
        At the points of ``curvature``.
    settled : sequence of bool, n_heads
        Which heads have good enough weights.
    looseness : float
        The share of a residual, in the norm of the inverse metric, that may remain.
    max_inner : int
        The most products.

    Returns
    -------
    Directions
        Of descent, unless rounding has the last word.
    """
    xp = array_namespace(gradient)
    gradient = xp.astype(gradient, curvature.dtype, copy=False)
    direction, residual = xp.zeros_like(gradient), -gradient
    products, is_lost = 0, False
    working = [head for head, done in enumerate(settled) if not done]
    if working:
        if len(working) < len(settled):
            part, places = taken(residual, working), {head: place for place, head in enumerate(working)}
            solved, left, products, is_lost = _conjugate(
                curvature.narrowed(working), metric, part, looseness, max_inner
            )
            direction, residual = replaced(direction, solved, places), replaced(residual, left, places)
        else:
            direction, residual, products, is_lost = _conjugate(curvature, metric, residual, looseness, max_inner)
    if problem.has_bias:
        step = _bias_step(curvature.bias_blocks(), residual[:, :, -1])
        direction = xp.concat((direction[:, :, :-1], (direction[:, :, -1] + step)[:, :, None]), axis=2)
    return Directions(direction, products, is_lost)


def _bias_step(blocks: Array, residual: Array) -> Array:
    """Solve the Newton equations of the biases.

    ``blocks`` has the shape (n_heads, n_columns, n_columns), ``residual`` and the solution (n_columns, n_heads).
    """
    xp = array_namespace(blocks)
    n_columns = blocks.shape[1]
    size = xp.max(blocks, axis=(1, 2))[:, None, None] + xp.finfo(blocks.dtype).smallest_normal
    identity = xp.eye(n_columns, dtype=blocks.dtype, device=backend_of(blocks).device)
    # One number added to all biases changes nothing: curvature there is free to choose.
    common = size / n_columns if n_columns > 1 else 0.0
    jitter = 16.0 * xp.finfo(blocks.dtype).eps
    step = xp.linalg.solve(blocks + common + jitter * size * identity, residual.T[:, :, None])[:, :, 0].T
    return step - xp.mean(step, axis=0) if n_columns > 1 else step


def _conjugate(
    curvature: Any, metric: Any, residual: Array, looseness: float, max_inner: int
) -> tuple[Array, Array, int, bool]:
    """Return solutions, their residuals, the number of products, and whether any went astray; who is done leaves."""
    xp = array_namespace(residual)
    n_heads = residual.shape[1]
    heads = list(range(n_heads))
    solutions: list[Array | None] = [None] * n_heads
    residuals: list[Array | None] = [None] * n_heads
    solved = metric.solve(residual)
    search, direction = solved, xp.zeros_like(residual)
    size = dots(residual, solved)
    first = size
    inner, is_lost = 0, False
    while heads:
        product = curvature.product(search)
        inner += 1
        bend = dots(search, product)
        length = xp.where((bend > 0) & (size > 0), size / xp.where(bend > 0, bend, xp.ones_like(bend)), 0.0)[:, None]
        following_residual = residual - length * product
        solved = metric.solve(following_residual)
        following = dots(following_residual, solved)
        # A residual that grows has met a direction without curvature, whose length is rounding; or the metric is made
        # for other heads. The first step is descent all the same: the line search has the last word.
        grown = ~(following <= 4.0 * first)
        length = xp.where(grown[:, None], length if inner == 1 else 0.0, length)
        direction = direction + length * search
        residual = xp.where(grown[:, None], residual, following_residual)
        done = grown | ~(following > looseness**2 * first) | ~(bend > 0)
        finished, astray = to_host(xp.stack((done, grown))).tolist()  # host: who leaves
        is_lost = is_lost or any(astray)
        finished = finished if inner < max_inner else [True] * len(heads)
        if any(finished):
            for place, is_done in enumerate(finished):
                if is_done:
                    solutions[heads[place]], residuals[heads[place]] = direction[:, place, :], residual[:, place, :]
            staying = [place for place, is_done in enumerate(finished) if not is_done]
            heads = [heads[place] for place in staying]
            if not heads:
                break
            curvature = curvature.narrowed(staying)
            direction, residual, solved, search = (
                taken(part, staying) for part in (direction, residual, solved, search)
            )
            index = xp.asarray(staying, device=backend_of(residual).device)
            following, size, first = (xp.take(part, index, axis=0) for part in (following, size, first))
        search = solved + (following / size)[:, None] * search
        size = following
    return xp.stack(solutions, axis=1), xp.stack(residuals, axis=1), inner, is_lost


def searched(
    problem: StackedProblem, stack: Any, now: Measured, direction: Array, slopes: Sequence[float], *, wide: bool = False
) -> tuple[Measured, list[float]]:
    """Make a step along each direction: the longest of 1, and shorter ones, that is enough of an improvement.

    The rule is that of :func:`softmax_xp.solvers.line_search.search_line`, but for what counts as rounding.

    Parameters
    ----------
    problem : StackedProblem
        The objectives.
    stack : Stack
        Of n_heads heads.
    now : Measured
        Where the lines begin.
    direction : array of shape (n_columns, n_heads, n_rows)
        Where they lead.
    slopes : sequence of float, n_heads
        The derivatives along them, negative.
    wide : bool, default: False
        Whether to evaluate in the widest float.

    Returns
    -------
    measured : Measured
        At the new points.
    steps : list of float
        0 where no step is an improvement, and the point is the old one.
    """
    xp = array_namespace(direction)
    line = _Line(now, slopes, xp.finfo(now.evaluation.gradient.dtype).eps)
    first = problem.evaluate(stack, now.evaluation.points + direction, wide=wide, keep=True)
    best = measured(problem, stack, first, direction)
    lengths = [1.0] * len(slopes)
    pending = [head for head in range(len(slopes)) if not line.is_good(head, 1.0, best, head)]
    results, places = best, {head: head for head in pending}
    for _ in range(TRIALS):
        for head in pending:
            decrease = now.values[head] - results.values[places[head]]
            lengths[head] *= shortening(-slopes[head] * lengths[head], decrease)
        pending = [head for head in pending if line.is_visible(head, lengths[head])]
        if not pending:
            break
        narrow, along = stack.narrowed(pending), taken(direction, pending)
        scale = xp.asarray(
            [lengths[head] for head in pending], dtype=direction.dtype, device=backend_of(direction).device
        )
        points = taken(now.evaluation.points, pending) + scale[:, None] * along
        results = measured(problem, narrow, problem.evaluate(narrow, points, wide=wide), along)
        places = {head: place for place, head in enumerate(pending)}
        good = [head for head in pending if line.is_good(head, lengths[head], results, places[head])]
        best = _merged(best, results, {head: places[head] for head in good})
        line.done.update(good)
        pending = [head for head in pending if head not in good]
    stuck = [head for head in range(len(slopes)) if head not in line.done]
    if stuck and now.evaluation.gradient.dtype != best.evaluation.gradient.dtype:
        narrow = stack.narrowed(stuck)
        again = problem.evaluate(narrow, taken(now.evaluation.points, stuck), wide=wide)
        places = {head: place for place, head in enumerate(stuck)}
        return _merged(best, measured(problem, narrow, again), places), [
            0.0 if head in places else lengths[head] for head in range(len(slopes))
        ]
    steps = [lengths[head] if head in line.done else 0.0 for head in range(len(slopes))]
    return _merged(best, now, {head: head for head in stuck}), steps


class _Line:
    """The tests of a step, for each head of a stack."""

    def __init__(self, now: Measured, slopes: Sequence[float], epsilon: float) -> None:
        self.now, self.slopes = now, slopes
        # A value is a mean of small differences of logits: its rounding is theirs, and not relative to itself.
        self.noise = [8.0 * epsilon * (1.0 + abs(value)) for value in now.values]
        self.done: set[int] = set()

    def is_good(self, head: int, length: float, trial: Measured, place: int) -> bool:
        """Tell whether a step is enough of an improvement, and remember that it was."""
        slope, decrease = self.slopes[head], self.now.values[head] - trial.values[place]
        enough = isfinite(trial.values[place]) and slope < 0.0
        if enough and decrease < -SUFFICIENT * length * slope:
            # Where rounding hides the decrease the slopes decide; where it hides these, too, the bounds do.
            flatter = abs(trial.slopes[place]) <= 0.9 * -slope or trial.bounds[place] <= 0.5 * self.now.bounds[head]
            enough = decrease >= -self.noise[head] and flatter
        if enough:
            self.done.add(head)
        return enough

    def is_visible(self, head: int, length: float) -> bool:
        """Tell whether the decrease that the slope promises would show at all."""
        return self.slopes[head] < 0.0 and -self.slopes[head] * length > 1e-2 * self.noise[head]


def taken(values: Array, heads: Sequence[int]) -> Array:
    """Return some heads of an array of shape (n_columns, n_heads, ...)."""
    xp = array_namespace(values)
    return xp.take(values, xp.asarray(heads, device=backend_of(values).device), axis=1)


def replaced(values: Array, others: Array, places: Mapping[int, int]) -> Array:
    """Return an array of shape (n_columns, n_heads, ...) with some heads, the keys, taken from others."""
    xp = array_namespace(values)
    n_heads = values.shape[1]
    index = [n_heads + places[head] if head in places else head for head in range(n_heads)]
    both = xp.concat((values, others), axis=1)
    return xp.take(both, xp.asarray(index, device=backend_of(values).device), axis=1)


def _merged(base: Measured, other: Measured, places: Mapping[int, int]) -> Measured:
    """Return a measured evaluation with some heads, the keys, taken from another."""
    if not places:
        return base
    first, second = base.evaluation, other.evaluation
    evaluation = first._replace(
        points=replaced(first.points, second.points, places),
        value=replaced(first.value[None, :], second.value[None, :], places)[0, :],
        gradient=replaced(first.gradient, second.gradient, places),
        kept=None,
    )
    columns = [
        [theirs[places[head]] if head in places else mine[head] for head in range(len(mine))]
        for mine, theirs in zip(base[1:], other[1:], strict=True)
    ]
    return Measured(evaluation, *columns)
