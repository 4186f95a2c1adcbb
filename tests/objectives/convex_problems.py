# SPDX-License-Identifier: BSD-3-Clause
"""Small problems of every kind on which the convex objective, its curvature and its certificate are tried."""

__all__ = ["PROBLEMS", "coefficients_for"]

import numpy as np

from tests.objectives.convex_reference import Problem

_RNG = np.random.default_rng(61)
_N_SAMPLES, _N_CLASSES = 32, 4
_X = _RNG.standard_normal((_N_SAMPLES, 3)) * np.asarray([0.3, 1.0, 20.0]) + np.asarray([0.0, 0.5, 30.0])
_LABELS = np.argmax(_X @ _RNG.standard_normal((3, _N_CLASSES)) + 3 * _RNG.gumbel(size=(_N_SAMPLES, _N_CLASSES)), axis=1)
_LABELS[:_N_CLASSES] = np.arange(_N_CLASSES)  # each class occurs
_SOFT = _RNG.dirichlet(np.ones(_N_CLASSES), _N_SAMPLES)
_SOFT[:3] = np.eye(_N_CLASSES)[:3]
_PAIRS = np.stack([_SOFT[:, :2].sum(axis=1), _SOFT[:, 2:].sum(axis=1)], axis=1)
_WEIGHT = _RNG.uniform(0.2, 2.0, _N_SAMPLES) * (_RNG.uniform(size=_N_SAMPLES) > 0.2)

_SOFTMAX = Problem(_X, _LABELS, _N_CLASSES, l2=0.03)
_LOGISTIC = Problem(_X, _LABELS % 2, 2, one_column=True, l2=0.03)
_BY_CLASS = (0.3, 1.7, 1.0, 0.6)

PROBLEMS = {
    "softmax": _SOFTMAX,
    "softmax, all weights": _SOFTMAX.but(sample_weight=_WEIGHT, class_weight=_BY_CLASS),
    "softmax, a class of no weight": _SOFTMAX.but(class_weight=(1.0, 2.0, 0.0, 0.5)),
    "softmax, soft targets": _SOFTMAX.but(y=_SOFT),
    "softmax, weighted soft targets": _SOFTMAX.but(y=_SOFT, sample_weight=_WEIGHT, class_weight=_BY_CLASS),
    "softmax, no bias": _SOFTMAX.but(fit_intercept=False),
    "softmax, no penalty": _SOFTMAX.but(l2=0.0),
    "softmax, l1": _SOFTMAX.but(l1=0.02, l2=0.0),
    "softmax, elastic net": _SOFTMAX.but(l1=0.01, l2=0.02, sample_weight=_WEIGHT),
    "two columns": _SOFTMAX.but(y=_LABELS % 2, n_classes=2),
    "logistic": _LOGISTIC,
    "logistic, all weights": _LOGISTIC.but(sample_weight=_WEIGHT, class_weight=(0.4, 1.5)),
    "logistic, soft targets": _LOGISTIC.but(y=_PAIRS, sample_weight=_WEIGHT),
    "logistic, elastic net": _LOGISTIC.but(l1=0.01, class_weight=(0.4, 1.5)),
    "logistic, no bias": _LOGISTIC.but(fit_intercept=False),
}


def coefficients_for(problem: Problem, *, seed: int = 0, size: float = 1.0) -> np.ndarray:
    """Draw coefficients that suit the features: logits of about `size`, some of them exactly 0."""
    rng = np.random.default_rng(seed)
    point = rng.standard_normal(problem.shape) * size
    point[: problem.X.shape[1]] /= np.max(np.abs(problem.X), axis=0, keepdims=True).T
    point[: problem.X.shape[1]] *= rng.uniform(size=(problem.X.shape[1], problem.n_columns)) > 0.2
    return point
