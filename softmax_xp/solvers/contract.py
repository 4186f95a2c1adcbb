# SPDX-License-Identifier: BSD-3-Clause
"""What a solver sees, what it is, and what it returns.

A solver works on one array, the ``point``: the weight with the bias as its last row, in coordinates that the objective
chooses so that every feature has about unit size. How a point becomes a weight and a bias is the objective's affair,
and so is where the data live: in memory, sparse, on a device, or streamed.
"""

__all__ = [
    "Certificate",
    "Certified",
    "Change",
    "Curvature",
    "Evaluation",
    "Keeper",
    "Metric",
    "Objective",
    "Solver",
    "State",
    "evaluate",
]

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, final, runtime_checkable

from softmax_xp.backend import array_namespace, scalars
from softmax_xp.typing import Array


@final
@dataclass(frozen=True, slots=True)
class Certificate:
    """How far a fit can be from the minimum, proven.

    Parameters
    ----------
    bound : float
        The objective exceeds its minimum by at most this, in nats of the mean loss. Infinite without a penalty, where
        no such bound exists.
    value : float
        The objective.
    gradient_norm : float
        The largest absolute entry of the gradient; with an L1 penalty, of the smallest subgradient.
    test : str, default: "none"
        What ended the fit: ``"certificate"``, ``"gradient"`` or ``"none"``.
    at_floor : bool, default: False
        Whether the fit ended because its dtype can tell no further progress from rounding.

    Examples
    --------
    >>> from softmax_xp.solvers import Certificate
    >>> Certificate(bound=2e-5, value=0.31, gradient_norm=1e-4, test="certificate").bound
    2e-05
    """

    bound: float
    value: float
    gradient_norm: float
    test: str = "none"
    at_floor: bool = False


class Certified(NamedTuple):
    """A point and what is proven about it."""

    point: Array  # as good as the one that was asked about, or better
    certificate: Certificate


class Metric(Protocol):
    """A positive definite stand-in for the Hessian that is cheap to invert."""

    @property
    def is_calibrated(self) -> bool:
        """Whether its size is right too, so that a quasi-Newton method need not fit a factor to it."""
        ...

    def solve(self, gradient: Array) -> Array:
        """Return the inverse metric times ``gradient``.

        Parameters
        ----------
        gradient : array of the shape of a point
            Or any other such array.

        Returns
        -------
        array of the shape of ``gradient``
            Fresh.
        """
        ...


class Curvature(Protocol):
    """The Hessian of the smooth part of an objective at one point."""

    def product(self, direction: Array) -> Array:
        """Return the Hessian times ``direction``: one pass over the data.

        Parameters
        ----------
        direction : array of the shape of a point
            Any.

        Returns
        -------
        array of the shape of ``direction``
            Fresh.
        """
        ...

    def metric(self) -> Metric:
        """Return a metric that resembles this Hessian."""
        ...

    def matrix(self) -> Array:
        """Return the Hessian itself, of shape (n_columns * n_rows, n_columns * n_rows), columns varying slowest."""
        ...


