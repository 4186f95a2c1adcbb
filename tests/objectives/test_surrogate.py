# SPDX-License-Identifier: BSD-3-Clause
"""Stand-ins for the Hessian: against the Hessian of the definition."""

import numpy as np
import pytest
import scipy.sparse

from softmax_xp.data.sparse_input import as_rows
from softmax_xp.objectives import surrogate as module
from softmax_xp.objectives.curvature import LinearCurvature
from softmax_xp.objectives.surrogate import (
    DiagonalSurrogate,
    KroneckerSurrogate,
    hessian_of_rows,
    surrogate_of_rows,
)
from tests.backends import load
from tests.objectives.convex_problems import PROBLEMS, coefficients_for
from tests.objectives.convex_reference import hessian, lift, make, point_of

NUMPY = load("numpy")


@pytest.fixture(params=PROBLEMS.values(), ids=PROBLEMS.keys())
def problem(request):
    return request.param


def reference(objective, backend, problem, coefficients, dtype="float64"):
    """Return the definition in the objective's coordinates, rows of a point slowest."""
    n_rows, n_columns = objective.shape
    scale = np.ones(n_rows)
    scale[: problem.X.shape[1]] = backend.to_numpy(objective.scale)[:, 0]
    whole = hessian(lift(problem, dtype), coefficients).reshape(n_columns, n_rows, n_columns, n_rows)
    whole = whole.transpose(1, 0, 3, 2).reshape(n_rows * n_columns, -1)
    return whole / np.outer(np.repeat(scale, n_columns), np.repeat(scale, n_columns))


def at(objective, backend, coefficients):
    curvature = LinearCurvature(objective, point_of(objective, backend, coefficients))
    return objective, curvature._probabilities, curvature.axis


def as_matrix(surrogate, shape):
    size = shape[0] * shape[1]
    return surrogate.product(np.eye(size).reshape(size, *shape)).reshape(size, size)


def test_the_hessian_of_all_entries_is_that_of_the_definition(problem, backend):
    objective, coefficients = make(problem, backend), coefficients_for(problem)
    size = objective.shape[0] * objective.shape[1]
    got = hessian_of_rows(*at(objective, backend, coefficients), backend.asarray(np.arange(size)))
    expected = reference(objective, backend, problem, coefficients)
    np.testing.assert_allclose(backend.to_numpy(got), expected, atol=1e-13 * np.max(np.abs(expected)))


@pytest.mark.parametrize("name", ["softmax, all weights", "logistic, all weights", "softmax, no bias"])
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_the_hessian_of_some_entries_is_a_part_of_it(name, form, in_chunks):
    if form == "dense":
        in_chunks(5)
    problem = PROBLEMS[name]
    X = as_rows(scipy.sparse.csr_array(problem.X), np.float64) if form == "sparse" else None
    objective, coefficients = make(problem, NUMPY, X=X), coefficients_for(problem)
    size = objective.shape[0] * objective.shape[1]
    entries = np.sort(np.random.default_rng(0).permutation(size)[: size // 2 + 1])
    got = hessian_of_rows(*at(objective, NUMPY, coefficients), entries)
    expected = reference(objective, NUMPY, problem, coefficients)[np.ix_(entries, entries)]
    np.testing.assert_allclose(got, expected, atol=1e-13 * np.max(np.abs(expected)))


def test_the_hessian_is_wide():
    problem = PROBLEMS["softmax"]
    objective, coefficients = make(problem, NUMPY, "float32"), coefficients_for(problem)
    got = hessian_of_rows(*at(objective, NUMPY, coefficients), np.arange(5))
    assert got.dtype == np.float64
    expected = reference(objective, NUMPY, problem, coefficients, "float32")[:5, :5]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "softmax, all weights", "softmax, no bias", "logistic, all weights"])
def test_the_kronecker_product_is_the_hessian_where_all_is_zero(name, in_chunks):
    in_chunks(7)
    problem = PROBLEMS[name]
    objective, coefficients = make(problem, NUMPY), np.zeros(problem.shape)
    surrogate = surrogate_of_rows(*at(objective, NUMPY, coefficients))
    assert isinstance(surrogate, KroneckerSurrogate)
    got, expected = as_matrix(surrogate, objective.shape), reference(objective, NUMPY, problem, coefficients)
    np.testing.assert_allclose(got, expected, atol=1e-9 * np.max(np.abs(expected)))


