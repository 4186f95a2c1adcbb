# SPDX-License-Identifier: BSD-3-Clause
"""The convex problem once more: by its definition, in NumPy, sharing no code with the package.

Two classes in one column are the two logits (0, z). A point is the weight with the bias as its last row, unscaled.
"""

__all__ = [
    "Dense",
    "Problem",
    "gap",
    "gradient",
    "hessian",
    "lift",
    "make",
    "minimum",
    "point_of",
    "recentred",
    "scaled_hessian",
    "stacked",
    "subgradient",
    "value",
]

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from softmax_xp.losses import CrossEntropy, Logistic
from softmax_xp.objectives import ConvexObjective, LinearObjective
from softmax_xp.typing import LinearParams


@dataclass(frozen=True)
class Problem:
    """What a user would pass; `n_classes` of 2 with `one_column` is the logistic loss."""

    X: np.ndarray
    y: np.ndarray  # labels, or soft targets
    n_classes: int
    one_column: bool = False
    sample_weight: np.ndarray | None = None
    class_weight: tuple[float, ...] | None = None
    l1: float = 0.0
    l2: float = 0.0
    fit_intercept: bool = True

    def but(self, **changes: Any) -> "Problem":
        return replace(self, **changes)

    @property
    def n_columns(self) -> int:
        return 1 if self.one_column else self.n_classes

    @property
    def shape(self) -> tuple[int, int]:
        return self.X.shape[1] + self.fit_intercept, self.n_columns


class Dense(NamedTuple):
    """A problem as the mathematics sees it."""

    X: np.ndarray  # with the ones of the bias
    t: np.ndarray  # (n_samples, n_classes)
    mass: np.ndarray  # (n_samples,)
    total: Any
    l1: np.ndarray  # (n_rows, 1)
    l2: np.ndarray
    one_column: bool
    has_bias: bool


def make(problem: Problem, backend: Any, dtype: str = "float64", X: Any = None) -> ConvexObjective:
    """Build the package's objective on a backend of tests/backends.py."""
    kind = getattr(backend.xp, dtype)
    loss = Logistic(problem.class_weight) if problem.one_column else CrossEntropy(class_weight=problem.class_weight)
    y = problem.y.astype(dtype) if problem.y.ndim == 2 else problem.y
    weight = None if problem.sample_weight is None else backend.asarray(problem.sample_weight.astype(dtype))
    targets = loss.prepare(backend.asarray(y), problem.n_classes, dtype=kind, sample_weight=weight)
    X = backend.asarray(problem.X.astype(dtype)) if X is None else X
    linear = LinearObjective(X, targets, loss, None, kind)
    return ConvexObjective(linear, problem.n_classes, l1=problem.l1, l2=problem.l2, fit_intercept=problem.fit_intercept)


def point_of(objective: ConvexObjective, backend: Any, coefficients: np.ndarray) -> Any:
    """Bring coefficients to the objective's own coordinates, library and device."""
    wide = objective.linear.dtype == objective.backend.xp.float64
    coefficients = coefficients.astype("float64" if wide else "float32")
    if not objective.fit_intercept:
        return objective.point(LinearParams(backend.asarray(coefficients), None))
    params = LinearParams(backend.asarray(coefficients[:-1]), backend.asarray(coefficients[-1]))
    return objective.point(params)


def scaled_hessian(
    objective: ConvexObjective, backend: Any, problem: Problem, coefficients: np.ndarray, dtype: str = "float64"
) -> np.ndarray:
    """Return the Hessian by its definition, in the objective's coordinates: columns slowest."""
    scale = np.ones(objective.shape[0])
    scale[: problem.X.shape[1]] = backend.to_numpy(objective.scale)[:, 0]
    scale = np.tile(scale, problem.n_columns)
    return hessian(lift(problem, dtype), coefficients.astype(dtype).astype(float)) / np.outer(scale, scale)


def stacked(objective: ConvexObjective, backend: Any, point: Any) -> np.ndarray:
    """Return the coefficients of a point in NumPy, the bias as the last row."""
    weight, bias = objective.params(point)
    if bias is None:
        return backend.to_numpy(weight)
    return np.concatenate([backend.to_numpy(weight), backend.to_numpy(bias)[None, :]])


