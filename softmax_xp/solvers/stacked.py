# SPDX-License-Identifier: BSD-3-Clause
"""Many convex problems over the same data at once, by Newton's method with conjugate gradients.

Each problem, a *head*, makes its own iterations, with its own step lengths and its own test of convergence; what they
share is the passes over the data. A head leaves the stack when it is done, and the passes of the others become cheaper;
so it does within an iteration when its Newton equations are solved.

See :mod:`softmax_xp.solvers.newton_cg` for one problem at a time.
"""

__all__ = ["HeadSolution", "StackedNewton"]

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from typing import Any, NamedTuple, final

from softmax_xp.backend import array_namespace, to_host
from softmax_xp.blas import give_way
from softmax_xp.errors import InvalidValueError
from softmax_xp.solvers.contract import Certificate
from softmax_xp.solvers.loop import Status
from softmax_xp.solvers.stacked_step import Measured, StackedProblem, directions_of, dots, measured, replaced, searched
from softmax_xp.typing import Array

# What a good metric takes.
_FEWEST_PRODUCTS = 2
# Iterations in a row without any progress that is larger than rounding, until the floor is called reached.
_PATIENCE = 5


class HeadSolution(NamedTuple):
    """Where one head ended."""

    point: Array  # (n_columns, n_rows), in the coordinates of the problem
    certificate: Certificate
    status: Status
    n_iter: int


@final
class StackedNewton:
    """Solve stacks of heads, one after the other; neighbouring ones may share a metric.

    Parameters
    ----------
    problem : StackedProblem
        The objectives.
    looseness : float, default: 0.3
        The share of the residual of the Newton equations that may remain, in the norm of the inverse metric.
    max_inner : int, default: 200
        The most products for one step.

    References
    ----------
    .. [1] R. S. Dembo, T. Steihaug, "Truncated-Newton algorithms for large-scale unconstrained optimization", 1983.
    """

    def __init__(self, problem: StackedProblem, looseness: float = 0.3, max_inner: int = 200) -> None:
        self.problem, self.looseness, self.max_inner = problem, looseness, max_inner
        # A metric that was made for other heads, or for an earlier point, serves until the products that it has cost
        # more than the fewest it ever took would have paid for a new one. The first one is of the cheap kind, which is
        # as good under a strong penalty.
        self._metric: Any = None
        self._fewest, self._regret = inf, 0.0
        self._is_thorough = False

    def solve(
        self,
        stack: Any,
        points: Array,
        *,
        tol: float,
        max_iter: int,
        stopping: str = "certificate",
        fallback: Array | None = None,
        limits: Sequence[float] | None = None,
    ) -> list[HeadSolution]:
        """Minimise each head of a stack.

        Parameters
        ----------
        stack : Stack
            Of n_heads heads, similar enough to share a metric.
        points : array of shape (n_columns, n_heads, n_rows)
            Where they begin.
        tol : float
            How good is good enough: the certificate in nats, or the largest gradient entry.
        max_iter : int
            The most iterations of a head.
        stopping : {"certificate", "gradient"}
            What ``tol`` bounds.
        fallback : array of the shape of ``points``, optional
            Where a head begins instead whose objective exceeds its limit.
        limits : sequence of float, n_heads, optional
            The objectives at ``fallback``, as known from elsewhere.

        Returns
        -------
        list of HeadSolution
            In the order of the stack; each certified, whatever ended its iterations.

        Raises
        ------
        InvalidValueError
            When an objective is not finite where it begins.
        """
        run = _Run(self.problem, stack, points, tol, by_gradient=stopping == "gradient")
        if fallback is not None and limits is not None:
            run.retreat(fallback, limits)
        run.check()
        iteration = 0
        while True:
            give_way()
            run.leave(run.ended(is_last=iteration == max_iter), iteration)
            if not run.heads:
                return run.solutions()
            self._advance(run)
            iteration += 1

    def _advance(self, run: "_Run") -> None:
        """Make one iteration of all heads."""
        problem, evaluation = self.problem, run.now.evaluation
        curvature = problem.curvature(run.stack, evaluation)
        settled = run.settled()
        is_fresh = False
        while True:
            if self._metric is None and not all(settled):
                self._metric, is_fresh = problem.metric(curvature, thorough=self._is_thorough), True
                self._fewest, self._regret = inf if self._is_thorough else _FEWEST_PRODUCTS, 0.0
            found = directions_of(
                problem,
                curvature,
                self._metric,
                evaluation.gradient,
                settled=settled,
                looseness=self.looseness,
                max_inner=self.max_inner,
            )
            if is_fresh or not found.is_lost:
                break
            self._metric = None
        if found.products:
            self._fewest = min(self._fewest, found.products)
            self._regret += found.products - self._fewest
        xp = array_namespace(found.direction)
        along = dots(xp.astype(evaluation.gradient, found.direction.dtype, copy=False), found.direction)
        slopes = to_host(along).tolist()  # host: the line searches begin with these
        was_proof = run.is_proof
        run.now, steps = searched(problem, run.stack, run.now, found.direction, slopes, wide=run.wide)
        if was_proof == run.is_proof and (is_fresh or all(settled) or 0.0 not in steps):
            run.note(steps)
        if found.is_lost or 0.0 in steps or self._regret > problem.metric_cost(run.stack):
            self._metric, self._is_thorough = None, True


