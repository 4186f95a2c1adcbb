# SPDX-License-Identifier: BSD-3-Clause
"""The best bias for a weight: that it is found, from anywhere, and what it costs."""

import numpy as np
import pytest

from softmax_xp.objectives import bias as module
from softmax_xp.objectives.bias import BiasProblem, polished_bias
from softmax_xp.objectives.linear import LinearObjective
from tests.backends import load
from tests.objectives.convex_problems import PROBLEMS, coefficients_for
from tests.objectives.convex_reference import lift, make, point_of, stacked, subgradient

NUMPY = load("numpy")
NAMES = ["softmax", "softmax, all weights", "softmax, weighted soft targets", "logistic, all weights"]


def problem_of(name, dtype="float64", size=1.0, offset=0.0, wide="float64"):
    """Return a bias problem, and the slope along the bias by an independent definition."""
    problem, coefficients = PROBLEMS[name], coefficients_for(PROBLEMS[name], size=size)
    coefficients[-1] += offset * np.random.default_rng(5).standard_normal(problem.n_columns)
    objective = make(problem, NUMPY, dtype)
    params = objective.params(point_of(objective, NUMPY, coefficients).astype(dtype))

    def slope(bias):
        at = objective.point(params._replace(bias=bias.astype(dtype)))
        return subgradient(lift(problem, dtype), stacked(objective, NUMPY, at).astype(float))[-1]

    return BiasProblem(objective.linear, params, objective.n_columns, np.dtype(wide)), params, slope


@pytest.mark.parametrize("name", NAMES)
def test_sums_and_curvature_are_those_of_the_definition(name):
    problem, _, slope = problem_of(name)
    columns, counts = problem.columns()
    np.testing.assert_allclose((columns - counts) * problem.scale, slope(problem.bias), rtol=1e-12, atol=1e-15)
    curvature = problem.curvature() * problem.scale
    for column in range(problem.n_columns):
        step = np.zeros(problem.n_columns)
        step[column] = 1e-6
        difference = (slope(problem.bias + step) - slope(problem.bias - step)) / 2e-6
        np.testing.assert_allclose(curvature[:, column], difference, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("many", [1, 128])
@pytest.mark.parametrize("offset", [0.0, 3.0, 30.0])
def test_the_best_bias_has_no_slope(monkeypatch, name, many, offset):
    monkeypatch.setattr(module, "_MANY", many)
    problem, _, slope = problem_of(name, size=0.3, offset=offset)
    first = problem.polish(0.0)
    assert np.sum(np.abs(slope(problem.bias))) < 1e-14 < first


@pytest.mark.parametrize("many", [1, 128])
def test_polishing_ends_at_what_is_enough(monkeypatch, many):
    monkeypatch.setattr(module, "_MANY", many)
    problem, _, slope = problem_of("softmax", size=0.3, offset=3.0)
    problem.polish(1e-3)
    assert 1e-10 < np.sum(np.abs(slope(problem.bias))) <= 1e-3


def test_many_classes_use_a_curvature_for_several_steps(monkeypatch):
    counts = {}
    for many in (1, 128):
        monkeypatch.setattr(module, "_MANY", many)
        problem, _, _ = problem_of("softmax", size=0.3, offset=0.3)
        computed, honest = [], problem.curvature
        monkeypatch.setattr(
            problem, "curvature", lambda computed=computed, honest=honest: computed.append(1) or honest()
        )
        problem.polish(0.0)
        counts[many] = len(computed)
    assert 0 < counts[1] < counts[128]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_narrow_bias_is_one_of_the_best_that_its_float_has(monkeypatch, keeps):
    monkeypatch.setattr(LinearObjective, "keeps_logits", lambda *_: keeps)
    problem, params, slope = problem_of("softmax", dtype="float32", size=0.3, offset=0.3)
    before = np.sum(np.abs(slope(params.bias)))
    found = polished_bias(problem.linear, params, problem.n_columns, np.dtype("float64"), 0.0)
    assert found.bias.dtype == "float64"
    np.testing.assert_array_equal(found.bias, found.bias.astype("float32"))
    assert np.sum(np.abs(slope(found.bias))) < 1e-6 < before


def test_without_kept_logits_the_steps_of_a_narrow_fit_are_narrow(monkeypatch):
    monkeypatch.setattr(LinearObjective, "keeps_logits", lambda *_: False)
    dtypes, honest = [], BiasProblem.columns
    monkeypatch.setattr(BiasProblem, "columns", lambda self: dtypes.append(np.dtype(self.dtype)) or honest(self))
    problem, params, _ = problem_of("softmax", dtype="float32", size=0.3, offset=0.3)
    polished_bias(problem.linear, params, problem.n_columns, np.dtype("float64"), 0.0)
    assert dtypes.count("float64") == 1
    assert dtypes.count("float32") > 2


def test_a_model_without_a_bias_keeps_it_so():
    problem, params, _ = problem_of("softmax, no bias")
    assert polished_bias(problem.linear, params, problem.n_columns, problem.dtype, 0.0).bias is None