def recentred(problem: Problem, coefficients: np.ndarray) -> np.ndarray:
    """Return the same model with biases that sum to 0, as a certificate begins, in the float of `coefficients`."""
    if not problem.fit_intercept or coefficients.shape[1] == 1:
        return coefficients
    wide = coefficients.astype(np.float64)
    wide[-1] -= wide[-1].mean()
    return wide.astype(coefficients.dtype)


def lift(problem: Problem, dtype: str = "float64", kind: Any = np.float64) -> Dense:
    """Round what the user passed to `dtype`, as the package does, and go on in `kind`."""

    def rounded(array: Any) -> np.ndarray:
        return np.asarray(array).astype(dtype).astype(kind)

    n_samples = len(problem.X)
    sample_weight = rounded(np.ones(n_samples) if problem.sample_weight is None else problem.sample_weight)
    class_weight = rounded(np.ones(problem.n_classes) if problem.class_weight is None else problem.class_weight)
    soft = problem.y.ndim == 2
    t = rounded(problem.y) if soft else np.eye(problem.n_classes, dtype=kind)[problem.y]
    t = t * class_weight * sample_weight[:, None]
    total = np.sum(sample_weight if soft else t)
    X = rounded(problem.X)
    penalised = np.ones((X.shape[1], 1), dtype=kind)
    if problem.fit_intercept:
        X = np.concatenate([X, np.ones((n_samples, 1), dtype=kind)], axis=1)
        penalised = np.concatenate([penalised, np.zeros((1, 1), dtype=kind)])
    strengths = (kind(problem.l1) * penalised, kind(problem.l2) * penalised)
    return Dense(X, t, np.sum(t, axis=1), total, *strengths, problem.one_column, problem.fit_intercept)


