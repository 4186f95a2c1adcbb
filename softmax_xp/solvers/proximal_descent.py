# SPDX-License-Identifier: BSD-3-Clause
"""The point where a quadratic model and an L1 part are smallest together.

There is no formula for it, but finding it takes no pass over the data: only products with the model's Hessian, in the
size of the coefficients. Accelerated proximal gradient steps find out which entries are zero. Where the Hessian is an
explicit matrix, linear equations for the others take over.
"""

__all__ = ["minimise_model", "proximal_step", "spread"]

from math import isfinite, sqrt
from typing import Any, NamedTuple

from softmax_xp.backend import array_namespace, backend_of, to_host
from softmax_xp.solvers.proximal_model import QuadraticModel
from softmax_xp.typing import Array

# Gradient steps between two attempts to solve equations, and equations in one attempt, each on the face of the last.
_BURST, _FACES = 10, 30
_LENGTHS = 8  # of the way to the minimum on a face: 1, 1/2, 1/4, ...


class _Progress(NamedTuple):
    """Where the iteration has got to."""

    point: Array
    slope: Array  # of the model's smooth part, at the point
    stretch: float  # of the metric, so far
    first: float  # length of the first step
    done: bool


def proximal_step(point: Array, slope: Array, l1: Array, inverse: Array) -> Array:
    """Minimise ``slope . (x - point) + sum((x - point)**2 / inverse) / 2 + sum(l1 * abs(x))`` over ``x``.

    The textbooks move ``point - inverse * slope`` towards zero by ``inverse * l1``. Near an optimum, where ``slope`` is
    ``l1`` or ``-l1`` nearly everywhere, that adds and subtracts numbers which may be far larger than ``point``. Here
    slope and ``l1`` meet first.

    Parameters
    ----------
    point, slope, l1, inverse : array
        Of one shape; the last two not negative.

    Returns
    -------
    array of the shape of ``point``
        Fresh; zeros are exact.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.solvers.proximal_descent import proximal_step
    >>> proximal_step(np.zeros(3), np.asarray([3.0, -0.5, -2.0]), np.ones(3), np.ones(3))
    array([-2.,  0.,  1.])
    """
    xp = array_namespace(point)
    zero = xp.zeros_like(point)
    # Of these two only one can have the sign that it would need.
    return xp.maximum(point - inverse * (slope + l1), zero) + xp.minimum(point - inverse * (slope - l1), zero)


def minimise_model(
    model: QuadraticModel, point: Array, gradient: Array, l1: Array, *, looseness: float, max_inner: int
) -> Array:
    """Minimise ``gradient . (x - point) + (x - point) . B (x - point) / 2 + sum(l1 * abs(x))`` over ``x``, loosely.

    Parameters
    ----------
    model : QuadraticModel
        B.
    point, gradient : array of shape (n_working,)
        Where the model touches the function, and the slope there.
    l1 : array of shape (n_working,)
        Strength of the penalty.
    looseness : float
        The iteration ends when the proximal gradient steps, in the metric of the diagonal of B, have shrunk to this
        share of the first.
    max_inner : int
        The most such steps. Each is one product with B.

    Returns
    -------
    array of shape (n_working,)
        Exactly zero where the penalty holds an entry there.
    """
    progress = _Progress(point, gradient, 1.0, 0.0, done=False)
    if model.matrix is None:
        return _accelerate(model, l1, progress, max_inner, looseness).point
    for _ in range(0, max_inner, _BURST):
        progress = _accelerate(model, l1, progress, _BURST, looseness)
        if progress.done:
            break
        for _ in range(_FACES):
            progress, stays = _solve_face(model.matrix, model.ridge * model.diagonal, l1, progress)
            if stays:
                break
    return progress.point


