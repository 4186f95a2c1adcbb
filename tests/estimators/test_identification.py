# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from softmax_xp.estimators.identification import LIMIT_FLOOR, invert_information
from softmax_xp.estimators.information import gather_information, measure_coordinates
from tests.estimators.reference_fit import draw_samples, fit_newton


def inverted(X, codes, contrasts, strength=0.0, weight=None):
    """Invert the information of a model of any number of classes; also say how often the limit was asked for."""
    n_contrasts, weight = len(contrasts), np.ones(len(X)) if weight is None else weight
    coordinates = measure_coordinates(X, weight > 0.0, has_intercept=True, strength=strength)
    asked = []

    def gather(**options):
        asked.append(options)
        return gather_information(
            X, codes, contrasts, weight, coordinates,
            order=np.arange(n_contrasts + 1), penalty=strength * np.eye(n_contrasts), **options,
        )  # fmt: skip

    limit = None if strength > 0.0 else lambda: gather(floor=LIMIT_FLOOR)
    information = gather()
    return information, invert_information(information, coordinates, limit), len(asked) - 1


def contrasts_of(X, codes, n_classes):
    weight, bias = fit_newton(X, np.eye(n_classes)[codes])
    columns = np.r_[bias[None], weight]
    return (columns[:, 1:] - columns[:, :1]).T


def test_a_well_posed_hessian_is_inverted_with_one_pass():
    X, codes = draw_samples()
    information, found, n_more = inverted(X, codes, contrasts_of(X, codes, 3))
    np.testing.assert_allclose(found.matrix @ information.hessian, np.eye(8), atol=1e-10)
    assert found.is_identified.all()
    assert n_more == 0


def test_the_step_is_newtons():
    X, codes = draw_samples()
    contrasts = contrasts_of(X, codes, 3)
    information, found, _ = inverted(X, codes, contrasts + 0.01)
    expected = -np.linalg.solve(information.hessian, information.gradient.ravel())
    np.testing.assert_allclose(found.step.ravel(), expected, rtol=1e-9)


def test_far_from_the_optimum_the_limit_is_asked_for_and_changes_nothing():
    X, codes = draw_samples()
    information, found, n_more = inverted(X, codes, contrasts_of(X, codes, 3) + 0.3)
    assert n_more == 1
    assert found.is_identified.all()
    np.testing.assert_allclose(found.matrix, np.linalg.inv(information.hessian), rtol=1e-8, atol=1e-12)
    expected = -np.linalg.solve(information.hessian, information.gradient.ravel())
    np.testing.assert_allclose(found.step.ravel(), expected, rtol=1e-8)


@pytest.mark.parametrize("factor", [1.0, 1e-8, 1e8])
def test_a_generalised_inverse_for_collinear_features(factor):
    X, codes = draw_samples()
    contrasts = contrasts_of(X, codes, 3)
    X = np.c_[X, X[:, 0] - X[:, 2]] * np.array([1.0, 1.0, 1.0, factor])
    information, found, _ = inverted(X, codes, np.c_[contrasts, [0.0, 0.0]])
    assert found.is_collinear.tolist() == [[False, True, False, True, True]] * 2
    assert not found.is_separated.any()
    hessian = information.hessian
    np.testing.assert_allclose(hessian @ found.matrix @ hessian, hessian, atol=1e-9 * np.abs(hessian).max())
    # A unit of x0 and x2, with the loss of x3 that makes up for it, is in the range: its variance is determined.
    assert np.isfinite(found.matrix).all()


def test_a_penalty_keeps_the_limit_out():
    X = np.linspace(-1.0, 1.0, 20)[:, None]
    codes = (X[:, 0] > 0).astype(int)
    information, found, n_more = inverted(X, codes, np.array([[0.0, 3.0]]), strength=1.0)
    assert n_more == 0
    assert found.is_identified.all()
    np.testing.assert_allclose(found.matrix, np.linalg.inv(information.hessian), rtol=1e-10, atol=1e-15)


def test_a_penalty_too_weak_for_float64_goes_by_eigenvalues():
    X, codes = draw_samples()
    contrasts = contrasts_of(X, codes, 3)
    _, found, _ = inverted(np.c_[X, X[:, 0]], codes, np.c_[contrasts, [0.0, 0.0]], strength=1e-14)
    assert found.is_collinear.tolist() == [[False, True, False, False, True]] * 2


def test_separated_samples_of_little_weight_are_found_by_their_own_move():
    # Weights have no scale: those of all samples may be tiny.
    X, codes = draw_samples(n_features=1, n_classes=2)
    flag = np.zeros(len(X))
    flag[np.flatnonzero(codes)[:4]] = 1.0
    rest = flag == 0
    contrasts = np.c_[contrasts_of(X[rest], codes[rest], 2), [[12.0]]]
    for scale in (1e-12, 1.0, 1e12):
        _, found, _ = inverted(np.c_[X, flag], codes, contrasts, weight=np.full(len(X), scale))
        assert found.is_separated.tolist() == [[False, False, True]]


def test_without_curvature_or_gradient_the_direction_is_given_up_too():
    # So far out that p is 0 or 1 to the last bit, and the gradient zero: nothing moves, and nothing is known.
    X, codes = draw_samples(n_features=1, n_classes=2)
    flag = np.zeros(len(X))
    flag[np.flatnonzero(codes)[:4]] = 1.0
    rest = flag == 0
    contrasts = np.c_[contrasts_of(X[rest], codes[rest], 2), [[2000.0]]]
    _, found, _ = inverted(np.c_[X, flag], codes, contrasts)
    assert found.is_separated.tolist() == [[False, False, True]]


def test_directions_with_and_without_curvature_left_are_given_up_together():
    X, codes = draw_samples(n_features=1, n_classes=2)
    flags = np.zeros((len(X), 2))
    members = np.flatnonzero(codes)
    flags[members[:4], 0] = 1.0
    flags[members[4:8], 1] = 1.0
    rest = ~flags.any(axis=1)
    contrasts = np.c_[contrasts_of(X[rest], codes[rest], 2), [[2000.0, 12.0]]]
    _, found, _ = inverted(np.c_[X, flags], codes, contrasts)
    assert found.is_separated.tolist() == [[False, False, True, True]]


def test_an_unfinished_fit_is_not_taken_for_separation():
    # Two rare samples in the middle say nothing about slopes, for which all others have a probability below the floor;
    # by symmetry the slopes are at their optimum, 0, and only the intercept still moves.
    rng = np.random.default_rng(0)
    half = rng.normal(size=(1000, 3))
    X, codes = np.r_[half, -half, np.zeros((2, 3))], np.r_[np.zeros(2000, dtype=int), 1, 1]
    contrasts = np.array([[np.log(1e-3) + 0.5, 0.0, 0.0, 0.0]])
    _, found, n_more = inverted(X, codes, contrasts)
    assert n_more == 1
    assert found.is_identified.all()