@pytest.mark.parametrize("name", ["logistic", "logistic, all weights", "logistic, no bias"])
def test_with_one_column_the_kronecker_product_is_the_hessian(name):
    problem = PROBLEMS[name]
    objective, coefficients = make(problem, NUMPY), coefficients_for(problem)
    got = as_matrix(surrogate_of_rows(*at(objective, NUMPY, coefficients)), objective.shape)
    expected = reference(objective, NUMPY, problem, coefficients)
    np.testing.assert_allclose(got, expected, atol=1e-9 * np.max(np.abs(expected)))


def test_the_kronecker_product_resembles_the_hessian_anywhere(problem):
    """Its trace is that of the Hessian, it is positive semidefinite, and a common shift bends only the penalty."""
    objective, coefficients = make(problem, NUMPY), coefficients_for(problem)
    surrogate = surrogate_of_rows(*at(objective, NUMPY, coefficients))
    got, expected = as_matrix(surrogate, objective.shape), reference(objective, NUMPY, problem, coefficients)
    np.testing.assert_allclose(np.trace(got), np.trace(expected), rtol=1e-8)
    assert np.min(np.linalg.eigvalsh(got)) >= -1e-14 * np.max(got)
    np.testing.assert_allclose(surrogate.diagonal().reshape(-1), np.diagonal(got))
    if objective.n_columns > 1:
        shift = np.ones(objective.shape)
        np.testing.assert_allclose(surrogate.product(shift), surrogate.ridge * shift, atol=1e-13)


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_the_diagonal_is_that_of_the_hessian(problem, form, monkeypatch, in_chunks):
    if form == "dense":
        in_chunks(6)
    monkeypatch.setattr(module, "_SMALL", 0)
    monkeypatch.setattr(module, "_DENSE_LIMIT", 0)
    X = as_rows(scipy.sparse.csr_array(problem.X), np.float64) if form == "sparse" else None
    objective, coefficients = make(problem, NUMPY, X=X), coefficients_for(problem)
    surrogate = surrogate_of_rows(*at(objective, NUMPY, coefficients))
    assert isinstance(surrogate, DiagonalSurrogate)
    expected = np.diagonal(reference(objective, NUMPY, problem, coefficients)).reshape(objective.shape)
    np.testing.assert_allclose(surrogate.diagonal(), expected, atol=1e-9 * np.max(expected))
    direction = np.arange(float(expected.size)).reshape(objective.shape)
    np.testing.assert_allclose(surrogate.product(direction), surrogate.diagonal() * direction)


@pytest.mark.parametrize("small", [0, 128], ids=["diagonal", "kronecker"])
def test_all_libraries_agree(backend, small, monkeypatch):
    monkeypatch.setattr(module, "_SMALL", small)
    monkeypatch.setattr(module, "_DENSE_LIMIT", small)
    problem = PROBLEMS["softmax, all weights"]
    coefficients = coefficients_for(problem)
    direction = np.random.default_rng(4).standard_normal(problem.shape)
    expected = surrogate_of_rows(*at(make(problem, NUMPY), NUMPY, coefficients)).product(direction)
    got = surrogate_of_rows(*at(make(problem, backend), backend, coefficients)).product(backend.asarray(direction))
    np.testing.assert_allclose(backend.to_numpy(got), expected, rtol=1e-10, atol=1e-12)


def test_the_rows_of_many_are_sampled(monkeypatch):
    rng = np.random.default_rng(5)
    problem = PROBLEMS["softmax"].but(X=rng.standard_normal((9000, 3)), y=rng.integers(0, 4, 9000))
    objective, coefficients = make(problem, NUMPY), np.zeros(problem.shape)
    monkeypatch.setattr(module, "_LEAST_SAMPLE", 500)
    monkeypatch.setattr(module, "_SAMPLE_WORK", 0)
    got = as_matrix(surrogate_of_rows(*at(objective, NUMPY, coefficients)), objective.shape)
    assert objective.passes < 0.2
    expected = reference(objective, NUMPY, problem, coefficients)
    np.testing.assert_allclose(got, expected, atol=0.3 * np.max(expected))
