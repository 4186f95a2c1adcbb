# SPDX-License-Identifier: BSD-3-Clause
import mpmath
import numpy as np
import pytest

from softmax_xp.estimators import information
from softmax_xp.estimators.information import gather_information, measure_coordinates, mirror_lower
from tests.estimators.reference_fit import draw_samples, terms_of

STRENGTH = 0.3
PENALTY = STRENGTH * (np.eye(2) - 1.0 / 3.0)


def problem(has_intercept=True):
    X, codes = draw_samples(n_samples=50)
    X = X * np.array([1.0, 20.0, 0.1]) + np.array([0.0, 100.0, -1.0])
    contrasts = np.random.default_rng(3).normal(size=(2, 3 + has_intercept)) * 0.05
    weight = np.random.default_rng(4).uniform(0.1, 2.0, len(X))
    return X, codes, contrasts, weight


def gathered(X, codes, contrasts, weight, has_intercept=True, **options):
    coordinates = measure_coordinates(X, weight > 0.0, has_intercept=has_intercept, strength=STRENGTH)
    found = gather_information(X, codes, contrasts, weight, coordinates, order=np.arange(3), penalty=PENALTY, **options)
    return coordinates, found


def objective(scaled, X, codes, weight, coordinates, first):
    """Evaluate the penalised sum of losses at contrasts in scaled coordinates, from its definition."""
    contrasts = coordinates.restore(scaled.reshape(2, -1).copy(), axis=1)
    logits = np.c_[np.zeros(len(X)), terms_of(X, first == 1) @ contrasts.T]
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(X)), codes]
    features = contrasts[:, first:]
    return weight @ losses + 0.5 * np.sum(features * (PENALTY @ features))


@pytest.mark.parametrize("has_intercept", [True, False])
def test_gradient_and_hessian_are_finite_differences_of_the_objective(has_intercept):
    X, codes, contrasts, weight = problem(has_intercept)
    coordinates, found = gathered(X, codes, contrasts, weight, has_intercept)
    first = int(has_intercept)
    scaled = contrasts.copy()
    if has_intercept:
        scaled[:, 0] += contrasts[:, 1:] @ coordinates.centre[1:]
    scaled *= coordinates.scale
    np.testing.assert_allclose(coordinates.restore(scaled.copy(), axis=1), contrasts, atol=1e-13)
    point, step, size = scaled.ravel(), 1e-3, scaled.size

    def value(*moves):
        return objective(point + step * np.sum(moves, axis=0), X, codes, weight, coordinates, first)

    unit = np.eye(size)
    gradient = [(value(row) - value(-row)) / (2 * step) for row in unit]
    curvature = [
        [(value(a, b) - value(a, -b) - value(-a, b) + value(-a, -b)) / (4 * step**2) for b in unit] for a in unit
    ]
    np.testing.assert_allclose(found.gradient.ravel(), gradient, atol=1e-4)
    np.testing.assert_allclose(found.hessian, curvature, atol=1e-4)
    np.testing.assert_array_equal(found.hessian, found.hessian.T)


def test_the_meat_is_the_sum_of_squared_scores():
    X, codes, contrasts, weight = problem()
    coordinates, found = gathered(X, codes, contrasts, weight, with_meat=True)
    terms = coordinates.design(X)
    expected = np.zeros((8, 8))
    for x, raw, code, w in zip(terms, X, codes, weight, strict=True):
        exponentials = np.exp(np.r_[0.0, contrasts @ np.r_[1.0, raw]])
        score = w * np.kron((exponentials / exponentials.sum() - np.eye(3)[code])[1:], x)
        expected += np.outer(score, score)
    np.testing.assert_allclose(found.meat, expected, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.class_weight, [weight[codes == code].sum() for code in range(3)], rtol=1e-13)
    expected = (weight * terms.T) @ terms + np.diag(np.r_[0.0, PENALTY[0, 0] / coordinates.scale[1:] ** 2])
    np.testing.assert_allclose(found.gram, expected, rtol=1e-12, atol=1e-12)


def test_scaled_features_are_centred_and_at_most_one():
    X = np.array([[1e30, 2001.0, 5.0], [3e30, 2003.0, 5.0], [np.nan, np.inf, 0.0]])
    kept = np.array([True, True, False])
    coordinates = measure_coordinates(X, kept, has_intercept=True, strength=0.0)
    np.testing.assert_allclose(coordinates.design(X[:2]), [[1.0, -1.0, -1.0, 0.0], [1.0, 1.0, 1.0, 0.0]], rtol=1e-15)
    coordinates = measure_coordinates(X, kept, has_intercept=False, strength=0.0)
    np.testing.assert_array_equal(coordinates.design(X[:2])[1], [1.0, 1.0, 1.0])


