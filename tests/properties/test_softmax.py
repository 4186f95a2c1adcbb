# SPDX-License-Identifier: BSD-3-Clause
"""Identities of the softmax family, on scores that Hypothesis chooses."""

import numpy as np
import pytest

from softmax_xp import log_softmax, logsumexp, softmax

pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

N_EPS = 64  # what a few additions and an exponential of a moderate number may lose


def scores(limit=1e3):
    """Matrices of finite scores, with ties and huge ratios more often than chance would make them."""
    elements = st.one_of(st.floats(-limit, limit, width=64), st.sampled_from([0.0, 1.0, -1.0, limit, -limit]))
    return hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=elements)


@given(scores(limit=1e300))
def test_probabilities_sum_to_one(x):
    probabilities = softmax(x)
    assert np.all((probabilities >= 0) & (probabilities <= 1))
    np.testing.assert_allclose(np.sum(probabilities, axis=1), 1.0, rtol=N_EPS * np.finfo(float).eps)


@given(hnp.arrays(np.float32, (3, 5), elements=st.floats(-(2.0**120), 2.0**120, width=32)))
def test_probabilities_sum_to_one_in_single_precision(x):
    np.testing.assert_allclose(np.sum(softmax(x), axis=1), 1.0, rtol=N_EPS * np.finfo(np.float32).eps)


@given(scores(limit=1e300))
def test_log_softmax_is_not_positive_and_finite(x):
    logarithms = log_softmax(x)
    assert np.all(logarithms <= 0)
    assert np.all(np.isfinite(logarithms))


@given(scores(), st.integers(-(2**20), 2**20))
def test_a_shift_changes_nothing_but_logsumexp(x, shift):
    x = np.round(x * 256) / 256  # so that x + shift is exact
    np.testing.assert_array_equal(softmax(x + shift), softmax(x))
    np.testing.assert_array_equal(log_softmax(x + shift), log_softmax(x))
    expected = logsumexp(x) + shift
    scale = np.maximum(np.abs(expected), abs(shift) + np.max(np.abs(x)))
    assert np.all(np.abs(logsumexp(x + shift) - expected) <= 4 * np.finfo(float).eps * scale)


@given(scores(), st.randoms(use_true_random=False))
def test_classes_and_samples_may_come_in_any_order(x, random):
    rows, columns = list(range(x.shape[0])), list(range(x.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    shuffled = np.ascontiguousarray(x[np.ix_(rows, columns)])
    for function in (softmax, log_softmax):
        np.testing.assert_allclose(function(shuffled), function(x)[np.ix_(rows, columns)], rtol=1e-13, atol=0)
    np.testing.assert_allclose(logsumexp(shuffled), logsumexp(x)[rows], rtol=1e-13, atol=1e-13)


@given(scores())
def test_log_softmax_is_the_logarithm_of_softmax(x):
    probabilities = softmax(x)
    normal = probabilities > np.finfo(float).smallest_normal
    np.testing.assert_allclose(np.exp(log_softmax(x))[normal], probabilities[normal], rtol=1e-12)


@given(scores())
def test_logsumexp_lies_between_the_maximum_and_log_n_above_it(x):
    maximum, slack = np.max(x, axis=1), 1e-12 * (1 + np.max(np.abs(x)))
    result = logsumexp(x)
    assert np.all(result >= maximum - slack)
    assert np.all(result <= maximum + np.log(x.shape[1]) + slack)


@given(scores(), st.floats(0.0, 1.0))
def test_logsumexp_is_convex(x, share):
    y = np.ascontiguousarray(x[::-1, ::-1])
    between = logsumexp(share * x + (1 - share) * y)
    chord = share * logsumexp(x) + (1 - share) * logsumexp(y)
    assert np.all(between <= chord + 1e-12 * (1 + np.max(np.abs(x))))


@given(scores(limit=1e300))
def test_the_axes_are_alike(x):
    for function in (softmax, log_softmax):
        np.testing.assert_allclose(function(np.ascontiguousarray(x.T), axis=0), function(x).T, rtol=1e-13, atol=0)
