# SPDX-License-Identifier: BSD-3-Clause
"""The metric of a stack against the Hessians that it stands for."""

import numpy as np
import pytest

from softmax_xp.objectives import stacked_metric as module
from softmax_xp.objectives.stacked_heads import Head
from softmax_xp.objectives.stacked_metric import StackedMetric, metric_of_stack, metric_work
from tests.backends import load
from tests.objectives.convex_reference import hessian
from tests.objectives.stacked_problem import CASES, Case, coefficients, dense, draw, points, stacked


def built(case, backend, heads, *, thorough, dtype="float64"):
    objective = stacked(case, backend, dtype)
    stack = objective.stack(heads)
    evaluation = objective.evaluate(stack, points(objective, backend, draw(case)[: len(heads)], dtype), keep=True)
    return objective, metric_of_stack(objective.curvature(stack, evaluation), thorough=thorough)


@pytest.mark.parametrize("name", ["softmax, all weights; folds", "softmax, no bias; folds", "softmax; bootstrap"])
def test_each_class_has_the_inverse_of_its_block(name, backend):
    case, head = CASES[name], Head(0, 0.3)
    objective, metric = built(case, backend, [head], thorough=True)
    scale = np.ones(objective.data.n_rows)
    scale[: objective.data.n_features] = backend.to_numpy(objective.data.scale)
    n_rows, n_columns = case.problem.shape
    blocks = hessian(dense(case, head), draw(case)[0]).reshape(n_columns, n_rows, n_columns, n_rows)
    for column in range(n_columns):
        block = blocks[column, :, column, :] / scale[:, None] / scale
        product = backend.to_numpy(metric.inverse)[column] @ block
        np.testing.assert_allclose(product, np.eye(n_rows), atol=1e-6)


def test_one_column_has_its_hessian_inverted(backend):
    case, head = CASES["logistic; folds"], Head(1, 0.3)
    objective, metric = built(case, backend, [head], thorough=True)
    assert metric.roots is None
    at = points(objective, backend, draw(case)[:1])
    matrix = hessian(dense(case, head), coefficients(objective, backend, at[:, 0, :]))
    scale = np.ones(objective.data.n_rows)
    scale[: objective.data.n_features] = backend.to_numpy(objective.data.scale)
    matrix = matrix / scale[:, None] / scale
    np.testing.assert_allclose(backend.to_numpy(metric.inverse) @ matrix, np.eye(len(matrix)), atol=1e-6)


@pytest.mark.parametrize("thorough", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_metric_is_positive_and_keeps_sums_over_the_classes_at_zero(thorough, dtype, backend):
    heads = [Head(0, 0.03), Head(1, 0.03)]
    _, metric = built(CASES["softmax, all weights; folds"], backend, heads, thorough=thorough, dtype=dtype)
    gradient = np.random.default_rng(0).standard_normal((4, 2, 4))
    gradient = (gradient - gradient.mean(axis=0)).astype(dtype)
    solved = backend.to_numpy(metric.solve(backend.asarray(gradient)))
    assert solved.dtype == gradient.dtype
    assert ((solved * gradient).sum(axis=(0, 2)) > 0).all()
    np.testing.assert_allclose(solved.sum(axis=0), 0.0, atol=1e-4 * np.abs(solved).max())


def test_a_few_doubtful_samples_stand_for_all_where_the_others_are_certain(monkeypatch):
    rng, backend = np.random.default_rng(7), load("numpy")
    case = CASES["softmax; folds"]
    X = rng.standard_normal((600, 3))
    y = np.argmax(X @ rng.standard_normal((3, 4)), axis=1)
    y[:4] = np.arange(4)
    counts = np.ones((1, 600), dtype=np.int64)
    many = Case(case.problem.but(X=X, y=y), counts)
    objective = stacked(many, backend)
    stack = objective.stack([Head(0, 1e-4)])
    weights = 30.0 * rng.standard_normal((3, 4))  # so large that few samples are in doubt
    evaluation = objective.evaluate(stack, points(objective, backend, [np.vstack([weights, np.zeros(4)])]), keep=True)
    curvature = objective.curvature(stack, evaluation)
    whole = metric_of_stack(curvature, thorough=True).inverse
    monkeypatch.setattr(module, "_LEAST_SAMPLES", 200)
    some = metric_of_stack(curvature, thorough=True).inverse
    assert not np.array_equal(some, whole)
    for left, right in zip(some, whole, strict=True):
        ratios = np.linalg.eigvals(np.linalg.solve(right, left)).real
        assert 0.8 < ratios.min() <= ratios.max() < 1.25


def test_classes_share_an_inverse_where_their_own_would_be_too_large(monkeypatch):
    monkeypatch.setattr(module, "_CLASS_BYTES", 1)
    monkeypatch.setattr(module, "_CLASS_SHARE", 0.0)
    objective, metric = built(CASES["softmax; folds"], load("numpy"), [Head(0, 0.1)], thorough=True)
    assert metric.inverse.ndim == 2
    assert metric.roots.shape == (4, 1, 4)
    work = metric_work(objective.data)
    monkeypatch.undo()
    assert work < metric_work(objective.data)  # that of one for each class


def test_the_work_of_a_metric_is_counted_in_products_of_the_stack():
    objective = stacked(CASES["softmax; folds"], load("numpy"))
    one, two = (objective.metric_cost(objective.stack([Head(0, 1.0)] * count)) for count in (1, 2))
    assert one == 2 * two > 0


def test_solving_multiplies_by_the_inverse_and_the_roots(backend):
    inverse, roots = np.asarray([[2.0, 0.5], [0.5, 1.0]]), np.asarray([[[1.0, 3.0]], [[2.0, 1.0]]])
    metric = StackedMetric(backend.asarray(inverse), backend.asarray(roots))
    gradient = np.asarray([[[1.0, 2.0]], [[-1.0, -2.0]]])
    expected = roots * ((roots * gradient) @ inverse)
    expected -= expected.mean(axis=0)
    np.testing.assert_allclose(backend.to_numpy(metric.solve(backend.asarray(gradient))), expected, rtol=1e-14)