class _Run:
    """The heads that are still iterating, and the solutions of those that have left."""

    def __init__(self, problem: StackedProblem, stack: Any, points: Array, tol: float, *, by_gradient: bool) -> None:
        self.problem, self.stack, self.tol, self.by_gradient = problem, stack, tol, by_gradient
        self.heads = list(range(len(stack)))
        # Iterations begin in the float of the fit. When a head seems to be done there, or can tell no progress from
        # rounding, the widest float takes over: it computes the gradients, and each of its evaluations is a proof.
        self.wide = problem.is_wide
        self._evaluate(points)
        self._forget()
        self._done: dict[int, HeadSolution] = {}

    def _forget(self) -> None:
        """Begin to look for progress anew."""
        self.lowest, self.smallest = [inf] * len(self.heads), [inf] * len(self.heads)
        self.idle = [0] * len(self.heads)

    def retreat(self, fallback: Array, limits: Sequence[float]) -> None:
        """Let heads begin elsewhere that would have begun worse."""
        places = {head: head for head, value in enumerate(self.now.values) if not value <= limits[head]}
        if places:
            self._evaluate(replaced(self.now.evaluation.points, fallback, places))

    def check(self) -> None:
        """Raise unless all objectives are finite."""
        if not all(isfinite(value) for value in self.now.values):
            msg = "`X` must have values whose squares stay finite; got features too large for their dtype. Scale them."
            raise InvalidValueError(msg)

    def settled(self) -> list[bool]:
        """Tell of each head whether its weights are good enough, and only its biases are not, or a proof is wanting."""
        if self.by_gradient or not self.problem.has_bias:
            return [False] * len(self.heads)
        pairs = zip(self.now.weights, self.now.bounds, strict=True)
        return [weights <= 0.25 * self.tol or bound <= self.tol for weights, bound in pairs]

    def ended(self, *, is_last: bool) -> dict[int, Status]:
        """Tell which heads, by their places in the stack, are done, and why."""
        stuck = [place for place, idle in enumerate(self.idle) if idle >= _PATIENCE]
        if not self.is_proof:
            settled, good = all(self.settled()), self._good()
            if not (is_last or stuck or settled or good):
                return {}
            self.wide = True
            if settled and not (is_last or stuck) and len(good) < len(self.heads):
                return {}  # the biases make a step, whose evaluation is a proof
            self._evaluate(self.now.evaluation.points)
            self._forget()
            stuck = []
        ended = dict.fromkeys(range(len(self.heads)), Status.MAX_ITER) if is_last else {}
        ended |= dict.fromkeys(stuck, Status.FLOOR)
        return ended | dict.fromkeys(self._good(), Status.GRADIENT if self.by_gradient else Status.CERTIFIED)

    def _good(self) -> list[int]:
        """Return the places of the heads whose test holds."""
        reached = self.now.norms if self.by_gradient else self.now.bounds
        return [place for place, measure in enumerate(reached) if measure <= self.tol]

    def _evaluate(self, points: Array) -> None:
        evaluation = self.problem.evaluate(self.stack, points, wide=self.wide, keep=True)
        self.now = measured(self.problem, self.stack, evaluation)

    @property
    def is_proof(self) -> bool:
        """Whether the last evaluation has the widest float."""
        return self.problem.is_wide or self.now.evaluation.gradient.dtype != self.now.evaluation.points.dtype

    def note(self, steps: Sequence[float]) -> None:
        """Look at what an iteration has brought: nothing but rounding, or something."""
        epsilon = 2.0**-52 if self.wide and self.problem.is_wide else 2.0**-23
        measures = self.now.norms if self.by_gradient else self.now.bounds
        for place, (value, measure) in enumerate(zip(self.now.values, measures, strict=True)):
            if self.lowest[place] - value > epsilon * abs(value) or measure <= 0.5 * self.smallest[place]:
                self.idle[place], self.smallest[place] = 0, min(self.smallest[place], measure)
            else:
                self.idle[place] += 1
            self.lowest[place] = min(self.lowest[place], value)
            if steps[place] == 0.0:
                self.idle[place] = _PATIENCE

    def leave(self, ended: dict[int, Status], iteration: int) -> None:
        """Take heads out of the stack."""
        if not ended:
            return
        _, values, norms, bounds, _, _ = self.now
        for place, status in ended.items():
            point = self.now.evaluation.points[:, place, :]
            certificate = Certificate(bounds[place], values[place], norms[place], at_floor=status is Status.FLOOR)
            test = {Status.CERTIFIED: "certificate", Status.GRADIENT: "gradient"}.get(status, "none")
            self._done[self.heads[place]] = HeadSolution(point, replace(certificate, test=test), status, iteration)
        staying = [place for place in range(len(self.heads)) if place not in ended]
        self.heads, self.idle = ([numbers[place] for place in staying] for numbers in (self.heads, self.idle))
        self.lowest, self.smallest = ([found[place] for place in staying] for found in (self.lowest, self.smallest))
        if staying:
            self.stack, evaluation = self.problem.narrowed(self.stack, self.now.evaluation, staying)
            self.now = Measured(evaluation, *([column[place] for place in staying] for column in self.now[1:]))

    def solutions(self) -> list[HeadSolution]:
        """Return the solutions in the order in which the heads came."""
        return [self._done[head] for head in sorted(self._done)]