def test_a_constant_is_centred_to_exact_zeros_although_its_mean_is_rounded():
    X = np.full((10, 1), 0.1)
    assert X.sum() / 10 != 0.1 or np.full(3, 0.1).sum() / 3 != 0.1
    for n_samples in range(1, 11):
        kept = np.arange(10) < n_samples
        coordinates = measure_coordinates(X, kept, has_intercept=True, strength=0.0)
        np.testing.assert_array_equal(coordinates.design(X)[:, 1], np.zeros(10))


@pytest.mark.parametrize("logit", [1.0, 40.0, 300.0])
@pytest.mark.parametrize("likeliest", [0, 1, 2])
def test_curvature_keeps_its_relative_accuracy_where_one_class_is_certain(logit, likeliest):
    contrasts = np.zeros((2, 2))
    if likeliest > 0:
        contrasts[likeliest - 1, 0] = logit
    else:
        contrasts[:, 0] = -logit
    coordinates = measure_coordinates(np.ones((1, 1)), np.ones(1, dtype=bool), has_intercept=True, strength=0.0)
    found = gather_information(
        np.ones((1, 1)), np.zeros(1, dtype=int), contrasts, np.ones(1), coordinates,
        order=np.arange(3), penalty=np.zeros((2, 2)),
    )  # fmt: skip
    with mpmath.workdps(200):
        exponentials = [mpmath.mpf(1), *(mpmath.exp(value) for value in contrasts[:, 0].tolist())]
        for contrast in (1, 2):
            p = exponentials[contrast] / sum(exponentials)
            assert found.hessian[2 * contrast - 2, 2 * contrast - 2] == pytest.approx(
                float(p * (1 - p)), rel=1e-13, abs=0.0
            )


def test_the_floor_drops_small_probabilities_of_other_classes_only():
    X, contrasts = np.zeros((2, 1)), np.array([[-6.0, 0.0], [0.0, 0.0]])
    coordinates = measure_coordinates(X, np.ones(2, dtype=bool), has_intercept=True, strength=0.0)
    options = {"order": np.arange(3), "penalty": np.zeros((2, 2)), "floor": 1e-2}
    p = np.exp([0.0, -6.0, 0.0]) / np.exp([0.0, -6.0, 0.0]).sum()
    found = gather_information(X, np.array([1, 1]), contrasts, np.ones(2), coordinates, **options)
    assert found.hessian[0, 0] == pytest.approx(2 * p[1] * (1 - p[1]))
    found = gather_information(X, np.array([0, 1]), contrasts, np.ones(2), coordinates, **options)
    assert found.hessian[0, 0] == pytest.approx(p[1] * (1 - p[1]))
    assert found.hessian[2, 2] == pytest.approx(0.25 + p[2] * (1 - p[2]))


@pytest.mark.parametrize(
    ("targets", "is_separated"),
    [
        (np.array([0, 1, 2]), True),
        (np.array([0, 1, 1]), False),
        (np.array([[2.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]]), True),
        (np.array([[0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), False),
    ],
)
def test_separated_means_that_each_sample_has_its_own_class_on_top(targets, is_separated):
    X, contrasts = np.array([[-1.0], [0.0], [1.0]]), np.array([[1.0, 2.0], [0.5, 9.0]])
    coordinates = measure_coordinates(X, np.ones(3, dtype=bool), has_intercept=True, strength=0.0)
    options = {"order": np.arange(3), "penalty": np.zeros((2, 2))}
    assert gather_information(X, targets, contrasts, np.ones(3), coordinates, **options).is_separated is is_separated


def test_a_tie_is_no_separation():
    coordinates = measure_coordinates(np.ones((1, 1)), np.ones(1, dtype=bool), has_intercept=True, strength=0.0)
    found = gather_information(
        np.ones((1, 1)), np.zeros(1, dtype=int), np.zeros((2, 2)), np.ones(1), coordinates,
        order=np.arange(3), penalty=np.zeros((2, 2)),
    )  # fmt: skip
    assert found.is_separated is False


def test_chunks_stay_within_their_memory(monkeypatch):
    X, codes, contrasts, weight = problem()
    seen = []

    class Watched(np.ndarray):
        def astype(self, *args, **kwargs):
            seen.append(self.shape[0])
            return super().astype(*args, **kwargs)

    monkeypatch.setattr(information, "_CHUNK_ELEMENTS", 200)
    monkeypatch.setattr(information, "to_host", lambda rows: np.asarray(rows).view(Watched))
    gathered(X, codes, contrasts, weight)
    assert max(seen) <= 200 // 3
    assert seen.count(200 // (8 + 3 * 4)) == 5  # the pass that sums takes 8 + 12 numbers a row


@pytest.mark.parametrize("size", [1, 5, 256, 600])
def test_mirroring(size):
    full = np.random.default_rng(0).normal(size=(size, size))
    for order in ("C", "F"):
        matrix = np.array(full, order=order)
        mirror_lower(matrix)
        np.testing.assert_array_equal(matrix, np.tril(full) + np.tril(full, -1).T)