def _accelerate(model: QuadraticModel, l1: Array, start: _Progress, max_inner: int, looseness: float) -> _Progress:
    """Make accelerated proximal gradient steps in the metric of the diagonal of B.

    The momentum is dropped when it points uphill, and the metric is stretched when B exceeds it: A. Beck, M. Teboulle,
    "A fast iterative shrinkage-thresholding algorithm for linear inverse problems", 2009; B. O'Donoghue, E. Candes,
    "Adaptive restart for accelerated gradient schemes", 2015.
    """
    xp = array_namespace(start.point)
    best, slope, stretch, first, _ = start
    ahead, slope_ahead = best, slope
    inverse, momentum = 1.0 / model.diagonal, 1.0
    for _ in range(max_inner):
        trial = proximal_step(ahead, slope_ahead, l1, inverse / stretch)
        step = trial - ahead
        bent = model.product(step)
        numbers = xp.stack((_dot(step, bent), _dot(step, model.diagonal * step), _dot(step, trial - best)))
        bend, length, agreement = _numbers(numbers)
        if not (isfinite(bend) and length > 0.0):
            return _Progress(best, slope, stretch, first, done=True)
        if bend > (1.0 + 1e-6) * stretch * length:
            stretch = max(1.1 * stretch, 1.02 * bend / length)
            continue
        first = first or sqrt(stretch * length)
        momentum = momentum if agreement >= 0.0 else 1.0
        following = 0.5 + sqrt(0.25 + momentum * momentum)
        carry, momentum = (momentum - 1.0) / following, following
        slope_trial = slope_ahead + bent
        ahead, slope_ahead = trial + carry * (trial - best), slope_trial + carry * (slope_trial - slope)
        best, slope = trial, slope_trial
        if sqrt(stretch * length) <= looseness * first:
            return _Progress(best, slope, stretch, first, done=True)
    return _Progress(best, slope, stretch, first, done=False)


def _solve_face(matrix: Array, ridge: Array, l1: Array, progress: _Progress) -> tuple[_Progress, bool]:
    """Go towards the minimum among the points with the same signs; also tell whether that was reached.

    On the way there some entries would change their signs. They stop at zero, and the rest goes on: for the longest of
    a few lengths at which the model is any smaller, since that rids the face of most entries at once. The last length
    is where the first entry stops.
    """
    xp = array_namespace(matrix)
    free = (progress.point != 0) | (l1 == 0)
    places = xp.nonzero(free)[0]
    if places.shape[0] == 0:
        return progress, True
    x, slope, strength, lift = (xp.take(array, places) for array in (progress.point, progress.slope, l1, ridge))
    rows = xp.take(matrix, places, axis=0)
    hessian = xp.take(rows, places, axis=1)
    sign = xp.where(strength > 0, xp.sign(x), xp.zeros_like(x))
    identity = xp.eye(x.shape[0], dtype=x.dtype, device=backend_of(x).device)
    solved = xp.linalg.solve(hessian + identity * lift, -(slope + strength * sign)[:, None])[:, 0]
    crosses = (x + solved) * sign < 0
    wall = xp.where(crosses, -x / xp.where(crosses, solved, xp.ones_like(x)), xp.ones_like(x))
    halves = 0.5 ** xp.arange(_LENGTHS, dtype=x.dtype, device=backend_of(x).device)
    lengths = xp.concat((halves, xp.min(wall)[None]))[:, None]
    moves = xp.where((wall <= lengths) & crosses, -x, lengths * solved)
    gains = xp.sum((slope + 0.5 * (moves @ hessian)) * moves + strength * (xp.abs(x + moves) - xp.abs(x)), axis=1)
    *gained, shortest = _numbers(xp.concat((gains, xp.min(wall)[None])))
    longest = next((number for number, gain in enumerate(gained) if gain < 0.0), None)
    if longest is None:
        return progress, True
    move = moves[longest, :]
    moved = progress._replace(point=progress.point + spread(move, free), slope=progress.slope + move @ rows)
    return moved, shortest == 1.0


def spread(values: Array, mask: Array) -> Array:
    """Put values where a mask is true, and zeros elsewhere.

    Parameters
    ----------
    values : array of shape (n_true,)
        In the order of the places.
    mask : array of bool, shape (n,)
        True ``n_true`` times.

    Returns
    -------
    array of shape (n,)
        Fresh.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.solvers.proximal_descent import spread
    >>> spread(np.asarray([5.0, 7.0]), np.asarray([False, True, True]))
    array([0., 5., 7.])
    """
    xp = array_namespace(values)
    if values.shape[0] == 0:
        return xp.zeros(mask.shape, dtype=values.dtype, device=backend_of(values).device)
    places = xp.cumulative_sum(xp.astype(mask, xp.int64)) - 1
    return xp.where(mask, xp.take(values, xp.maximum(places, xp.zeros_like(places))), xp.zeros_like(values[:1]))


def _dot(left: Array, right: Array) -> Array:
    return array_namespace(left).vecdot(left, right)


def _numbers(array: Array) -> Any:
    return to_host(array).tolist()  # host: two or three numbers decide the next step
