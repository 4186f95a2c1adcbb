# SPDX-License-Identifier: BSD-3-Clause
"""The explicit Hessian: against its definition, definite whatever the data."""

import numpy as np
import pytest

from softmax_xp.objectives import matrix as module
from tests.backends import load
from tests.objectives.convex_problems import PROBLEMS, coefficients_for
from tests.objectives.convex_reference import make, point_of, scaled_hessian

NUMPY = load("numpy")


def check_the_matrix(problem, backend, dtype):
    """It is the Hessian, except along the shifts of all classes that change nothing."""
    objective, coefficients = make(problem, backend, dtype), coefficients_for(problem)
    got = backend.to_numpy(objective.curvature(point_of(objective, backend, coefficients)).matrix())
    expected = scaled_hessian(objective, backend, problem, coefficients, dtype)
    n_rows, n_columns = objective.shape
    free = np.zeros((n_rows, 1)) if problem.l2 else np.ones((n_rows, 1))
    if problem.fit_intercept:
        free[-1] = 1.0
    added = got - expected
    if n_columns > 1:
        added = added.reshape(n_columns, n_rows, n_columns, n_rows)
        constant = added[0, :, 1, :]
        np.testing.assert_allclose(added, np.broadcast_to(constant[None, :, None, :], added.shape), atol=1e-6)
        assert np.all(np.abs(constant[np.broadcast_to(free, constant.shape) == 0]) < 1e-6)
        assert np.all(np.diag(constant)[free[:, 0] == 1] > 0)
    else:
        np.testing.assert_allclose(added, 0.0, atol=2e-6 if dtype == "float32" else 1e-13)
    assert np.all(np.linalg.eigvalsh(got) > 0)
    np.testing.assert_allclose(got, got.T, atol=1e-15)
    assert got.dtype == (np.float64 if backend.float64 else np.float32)


@pytest.mark.parametrize("outer_bytes", [1 << 23, 1 << 19])
@pytest.mark.parametrize("rows", [7, 1000])
def test_the_matrix_is_that_of_the_definition(in_chunks, monkeypatch, problem, rows, outer_bytes):
    in_chunks(rows)
    monkeypatch.setattr(module, "_OUTER_BYTES", outer_bytes)
    for dtype in ("float32", "float64"):
        check_the_matrix(problem, NUMPY, dtype)


def test_the_matrix_is_the_same_in_every_library(backend, dtype, in_chunks, typical):
    in_chunks(16)
    check_the_matrix(typical, backend, dtype)


@pytest.mark.parametrize("l2", [0.0, 1e-9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_matrix_is_definite_where_the_data_are_not(l2, dtype):
    rng = np.random.default_rng(3)
    X = np.concatenate([rng.standard_normal((12, 3)), np.ones((12, 1)), np.zeros((12, 1))], axis=1)
    X = np.concatenate([X, X[:, :1] - X[:, 1:2], 1e6 * X[:, :1]], axis=1)
    for changes in ({}, {"n_classes": 2, "one_column": True, "y": np.arange(12) % 2}):
        problem = PROBLEMS["softmax"].but(**({"X": X, "y": np.arange(12) % 4, "l2": l2} | changes))
        objective = make(problem, NUMPY, dtype)
        point = np.full(objective.shape, 0.1, dtype)
        matrix = objective.curvature(point).matrix()
        assert np.linalg.eigvalsh(matrix)[0] > 0
        slope = objective.value_and_gradient(point)[1].astype(float)
        # Along the null space the gradient is rounding: the step must not blow it up.
        assert np.max(np.abs(np.linalg.solve(matrix, slope.T.ravel()))) < (100 if l2 == 0 else 1000)


def test_a_narrow_matrix_bends_as_little_as_the_penalty_where_the_loss_is_flat():
    problem = PROBLEMS["softmax"].but(l2=1e-6)
    objective = make(problem, NUMPY, "float32")
    matrix = objective.curvature(point_of(objective, NUMPY, coefficients_for(problem)).astype("float32")).matrix()
    common = np.kron(np.ones(4) / 2, np.eye(4)[0])  # the first feature, in all classes alike
    np.testing.assert_allclose(common @ matrix @ common, objective.l2_rows[0, 0], rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_features_that_are_kept_change_nothing(monkeypatch, problem, dtype):
    objective = make(problem, NUMPY, dtype)
    points = [point_of(objective, NUMPY, coefficients_for(problem, seed=seed)) for seed in range(2)]
    kept = [objective.curvature(point).matrix() for point in points]
    monkeypatch.setattr(module, "_KEPT_BYTES", 0)
    for point, matrix in zip(points, kept, strict=True):
        np.testing.assert_array_equal(make(problem, NUMPY, dtype).curvature(point).matrix(), matrix)


def test_features_of_small_data_are_made_once():
    objective = make(PROBLEMS["softmax"], NUMPY)
    made, original = [], objective.features
    objective.features = lambda rows: made.append(len(rows)) or original(rows)
    for _ in range(3):
        objective.curvature(objective.start()).matrix()
    assert made == [len(PROBLEMS["softmax"].X)]