def _log_probabilities(dense: Dense, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = dense.X @ point
    if dense.one_column:
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    largest = np.max(z, axis=1, keepdims=True)
    return z, z - largest - np.log(np.sum(np.exp(z - largest), axis=1, keepdims=True))


def value(dense: Dense, point: np.ndarray, *, smooth: bool = False) -> Any:
    """Return the objective; `smooth`: without the L1 part."""
    _, log_p = _log_probabilities(dense, point)
    fit = -np.sum(np.where(dense.t == 0, 0, dense.t * log_p)) / dense.total
    penalty = np.sum(dense.l2 * point * point) / 2
    return fit + penalty + (0 if smooth else np.sum(dense.l1 * np.abs(point)))


def gradient(dense: Dense, point: np.ndarray) -> np.ndarray:
    """Return the gradient of the smooth part."""
    p = np.exp(_log_probabilities(dense, point)[1])
    bent = dense.mass[:, None] * p - dense.t
    return dense.X.T @ bent[:, int(dense.one_column) :] / dense.total + dense.l2 * point


def subgradient(dense: Dense, point: np.ndarray) -> np.ndarray:
    """Return the smallest subgradient of the objective."""
    slope = gradient(dense, point)
    at_kink = np.maximum(np.abs(slope) - dense.l1, 0)
    return np.where((point == 0) & (dense.l1 > 0), at_kink, slope + dense.l1 * np.sign(point))


def hessian(dense: Dense, point: np.ndarray) -> np.ndarray:
    """Return the Hessian of the smooth part, columns varying slowest."""
    p = np.exp(_log_probabilities(dense, point)[1])[:, int(dense.one_column) :]
    n_rows, n_columns = point.shape
    blocks = np.empty((n_columns, n_rows, n_columns, n_rows), dtype=p.dtype)
    for a in range(n_columns):
        for b in range(n_columns):
            bend = dense.mass * p[:, a] * ((a == b) - p[:, b])
            blocks[a, :, b, :] = (dense.X.T * bend) @ dense.X / dense.total
    size = n_rows * n_columns
    return blocks.reshape(size, size) + np.diag(np.tile(dense.l2[:, 0], n_columns))


def minimum(dense: Dense) -> np.ndarray:
    """Return the minimum to rounding: Newton's method on an active set that grows by one entry at a time.

    Each step is damped so much that a function whose third derivative is bounded by its second, as that of logsumexp
    is, is sure to fall (T. Sun, Q. Tran-Dinh, 2019). Where an entry reaches zero, it stays there.
    """
    counted = np.sum(dense.t, axis=0) > 0
    if dense.has_bias and not np.all(counted):
        # A free bias takes a class that never occurs to a probability of 0; no minimum, but an infimum.
        shape = (dense.X.shape[1], 1 if dense.one_column else counted.size)
        point = np.zeros(shape)
        point[-1, :] = np.where(counted, 0.0, -1e4)[-shape[1] :] + (1e4 if dense.one_column and counted[1] else 0.0)
        if not dense.one_column:
            point[:, counted] = minimum(dense._replace(t=dense.t[:, counted]))
        return point
    shape = (dense.X.shape[1], 1 if dense.one_column else dense.t.shape[1])
    l1 = np.broadcast_to(dense.l1, shape).T.ravel()
    flat = np.zeros(l1.size)
    active = l1 == 0
    sign = np.zeros(l1.size)
    for _ in range(20 * l1.size + 100):
        flat, active = _newton(dense, flat, active, sign, l1, shape)
        slope = gradient(dense, _point(flat, shape)).T.ravel()
        excess = np.where(active, 0, np.abs(slope) - l1)
        worst = np.argmax(excess)
        if excess[worst] <= 1e-15 * l1[worst]:
            break
        active[worst], sign[worst] = True, -np.sign(slope[worst])
    return _point(flat, shape)


def _point(flat: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return flat.reshape(shape[::-1]).T


def _newton(
    dense: Dense, flat: np.ndarray, active: np.ndarray, sign: np.ndarray, l1: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise over the active entries, whose signs are known; let go of those that want to change theirs."""
    smallest, failures = np.inf, 0
    for _ in range(300):
        slope = (gradient(dense, _point(flat, shape)).T.ravel() + l1 * sign)[active]
        if not slope.size:
            break
        matrix = hessian(dense, _point(flat, shape))[np.ix_(active, active)]
        size = np.sqrt(np.diag(matrix) + 1e-300)
        # Along a common shift of all classes the Hessian may be zero. Where the signs do not sum to zero along it, the
        # ridge makes the step long, until an entry is zero; where they do, the step is rounding.
        matrix = matrix / np.outer(size, size) + 1e-11 * np.eye(slope.size)
        step = np.zeros_like(flat)
        step[active] = -np.linalg.solve(matrix, slope / size) / size
        decrement = -np.sum(step[active] * slope)
        failures = failures + 1 if decrement >= 0.5 * smallest else 0
        smallest = min(decrement, smallest)
        if decrement <= 1e-32 or (failures > 3 and decrement < 1e-18):
            break
        change = dense.X @ _point(step, shape)
        reach = np.max(np.abs(change)) if dense.one_column else np.max(np.ptp(change, axis=1))
        length = np.log1p(reach) / reach if reach > 0 else 1.0
        crossing = active & (l1 > 0) & (flat + length * step != 0) & (np.sign(flat + length * step) != sign)
        if np.any(crossing):
            length = np.min(flat[crossing] / -step[crossing])
            gone = crossing & (flat / np.where(step == 0, 1, -step) <= length)
            flat = np.where(gone, 0.0, flat + length * step)
            active = active & ~gone
            smallest = np.inf
        else:
            flat = flat + length * step
    return flat, active


def gap(dense: Dense, point: np.ndarray, optimum: np.ndarray) -> float:
    """Return by how much the objective at a point exceeds that at the optimum, at least: less what rounding may add.

    Pass a `dense` of long doubles. The logits are what rounds most.
    """
    kind = dense.X.dtype.type
    point, optimum = point.astype(kind), optimum.astype(kind)
    largest = max(np.max(np.abs(dense.X) @ np.abs(place)) for place in (point, optimum))
    rounding = 4 * np.finfo(kind).eps * (largest + 1) * np.max(dense.mass) * len(dense.mass) / dense.total
    return float(value(dense, point) - value(dense, optimum) - rounding)
