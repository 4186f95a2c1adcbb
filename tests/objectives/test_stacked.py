# SPDX-License-Identifier: BSD-3-Clause
"""A stack of heads against the definition of each head."""

import numpy as np
import pytest

from softmax_xp.objectives import stacked as module
from tests.backends import load
from tests.objectives.convex_reference import gradient, value
from tests.objectives.stacked_problem import CASES, HEADS, coefficients, dense, draw, points, stacked


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_each_head(name, backend):
    case = CASES[name]
    objective, drawn = stacked(case, backend), draw(case)
    stack = objective.stack(HEADS)
    found = objective.evaluate(stack, points(objective, backend, drawn))
    scale = np.ones(objective.data.n_rows)
    scale[: objective.data.n_features] = backend.to_numpy(objective.data.scale)
    for number, (head, at) in enumerate(zip(HEADS, drawn, strict=True)):
        own = dense(case, head)
        np.testing.assert_allclose(backend.to_numpy(found.value)[number], value(own, at), rtol=1e-13)
        expected = (gradient(own, at) / scale[:, None]).T
        np.testing.assert_allclose(backend.to_numpy(found.gradient)[:, number, :], expected, atol=1e-13)


def test_neither_blocks_of_heads_nor_chunks_of_rows_change_the_sums(monkeypatch):
    case, backend = CASES["softmax; folds"], load("numpy")
    objective, drawn = stacked(case, backend), draw(case)
    whole = objective.evaluate(objective.stack(HEADS), points(objective, backend, drawn))
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)
    monkeypatch.setattr("softmax_xp.objectives.stacked_data.chunk_rows", lambda *_: 3)
    cut = stacked(case, backend)
    assert len(cut.data.chunks) > len(objective.data.chunks)
    again = cut.evaluate(cut.stack(HEADS), points(cut, backend, drawn))
    np.testing.assert_allclose(again.value, whole.value, rtol=1e-14)
    np.testing.assert_allclose(again.gradient, whole.gradient, atol=1e-15)


def test_a_wide_evaluation_sees_what_a_narrow_one_rounds(backend):
    if not backend.float64:
        pytest.skip("there is no wider float")
    case = CASES["softmax; folds"]
    objective, drawn = stacked(case, backend, "float32"), draw(case)
    at = points(objective, backend, drawn, "float32")
    found = objective.evaluate(objective.stack(HEADS), at, wide=True)
    assert not objective.is_wide
    assert found.points.dtype == backend.xp.float32
    assert found.gradient.dtype == backend.xp.float64
    for number, head in enumerate(HEADS):
        exact = coefficients(objective, backend, backend.xp.astype(at[:, number, :], backend.xp.float64))
        own = value(dense(case, head, "float32"), exact)
        np.testing.assert_allclose(backend.to_numpy(found.value)[number], own, rtol=1e-12)


@pytest.mark.parametrize("name", ["softmax, all weights; folds", "logistic, all weights; bootstrap"])
def test_the_start_has_the_best_biases(name, backend):
    case = CASES[name]
    objective = stacked(case, backend)
    stack = objective.stack(HEADS)
    start = objective.zeros(stack)
    assert not backend.to_numpy(start)[:, :, :-1].any()
    slopes = backend.to_numpy(objective.evaluate(stack, start).gradient)[:, :, -1]
    # A class that a fold lacks begins with the probability 1e-13.
    np.testing.assert_allclose(slopes, 0.0, atol=2e-13)


def test_a_narrowed_evaluation_is_that_of_the_narrowed_stack(backend):
    case = CASES["softmax; folds"]
    objective, drawn = stacked(case, backend), draw(case)
    stack = objective.stack(HEADS)
    evaluation = objective.evaluate(stack, points(objective, backend, drawn), keep=True)
    narrow, part = objective.narrowed(stack, evaluation, [1, 3])
    assert narrow.heads == (HEADS[1], HEADS[3])
    again = objective.evaluate(narrow, part.points, keep=True)
    np.testing.assert_allclose(backend.to_numpy(part.value), backend.to_numpy(again.value), rtol=1e-13)
    np.testing.assert_allclose(backend.to_numpy(part.gradient), backend.to_numpy(again.gradient), atol=1e-14)
    for kept, expected in zip(part.kept, again.kept, strict=True):
        assert (kept is None) == (expected is None)
        if kept is not None:
            np.testing.assert_allclose(backend.to_numpy(kept), backend.to_numpy(expected), atol=1e-15)


def test_logits_are_kept_only_where_they_are_few(monkeypatch):
    case, backend = CASES["softmax; folds"], load("numpy")
    objective = stacked(case, backend)
    stack, at = objective.stack(HEADS), points(objective, backend, draw(case))
    assert objective.evaluate(stack, at, keep=True).kept is not None
    monkeypatch.setattr(module, "_KEPT_BYTES", 1)
    assert objective.evaluate(stack, at, keep=True).kept is None


def test_measures_are_in_the_coordinates_of_the_user(backend):
    case = CASES["softmax; folds"]
    objective, drawn = stacked(case, backend), draw(case)
    stack = objective.stack(HEADS)
    table = backend.to_numpy(objective.measures(stack, objective.evaluate(stack, points(objective, backend, drawn))))
    for number, (head, at) in enumerate(zip(HEADS, drawn, strict=True)):
        slope = gradient(dense(case, head), at)
        np.testing.assert_allclose(table[0, number], value(dense(case, head), at), rtol=1e-13)
        np.testing.assert_allclose(table[1, number], np.abs(slope).max(), rtol=1e-12)
        np.testing.assert_allclose(table[3, number], np.sum(slope[:-1] ** 2) / (2 * head.l2), rtol=1e-12)


def test_passes_are_counted_in_heads():
    case, backend = CASES["softmax; folds"], load("numpy")
    objective = stacked(case, backend)
    stack = objective.stack(HEADS)
    objective.evaluate(stack, objective.zeros(stack))
    assert objective.passes == len(HEADS)