@runtime_checkable
class Objective(Protocol):
    """A convex function of a point: a smooth part, and ``sum(l1 * abs(point))``."""

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of a point: (n_rows, n_columns)."""
        ...

    @property
    def passes(self) -> float:
        """How often the data have been read so far, in units of one value and gradient."""
        ...

    @property
    def l1(self) -> Array | None:
        """The strength of the L1 part for each row, of shape (n_rows, 1); None where there is none."""
        ...

    def value_and_gradient(self, point: Array) -> tuple[Array, Array]:
        """Return the smooth part and its gradient: one pass over the data.

        Parameters
        ----------
        point : array of shape (n_rows, n_columns)
            Where.

        Returns
        -------
        value : array of shape ()
            In nats.
        gradient : array of the shape of ``point``
            Fresh.
        """
        ...

    def curvature(self, point: Array) -> Curvature:
        """Return the Hessian of the smooth part.

        Parameters
        ----------
        point : array of shape (n_rows, n_columns)
            Where.

        Returns
        -------
        Curvature
            That need not have been computed yet.
        """
        ...

    def measures(self, point: Array, value: Array, gradient: Array) -> tuple[Array, Array, Array]:
        """Return what tells how good a point is, on the device: three arrays of shape ().

        Parameters
        ----------
        point : array of shape (n_rows, n_columns)
            Where.
        value, gradient : array
            Of the smooth part there.

        Returns
        -------
        total : array of shape ()
            The objective with its L1 part.
        norm : array of shape ()
            The largest absolute entry of its smallest subgradient, in the user's coordinates.
        estimate : array of shape ()
            Of the certificate; it costs no pass.
        """
        ...

    def certificate(self, point: Array, tol: float = 0.0) -> Certified:
        """Prove how far a point is from the minimum: about one pass over the data.

        Parameters
        ----------
        point : array of shape (n_rows, n_columns)
            Where.
        tol : float, default: 0.0
            How small a bound is asked for.

        Returns
        -------
        Certified
            Its point may differ from ``point`` in the bias, which is made optimal on the way.
        """
        ...


class Change(NamedTuple):
    """How a point and the gradient there differ from an earlier evaluation."""

    step: Array  # s, flat
    gradient: Array  # y, flat
    product: Array  # s . y, shape ()
    curvature: float  # the same number, on the host


class Evaluation(NamedTuple):
    """An objective at a point, with the few numbers that the host needs to see."""

    point: Array
    value: Array
    gradient: Array  # of the smooth part
    total: float  # the objective with its L1 part
    gradient_norm: float
    estimate: float  # of the certificate
    slope: float  # along the direction that was asked about
    change: Change | None = None  # since the evaluation that was asked about


def evaluate(
    objective: Objective, point: Array, direction: Array | None = None, since: Evaluation | None = None
) -> Evaluation:
    """Evaluate an objective: one pass, and one host read.

    Parameters
    ----------
    objective : Objective
        What to evaluate.
    point : array of shape (n_rows, n_columns)
        Where.
    direction : array of the shape of ``point``, optional
        Whose slope is wanted: the derivative of the smooth part along it.
    since : Evaluation, optional
        From which the change is wanted.

    Returns
    -------
    Evaluation
        With a slope of 0 where no direction was given.
    """
    xp = array_namespace(point)
    value, gradient = objective.value_and_gradient(point)
    numbers = list(objective.measures(point, value, gradient))
    if direction is not None:
        numbers.append(xp.vecdot(xp.reshape(gradient, (-1,)), xp.reshape(direction, (-1,))))
    if since is not None:
        step = xp.reshape(point - since.point, (-1,))
        bent = xp.reshape(gradient - since.gradient, (-1,))
        numbers.append(xp.vecdot(step, bent))
    total, norm, estimate, *rest = scalars(*numbers)  # host: the loop decides by these
    change = None if since is None else Change(step, bent, numbers[-1], rest[-1])
    return Evaluation(point, value, gradient, total, norm, estimate, 0.0 if direction is None else rest[0], change)


class State(Protocol):
    """What a solver carries from one iteration to the next; a frozen record of its own."""

    @property
    def evaluation(self) -> Evaluation:
        """The objective at the current point."""
        ...

    @property
    def step(self) -> float:
        """The step length of the last iteration; 0 where no step could be made."""
        ...


@runtime_checkable
class Solver(Protocol):
    """An iteration for convex objectives; a frozen record of hyperparameters, so it prints, compares and pickles."""

    def init(self, objective: Objective, point: Array) -> State:
        """Return the state before the first iteration.

        Parameters
        ----------
        objective : Objective
            What to minimise.
        point : array of shape (n_rows, n_columns)
            Where to start.

        Returns
        -------
        State
            At ``point``.
        """
        ...

    def advance(self, objective: Objective, state: Any) -> Any:
        """Make one iteration.

        Parameters
        ----------
        objective : Objective
            What to minimise.
        state : State
            Of this solver.

        Returns
        -------
        State
            The next one. A ``step`` of 0 says that rounding hides any further progress.
        """
        ...


class Keeper(Protocol):
    """Keeps checkpoints, see :class:`softmax_xp.training.keeper.Keeper`."""

    @property
    def is_stopping(self) -> bool:
        """Whether Ctrl-C asks for a checkpoint and the end of the fit."""
        ...

    def load(self) -> Any | None:
        """Return the newest state, or None."""
        ...

    def unusable(self, reason: object) -> Exception:
        """Return the error for a state that is none of this fit."""
        ...

    def due(self, steps: int = 1) -> bool:
        """Count further iterations, and tell whether a checkpoint is to be written now."""
        ...

    def save(self, state: Any, *, is_last: bool = False) -> None:
        """Write one."""
        ...
