# SPDX-License-Identifier: BSD-3-Clause
"""The softmax loss with labels, against its formula written out in long double precision."""

import numpy as np
import pytest

from softmax_xp.ops.cross_entropy import own_share, softmax_cross_entropy, spread_share

RANDOM = np.random.default_rng(0)
LOGITS = 3.0 * RANDOM.standard_normal((9, 5))
LABELS = RANDOM.integers(0, 5, 9)
SAMPLE_WEIGHT = np.where(np.arange(9) % 4 == 0, 0.0, RANDOM.random(9) + 0.5)
CLASS_WEIGHT = np.array([0.5, 2.0, 0.0, 1.0, 3.0])


def written_out(logits, labels, sample_weight, class_weight, scale, label_smoothing, temperature):
    """The formula of the module's docstring, target by target."""
    wide = np.longdouble
    n_samples, n_classes = logits.shape
    class_weight = np.ones(n_classes, wide) if class_weight is None else class_weight.astype(wide)
    sample_weight = np.ones(n_samples, wide) if sample_weight is None else sample_weight.astype(wide)
    one_hot = np.eye(n_classes, dtype=wide)[labels]
    target = class_weight * ((1 - wide(label_smoothing)) * one_hot + wide(label_smoothing) / n_classes)
    z = logits.astype(wide) / wide(temperature)
    log_p = z - z.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    value = -sample_weight * (target * log_p).sum(axis=1)
    gradient = target.sum(axis=1, keepdims=True) * np.exp(log_p) - target
    return value, gradient * sample_weight[:, None] * wide(scale) / wide(temperature)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("sample_weight", [None, SAMPLE_WEIGHT])
def test_value_and_gradient_are_those_of_the_formula(
    backend, dtype, sample_weight, class_weight, label_smoothing, temperature, axis
):
    options = {"scale": 0.25, "label_smoothing": label_smoothing, "temperature": temperature}
    put = lambda array: None if array is None else backend.asarray(array.astype(dtype))  # noqa: E731
    logits = put(np.ascontiguousarray(LOGITS.T) if axis == 0 else LOGITS)
    value, gradient = softmax_cross_entropy(
        logits,
        backend.asarray(LABELS),
        sample_weight=put(sample_weight),
        class_weight=put(class_weight),
        axis=axis,
        **options,
    )
    rounded = [None if a is None else a.astype(dtype) for a in (sample_weight, class_weight)]
    expected = written_out(LOGITS.astype(dtype), LABELS, *rounded, *options.values())
    rtol = 1e-13 if dtype == "float64" else 1e-5
    ours = backend.to_numpy(gradient)
    np.testing.assert_allclose(backend.to_numpy(value), expected[0].astype(dtype), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(ours.T if axis == 0 else ours, expected[1].astype(dtype), rtol=rtol, atol=rtol)


def test_a_scale_may_be_an_array(backend):
    scale = backend.asarray(np.asarray(0.25))
    arrays = backend.asarray(LOGITS), backend.asarray(LABELS)
    _, gradient = softmax_cross_entropy(*arrays, scale=scale, overwrite_logits=False)
    _, expected = softmax_cross_entropy(*arrays, scale=0.25)
    np.testing.assert_allclose(backend.to_numpy(gradient), backend.to_numpy(expected), rtol=1e-15)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_logits_that_are_not_given_up_stay(backend, label_smoothing, temperature):
    logits = backend.asarray(LOGITS.copy())
    softmax_cross_entropy(
        logits,
        backend.asarray(LABELS),
        label_smoothing=label_smoothing,
        temperature=temperature,
        overwrite_logits=False,
    )
    np.testing.assert_array_equal(backend.to_numpy(logits), LOGITS)


@pytest.mark.parametrize("axis", [-1, 0])
def test_a_class_without_a_weight_asks_nothing_of_its_logit(backend, axis):
    logits = np.array([[0.0, -np.inf, 1.0]])
    arrays = backend.asarray(np.ascontiguousarray(logits.T) if axis == 0 else logits), backend.asarray(np.array([0]))
    class_weight = backend.asarray(np.array([1.0, 0.0, 1.0]))
    with np.errstate(invalid="ignore"):
        value, gradient = softmax_cross_entropy(*arrays, class_weight=class_weight, label_smoothing=0.3, axis=axis)
    p = np.exp(logits) / np.exp(logits).sum()
    target = np.array([0.7 + 0.1, 0.0, 0.1])
    expected = -(target[[0, 2]] * np.log(p[0, [0, 2]])).sum()
    np.testing.assert_allclose(backend.to_numpy(value), [expected], rtol=1e-14)
    np.testing.assert_allclose(backend.to_numpy(gradient).ravel(), target.sum() * p[0] - target, rtol=1e-13)


def test_the_two_shares_add_up_to_the_target():
    own, spread = own_share(LABELS, CLASS_WEIGHT, 0.2), spread_share(CLASS_WEIGHT, LOGITS, 0.2, -1)
    np.testing.assert_allclose(own, 0.8 * CLASS_WEIGHT[LABELS])
    np.testing.assert_allclose(spread, [0.04 * CLASS_WEIGHT])
    assert own_share(LABELS, None, 0.2) is None
    np.testing.assert_allclose(spread_share(None, LOGITS.T, 0.5, 0), np.full((5, 1), 0.1))
