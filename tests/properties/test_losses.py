# SPDX-License-Identifier: BSD-3-Clause
"""Identities of the softmax loss, on logits, targets and options that Hypothesis chooses."""

import numpy as np
import pytest

from softmax_xp.losses import CrossEntropy, mean_value_and_gradient

pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


@st.composite
def problems(draw, limit=50.0):
    """Draw a loss, logits, targets and sample weights that fit one another."""
    n_samples, n_classes = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    elements = st.one_of(st.floats(-limit, limit), st.sampled_from([0.0, limit, -limit]))
    logits = draw(hnp.arrays(np.float64, (n_samples, n_classes), elements=elements))
    positive = st.floats(0.125, 8.0)
    class_weight = draw(st.none() | st.lists(positive, min_size=n_classes, max_size=n_classes))
    loss = CrossEntropy(
        draw(st.sampled_from([0.0, 0.1, 1.0])), class_weight, None, draw(st.sampled_from([1.0, 0.5, 3.0]))
    )
    if draw(st.booleans()):
        masses = draw(hnp.arrays(np.float64, logits.shape, elements=positive))
        targets = masses / np.sum(masses, axis=1, keepdims=True)
    else:
        targets = draw(hnp.arrays(np.int64, n_samples, elements=st.integers(0, n_classes - 1)))
    sample_weight = draw(st.none() | hnp.arrays(np.float64, n_samples, elements=positive))
    return loss, logits, targets, sample_weight


def evaluate(loss, logits, targets, sample_weight):
    return mean_value_and_gradient(loss, logits, targets, sample_weight=sample_weight)


@given(problems(limit=1e200))
def test_each_samples_gradient_sums_to_zero_over_the_classes(problem):
    gradient = evaluate(*problem)[1]
    assert np.all(np.isfinite(gradient))
    np.testing.assert_allclose(np.sum(gradient, axis=1), 0.0, atol=1e-13)


@given(problems())
def test_the_loss_is_not_negative(problem):
    assert evaluate(*problem)[0] >= 0


@given(problems(), st.integers(-(2**20), 2**20))
def test_a_shift_of_a_samples_logits_changes_nothing(problem, shift):
    loss, logits, *rest = problem
    logits = np.round(logits * 256) / 256  # so that logits + shift is exact
    value, gradient = evaluate(loss, logits, *rest)
    shifts = np.arange(len(logits))[:, None] * float(shift)
    shifted_value, shifted_gradient = evaluate(loss, logits + shifts, *rest)
    tolerance = 1e-12 if loss.temperature == 1.0 else 1e-9  # the division rounds the shifted logits anew
    np.testing.assert_allclose(shifted_value, value, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(shifted_gradient, gradient, rtol=0, atol=tolerance)


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(problem, random):
    loss, logits, targets, sample_weight = problem
    order = list(range(len(logits)))
    random.shuffle(order)
    value, gradient = evaluate(*problem)
    shuffled = evaluate(loss, logits[order], targets[order], None if sample_weight is None else sample_weight[order])
    np.testing.assert_allclose(shuffled[0], value, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(shuffled[1], gradient[order], rtol=1e-12, atol=1e-15)


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_classes_does_not_matter(problem, random):
    loss, logits, targets, sample_weight = problem
    order = list(range(logits.shape[1]))
    random.shuffle(order)
    class_weight = None if loss.class_weight is None else np.asarray(loss.class_weight)[order]
    renamed = CrossEntropy(loss.label_smoothing, class_weight, None, loss.temperature)
    reordered = targets[:, order] if targets.ndim == 2 else np.argsort(order)[targets]
    value, gradient = evaluate(*problem)
    shuffled = evaluate(renamed, np.ascontiguousarray(logits[:, order]), reordered, sample_weight)
    np.testing.assert_allclose(shuffled[0], value, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(shuffled[1], gradient[:, order], rtol=1e-12, atol=1e-13)


@given(problems(), st.floats(0.0, 1.0), st.integers(0, 2**32 - 1))
def test_the_loss_is_convex_along_any_line(problem, share, seed):
    loss, logits, *rest = problem
    other = logits + np.random.default_rng(seed).standard_normal(logits.shape) * 10
    here, there = evaluate(loss, logits, *rest)[0], evaluate(loss, other, *rest)[0]
    between = evaluate(loss, share * logits + (1 - share) * other, *rest)[0]
    assert between <= share * here + (1 - share) * there + 1e-11 * (1 + here + there)


@given(problems(), st.integers(0, 2**32 - 1))
def test_a_tangent_lies_below_the_loss(problem, seed):
    loss, logits, *rest = problem
    direction = np.random.default_rng(seed).standard_normal(logits.shape)
    value, gradient = evaluate(loss, logits, *rest)
    elsewhere = evaluate(loss, logits + direction, *rest)[0]
    assert elsewhere >= value + np.sum(gradient * direction) - 1e-11 * (1 + value + elsewhere)


@given(problems(), st.floats(0.125, 8.0))
def test_the_scale_of_the_sample_weights_does_not_matter(problem, factor):
    loss, logits, targets, sample_weight = problem
    weight = np.ones(len(logits)) if sample_weight is None else sample_weight
    value, gradient = evaluate(loss, logits, targets, weight)
    scaled = evaluate(loss, logits, targets, weight * factor)
    np.testing.assert_allclose(scaled[0], value, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(scaled[1], gradient, rtol=1e-12, atol=1e-15)


@given(problems())
def test_labels_are_the_soft_targets_of_certainty(problem):
    loss, logits, targets, sample_weight = problem
    if targets.ndim == 2:
        targets = np.argmax(targets, axis=1)
    # With class weights the two divide by different totals: by the weights of the labels, and by the sample weights.
    plain = CrossEntropy(loss.label_smoothing, None, None, loss.temperature)
    hard = evaluate(plain, logits, targets, sample_weight)
    soft = evaluate(plain, logits, np.eye(logits.shape[1])[targets], sample_weight)
    np.testing.assert_allclose(soft[0], hard[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(soft[1], hard[1], rtol=1e-12, atol=1e-13)
