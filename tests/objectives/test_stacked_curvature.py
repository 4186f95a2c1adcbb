# SPDX-License-Identifier: BSD-3-Clause
"""The Hessians of a stack against the explicit one of each head."""

import numpy as np
import pytest

from softmax_xp.objectives import stacked as module
from tests.backends import load
from tests.objectives.convex_reference import hessian
from tests.objectives.stacked_problem import CASES, HEADS, dense, draw, points, stacked


def explicit(objective, case, backend, drawn, number):
    """One head's Hessian in the coordinates of the stack: (n_columns, n_rows, n_columns, n_rows)."""
    scale = np.ones(objective.data.n_rows)
    scale[: objective.data.n_features] = backend.to_numpy(objective.data.scale)
    n_rows, n_columns = drawn[number].shape
    matrix = hessian(dense(case, HEADS[number]), drawn[number]).reshape(n_columns, n_rows, n_columns, n_rows)
    return matrix / scale[:, None, None] / scale


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_the_explicit_hessian(name, kept, backend, monkeypatch):
    case = CASES[name]
    objective, drawn = stacked(case, backend), draw(case)
    stack = objective.stack(HEADS)
    if not kept:
        monkeypatch.setattr(module, "_KEPT_BYTES", 0)
    evaluation = objective.evaluate(stack, points(objective, backend, drawn), keep=True)
    curvature = objective.curvature(stack, evaluation)
    direction = np.random.default_rng(1).standard_normal(tuple(evaluation.points.shape))
    found = backend.to_numpy(curvature.product(backend.asarray(direction)))
    for number in range(len(HEADS)):
        matrix = explicit(objective, case, backend, drawn, number)
        expected = np.einsum("krls,ls->kr", matrix, direction[:, number])
        np.testing.assert_allclose(found[:, number], expected, atol=1e-12)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.problem.fit_intercept])
def test_the_blocks_of_the_biases_are_in_the_explicit_hessian(name, backend):
    case = CASES[name]
    objective, drawn = stacked(case, backend), draw(case)
    stack = objective.stack(HEADS)
    evaluation = objective.evaluate(stack, points(objective, backend, drawn), keep=True)
    blocks = backend.to_numpy(objective.curvature(stack, evaluation).bias_blocks())
    for number in range(len(HEADS)):
        expected = explicit(objective, case, backend, drawn, number)[:, -1, :, -1]
        np.testing.assert_allclose(blocks[number], expected, atol=1e-14)


@pytest.mark.parametrize("kept", [True, False])
def test_heads_that_stay_keep_their_curvature(kept, backend, monkeypatch):
    case = CASES["softmax, all weights; folds"]
    objective, drawn = stacked(case, backend), draw(case)
    stack = objective.stack(HEADS)
    if not kept:
        monkeypatch.setattr(module, "_KEPT_BYTES", 0)
    evaluation = objective.evaluate(stack, points(objective, backend, drawn), keep=True)
    curvature = objective.curvature(stack, evaluation)
    direction = np.random.default_rng(1).standard_normal(tuple(evaluation.points.shape))
    whole = backend.to_numpy(curvature.product(backend.asarray(direction)))
    for staying in ([0, 2], [4], [1, 2, 3]):
        part = curvature.narrowed(staying).product(backend.asarray(direction[:, staying]))
        np.testing.assert_allclose(backend.to_numpy(part), whole[:, staying], atol=1e-14)


def test_mean_weights_are_the_mean_over_the_heads():
    case, backend = CASES["softmax; folds"], load("numpy")
    objective, drawn = stacked(case, backend), draw(case)
    stack = objective.stack(HEADS)
    evaluation = objective.evaluate(stack, points(objective, backend, drawn), keep=True)
    weighted = list(objective.curvature(stack, evaluation).mean_weights())
    total = sum((weights.sum(axis=1) for _, weights in weighted), np.zeros(4))
    expected = np.zeros(4)
    for number in range(len(HEADS)):
        blocks = explicit(objective, case, backend, drawn, number)[:, -1, :, -1]
        expected += np.diag(blocks) / len(HEADS)
    np.testing.assert_allclose(total, expected, rtol=1e-12)


def test_products_without_kept_probabilities_cost_half_a_pass_more(monkeypatch):
    case, backend = CASES["softmax; folds"], load("numpy")
    objective = stacked(case, backend)
    stack = objective.stack(HEADS)
    evaluation = objective.evaluate(stack, objective.zeros(stack), keep=True)
    before = objective.passes
    objective.curvature(stack, evaluation).product(evaluation.points)
    assert objective.passes - before == len(HEADS)
    monkeypatch.setattr(module, "_KEPT_BYTES", 0)
    objective.curvature(stack, evaluation._replace(kept=None)).product(evaluation.points)
    assert objective.passes - before == 2.5 * len(HEADS)
