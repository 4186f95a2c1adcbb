# SPDX-License-Identifier: BSD-3-Clause
"""The quadratic model: against the recursive definition of BFGS."""

import numpy as np
import pytest

from softmax_xp.solvers.proximal_model import FlatSurrogate, Pair, exact_model, quadratic_model
from tests.backends import load

NUMPY = load("numpy")
SHAPE = (3, 2)
SIZE = 6


class Whole:
    """A surrogate that is no diagonal."""

    separable = False

    def __init__(self, matrix):
        self.matrix = matrix

    def diagonal(self):
        return np.diagonal(self.matrix).reshape(SHAPE)

    def product(self, direction):
        return (direction.reshape(*direction.shape[:-2], SIZE) @ self.matrix).reshape(direction.shape)


class Diagonal:
    """A surrogate that is one."""

    separable = True

    def __init__(self, diagonal):
        self.entries = diagonal

    def diagonal(self):
        return self.entries

    def product(self, direction):
        raise AssertionError


def definite(seed, size=SIZE):
    root = np.random.default_rng(seed).standard_normal((size, size))
    return root @ root.T / size + 0.1 * np.eye(size)


def some_pairs(n_pairs, *, put=np.asarray, seed=3):
    """Steps, and the changes of the gradient of a quadratic."""
    rng, hessian = np.random.default_rng(seed), definite(seed + 1)
    steps = rng.standard_normal((n_pairs, SIZE))
    return tuple(Pair(put(step), put(hessian @ step), float(step @ hessian @ step)) for step in steps)


def bfgs(matrix, pairs):
    for step, change, product in pairs:
        bent = matrix @ step
        matrix = matrix - np.outer(bent, bent) / (step @ bent) + np.outer(change, change) / product
    return matrix


def as_matrix(model, size=SIZE):
    return np.stack([model.product(row) for row in np.eye(size)])


@pytest.mark.parametrize("n_pairs", [0, 1, 2, 4])
def test_the_model_is_that_of_bfgs(n_pairs):
    surrogate, pairs = Whole(definite(0)), some_pairs(n_pairs)
    model = quadratic_model(surrogate, pairs, SHAPE, None)
    ratios = [pair.product / (pair.step @ surrogate.matrix @ pair.step) for pair in pairs]
    scale = max(np.mean(ratios), ratios[-1]) if ratios else 1.0
    np.testing.assert_allclose(as_matrix(model), bfgs(scale * surrogate.matrix, pairs), atol=1e-12)
    np.testing.assert_allclose(model.diagonal, scale * np.diagonal(surrogate.matrix))


def test_the_newest_pair_is_reproduced():
    pairs = some_pairs(3)
    model = quadratic_model(Whole(definite(0)), pairs, SHAPE, None)
    np.testing.assert_allclose(model.product(pairs[-1].step), pairs[-1].change, atol=1e-12)


def test_a_diagonal_is_scaled_by_the_larger_ratio():
    entries = np.random.default_rng(2).uniform(0.5, 2.0, SHAPE)
    pairs, flat = some_pairs(2), entries.reshape(-1)
    model = quadratic_model(Diagonal(entries), pairs, SHAPE, None)
    scale = np.sum(pairs[-1].change ** 2 / flat) / pairs[-1].product
    np.testing.assert_allclose(as_matrix(model), bfgs(scale * np.diag(flat), pairs), atol=1e-12)


def test_a_diagonal_model_may_be_about_some_entries_only():
    entries, working = np.random.default_rng(2).uniform(0.5, 2.0, SHAPE), np.asarray([0, 2, 5])
    hessian = definite(4)
    steps = np.zeros((2, SIZE))
    steps[:, working] = np.random.default_rng(7).standard_normal((2, 3))
    pairs = tuple(Pair(step, hessian @ step, float(step @ hessian @ step)) for step in steps)
    model = quadratic_model(Diagonal(entries), pairs, SHAPE, working)
    part = [Pair(pair.step[working], pair.change[working], pair.product) for pair in pairs]
    diagonal = entries.reshape(-1)[working]
    scale = np.sum(part[-1].change ** 2 / diagonal) / part[-1].product
    np.testing.assert_allclose(as_matrix(model, 3), bfgs(scale * np.diag(diagonal), part), atol=1e-12)


def test_a_pair_that_lies_elsewhere_is_left_out():
    elsewhere, here = np.zeros(SIZE), np.zeros(SIZE)
    elsewhere[0], here[1] = 1.0, 1.0
    pairs = (Pair(elsewhere, 2.0 * elsewhere, 2.0), Pair(here, 3.0 * here, 3.0))
    working = np.asarray([1, 2])
    model = quadratic_model(Diagonal(np.ones(SHAPE)), pairs, SHAPE, working)
    assert model.factors.shape == (2, 2)
    assert quadratic_model(Diagonal(np.ones(SHAPE)), pairs[:1], SHAPE, working).factors is None


def test_all_libraries_agree(backend):
    surrogate = FlatSurrogate(backend.asarray(np.full((1, 1), 2.0)))
    pairs, plain = some_pairs(3, put=backend.asarray), some_pairs(3)
    direction = np.random.default_rng(8).standard_normal(SIZE)
    model = quadratic_model(surrogate, pairs, SHAPE, backend.asarray(np.arange(SIZE)))
    expected = quadratic_model(FlatSurrogate(np.full((1, 1), 2.0)), plain, SHAPE, None)
    got = backend.to_numpy(model.product(backend.asarray(direction)))
    np.testing.assert_allclose(got, expected.product(direction), rtol=1e-10)


def test_float32_stays_float32():
    pairs = some_pairs(3, put=lambda array: np.asarray(array, dtype=np.float32))
    model = quadratic_model(FlatSurrogate(np.ones((1, 1), np.float32)), pairs, SHAPE, None)
    product = model.product(np.ones(SIZE, np.float32))
    assert product.dtype == np.float32
    expected = quadratic_model(FlatSurrogate(np.ones((1, 1))), some_pairs(3), SHAPE, None).product(np.ones(SIZE))
    np.testing.assert_allclose(product, expected, rtol=1e-4)


def test_the_flat_surrogate_is_the_identity():
    surrogate = FlatSurrogate(np.ones((1, 1)))
    direction = np.arange(6.0).reshape(SHAPE)
    assert surrogate.separable
    np.testing.assert_array_equal(surrogate.product(direction), direction)
    np.testing.assert_array_equal(surrogate.diagonal(), 1.0)


@pytest.mark.parametrize("rounding", [1e-16, 1e-7])
def test_the_exact_model_is_its_matrix(rounding):
    matrix = definite(5)
    matrix[0, :] = matrix[:, 0] = 0.0
    model = exact_model(matrix, rounding=rounding)
    np.testing.assert_allclose(as_matrix(model), matrix)
    assert np.all(model.diagonal > 0)
    np.testing.assert_allclose(model.diagonal, np.diagonal(matrix), atol=1e-9)
    assert model.ridge >= rounding
