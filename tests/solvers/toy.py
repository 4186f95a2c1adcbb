# SPDX-License-Identifier: BSD-3-Clause
"""Objectives so small that every number of a solver's run can be told beforehand."""

__all__ = ["Quadratic", "Scripted", "ScriptedState", "evaluation_at"]

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import numpy as np

from softmax_xp.solvers import Certificate, Certified, Evaluation
from softmax_xp.solvers.contract import evaluate


class _Plain:
    """The metric that changes nothing."""

    is_calibrated = False

    def solve(self, gradient: np.ndarray) -> np.ndarray:
        return gradient.copy()


class _QuadraticCurvature:
    def __init__(self, objective: "Quadratic") -> None:
        self.objective = objective

    def product(self, direction: np.ndarray) -> np.ndarray:
        self.objective.passes += 1
        self.objective.products += 1
        return self.objective.hessian @ direction

    def metric(self) -> _Plain:
        self.objective.metrics += 1
        return _Plain()

    def matrix(self) -> np.ndarray:
        self.objective.matrices += 1
        return self.objective.hessian


class Quadratic:
    """`(x - centre)' hessian (x - centre) / 2 + lowest`, or any function of one number that is given instead.

    It counts what is asked of it. Its certificate is the truth.
    """

    l1 = None

    def __init__(
        self,
        hessian: Any = 1.0,
        *,
        centre: Any = 0.0,
        lowest: float = 1.0,
        function: Callable[[float], tuple[float, float]] | None = None,
        penalised: bool = True,
    ) -> None:
        self.hessian = np.atleast_2d(np.asarray(hessian, dtype=float))
        self.centre = np.zeros((len(self.hessian), 1)) + np.reshape(centre, (-1, 1))
        self.lowest, self.function, self.penalised = lowest, function, penalised
        self.passes = self.values = self.products = self.metrics = self.matrices = self.certificates = 0
        self.before_value: Callable[[], None] = lambda: None

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.hessian), 1

    def start(self) -> np.ndarray:
        return np.zeros(self.shape)

    def value_and_gradient(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.before_value()
        self.passes += 1
        self.values += 1
        if self.function is not None:
            value, slope = self.function(float(point[0, 0]))
            return np.asarray(value), np.asarray([[slope]])
        away = point - self.centre
        slope = self.hessian @ away
        return np.asarray(self.lowest + 0.5 * np.sum(away * slope)), slope

    def curvature(self, point: np.ndarray) -> _QuadraticCurvature:
        return _QuadraticCurvature(self)

    def measures(self, point: np.ndarray, value: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        estimate = float(value) - self.lowest if self.penalised else inf
        return np.asarray([value, np.max(np.abs(gradient)), estimate])

    def certificate(self, point: np.ndarray, tol: float = 0.0) -> Certified:
        self.certificates += 1
        self.passes += 1
        if self.function is not None:
            value, slope = self.function(float(point[0, 0]))
        else:
            away = point - self.centre
            value = self.lowest + 0.5 * float(np.sum(away * (self.hessian @ away)))
            slope = np.max(np.abs(self.hessian @ away))
        bound = value - self.lowest if self.penalised else inf
        return Certified(point, Certificate(bound, value, abs(float(slope))))


class ScriptedState(NamedTuple):
    """One of a list of evaluations."""

    evaluation: Evaluation
    step: float
    number: int


@dataclass
class Scripted:
    """A solver that goes through points that are told to it; a step of 0 follows the last."""

    points: list[float]

    def init(self, objective: Quadratic, point: np.ndarray) -> ScriptedState:
        return ScriptedState(evaluate(objective, point), 1.0, -1)

    def advance(self, objective: Quadratic, state: ScriptedState) -> ScriptedState:
        number = state.number + 1
        if number == len(self.points):
            return state._replace(step=0.0)
        return ScriptedState(evaluate(objective, np.full(objective.shape, self.points[number])), 0.5, number)


def evaluation_at(objective: Quadratic, *coordinates: float) -> Evaluation:
    """Evaluate an objective at a point."""
    return evaluate(objective, np.reshape(np.asarray(coordinates, dtype=float), (-1, 1)))
