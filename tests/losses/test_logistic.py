# SPDX-License-Identifier: BSD-3-Clause
"""Logistic loss: its digits in both tails, its likeness to cross-entropy, and what it refuses."""

import math

import mpmath
import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.losses import CrossEntropy, Logistic, mean_value_and_gradient
from softmax_xp.losses.contract import reciprocal_total
from softmax_xp.training import Trainer

FLOAT = np.dtype("float64")
TAILS = np.array([0.0, 1e-300, 1e-9, 0.5, 3.0, 20.0, 36.8, 40.0, 300.0, 700.0])
TAILS = np.concatenate([-TAILS, TAILS])[:, None]


def evaluate(logits, labels, loss=None, weight=None, dtype=FLOAT, axis=-1):
    loss = Logistic() if loss is None else loss
    targets = loss.prepare(labels, 2, dtype=dtype, sample_weight=weight)
    return loss.value_and_gradient(logits, targets, axis=axis)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("soft", [False, True])
def test_value_and_gradient_have_all_their_digits_in_both_tails(label, soft):
    n = TAILS.shape[0]
    labels = np.full(n, label)
    value, gradient = evaluate(TAILS, np.eye(2)[labels] if soft else labels)
    with mpmath.workdps(400):
        against = [mpmath.mpf(float(z)) * (-1 if label else 1) for z in TAILS[:, 0]]
        expected = [float(mpmath.log1p(mpmath.exp(z))) for z in against]
        slopes = [float((-1 if label else 1) / (1 + mpmath.exp(-z))) for z in against]
    np.testing.assert_allclose(value, expected, rtol=2e-15)
    np.testing.assert_allclose(gradient[:, 0], slopes, rtol=2e-15)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [-1, 0])
def test_huge_logits_give_the_true_loss(backend, dtype, soft, axis):
    if dtype == "float64" and not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    huge = 1e38 if dtype == "float32" else 1e300
    logits = np.array([huge, huge, -huge, -huge, math.inf, -math.inf], dtype)
    labels = np.array([0, 1, 0, 1, 1, 0])
    given = np.eye(2, dtype=dtype)[labels] if soft else labels
    value, gradient = evaluate(
        backend.asarray(logits[None, :] if axis == 0 else logits[:, None]),
        backend.asarray(given),
        dtype=getattr(backend.xp, dtype),
        axis=axis,
    )
    np.testing.assert_array_equal(backend.to_numpy(value), np.array([huge, 0, 0, huge, 0, 0], dtype))
    gradient = backend.to_numpy(gradient)
    assert gradient.shape == ((1, 6) if axis == 0 else (6, 1))
    np.testing.assert_array_equal(np.ravel(gradient), [1, 0, 0, -1, 0, 0])


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("class_weight", [None, (0.3, 2.0)])
@pytest.mark.parametrize("temperature", [1.0, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
def test_is_cross_entropy_of_zero_and_the_logit(soft, class_weight, temperature, weighted):
    rng = np.random.default_rng(51)
    z, weight = rng.standard_normal((30, 1)) * 3, rng.uniform(0, 2, 30) if weighted else None
    given = rng.dirichlet([1.0, 1.0], 30) if soft else rng.integers(0, 2, 30)
    both = np.concatenate([np.zeros_like(z), z], axis=1)
    one = Logistic(class_weight, temperature=temperature)
    two = CrossEntropy(class_weight=class_weight, temperature=temperature)
    value, gradient = mean_value_and_gradient(one, z, given, sample_weight=weight)
    expected, slope = mean_value_and_gradient(two, both, given, sample_weight=weight)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(gradient[:, 0], slope[:, 1], rtol=1e-12, atol=1e-15)
    first, second = (loss.prepare(given, 2, dtype=FLOAT, sample_weight=weight) for loss in (one, two))
    assert reciprocal_total(first) == reciprocal_total(second)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_agrees_with_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(52)
    z, labels, weight = rng.standard_normal((20, 1)) * 4, rng.integers(0, 2, 20), rng.uniform(0, 2, 20)
    x = torch.tensor(z[:, 0], requires_grad=True)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        x, torch.tensor(labels, dtype=torch.float64), weight=torch.tensor(weight), reduction="none"
    )
    each.sum().backward()
    value, gradient = evaluate(z, labels, weight=weight)
    np.testing.assert_allclose(value, each.detach().numpy(), rtol=1e-13)
    np.testing.assert_allclose(gradient[:, 0], x.grad.numpy(), rtol=1e-12, atol=1e-16)


def test_agrees_with_scikit_learn():
    loss = pytest.importorskip("sklearn._loss").HalfBinomialLoss()
    rng = np.random.default_rng(53)
    z, labels = rng.standard_normal((20, 1)) * 4, rng.integers(0, 2, 20)
    value, gradient = evaluate(z, labels)
    expected, slope = loss.loss_gradient(labels.astype(float), z[:, 0])
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(gradient[:, 0], slope, rtol=1e-12, atol=1e-16)
    _, curvature = loss.gradient_hessian(labels.astype(float), z[:, 0])
    product = Logistic().curvature_product(Logistic().probabilities(z), np.ones_like(z))[:, 0]
    np.testing.assert_allclose(product, curvature, rtol=1e-12)


def test_the_divergence_of_a_sample_that_is_nearly_certain():
    # Beyond a logit of 37 the probability is rounded to 1, and only the logit still knows by how much it falls short.
    loss, z = Logistic(), np.array([[40.0], [-40.0], [600.0], [-600.0]])
    p = loss.probabilities(z)
    q = np.abs(np.array([[1.0], [0.0], [1.0], [0.0]]) - 1e-10)
    with mpmath.workdps(400):
        expected = []
        for logit, given in zip(z[:, 0], q[:, 0], strict=True):
            a, b = mpmath.mpf(float(given)), 1 / (1 + mpmath.exp(-mpmath.mpf(float(logit))))
            expected.append(float(a * mpmath.log(a / b) + (1 - a) * mpmath.log((1 - a) / (1 - b))))
    np.testing.assert_allclose(loss.divergence(q, p, logits=z), expected, rtol=1e-12)
    assert math.isinf(loss.divergence(q, p)[0])
    np.testing.assert_allclose(loss.divergence(q, p)[[1, 3]], np.array(expected)[[1, 3]], rtol=1e-12)


def test_the_divergence_of_rounded_certainty_is_what_was_rounded():
    z = np.array([[40.0], [-40.0]])
    q = np.array([[1.0], [0.0]])
    got = Logistic().divergence(q, Logistic().probabilities(z), logits=z)
    np.testing.assert_allclose(got, math.exp(-40.0), rtol=1e-13)


@pytest.mark.parametrize("n_classes", [0, 1, 3])
def test_has_two_classes(n_classes):
    text = rf"`n_classes` must be 2 for one column of logits; got {n_classes}\. Use CrossEntropy"
    with pytest.raises(InvalidValueError, match=text):
        Logistic().n_columns(n_classes)
    with pytest.raises(InvalidValueError, match=text):
        Logistic().prepare(np.array([0]), n_classes, dtype=FLOAT)
    assert Logistic().n_columns(2) == 1


@pytest.mark.parametrize(
    ("shape", "axis"), [((4, 2), -1), ((2, 4), 0), ((4, 1), 0), ((1, 4), -1), ((4,), -1), ((4,), 0)]
)
def test_logits_of_another_width_are_an_error(shape, axis):
    targets = Logistic().prepare(np.array([0, 1, 0, 1]), 2, dtype=FLOAT)
    text = r"`logits` must have one column, the logit of class 1; got \(.*Use CrossEntropy for one for each class\."
    with pytest.raises(InvalidValueError, match=text):
        Logistic().value_and_gradient(np.zeros(shape), targets, axis=axis)
    with pytest.raises(InvalidValueError, match=text):
        Logistic().probabilities(np.zeros(shape), axis=axis)


def test_a_target_matrix_of_another_width_is_an_error():
    targets = Logistic().prepare(np.array([0, 1]), 2, dtype=FLOAT)
    with pytest.raises(InvalidValueError, match=r"`n_columns` must have one column.* got 2\."):
        Logistic().target_matrix(targets, 2, dtype=FLOAT)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_no_trainer_trains_it_by_accident(n_classes):
    # Its model has one column for each class, and its hits compare the largest of them with the label.
    X, y = np.eye(6), np.arange(6) % n_classes
    with pytest.raises(InvalidValueError, match=r"Use CrossEntropy"):
        Trainer(loss=Logistic(), epochs=1, batch_size=2).fit(X, y)


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0]])
def test_labels_out_of_range_are_an_error(labels):
    with pytest.raises(InvalidValueError, match=r"`y` must lie in 0 \.\. 1; got labels from"):
        Logistic().prepare(np.array(labels), 2, dtype=FLOAT)


def test_soft_targets_with_an_ignored_label_are_an_error():
    with pytest.raises(InvalidTypeError, match=r"`ignore_index` must be None with soft targets"):
        Logistic(ignore_index=-1).prepare(np.eye(2), 2, dtype=FLOAT)


def test_soft_targets_of_another_width_are_an_error():
    with pytest.raises(
        InvalidValueError, match=r"`targets` must have 2 columns, one for each class; got shape \(3, 3\)"
    ):
        Logistic().prepare(np.eye(3), 2, dtype=FLOAT)


def test_class_weights_of_another_length_are_an_error():
    with pytest.raises(InvalidValueError, match=r"`class_weight` must hold 2 weights, one for each class; got 3\."):
        Logistic((1.0, 2.0, 3.0)).prepare(np.array([0, 1]), 2, dtype=FLOAT)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_temperature_is_positive_and_finite(value):
    with pytest.raises(InvalidValueError, match=rf"`temperature` must be a finite number above 0; got {value}"):
        Logistic(temperature=value)


@pytest.mark.parametrize("value", [(1.0, -1.0), (math.nan, 1.0), (0.0, 0.0), ()])
def test_class_weights_are_finite_and_not_all_zero(value):
    with pytest.raises(InvalidValueError, match=r"`class_weight` must hold finite weights >= 0, not all of them 0"):
        Logistic(class_weight=value)


def test_ignored_samples_count_nothing():
    loss = Logistic((1.0, 3.0), ignore_index=-7)
    logits = np.array([[0.3], [1.2], [-2.0]])
    value, gradient = mean_value_and_gradient(loss, logits, np.array([1, -7, 0]))
    kept, kept_gradient = mean_value_and_gradient(Logistic((1.0, 3.0)), logits[[0, 2]], np.array([1, 0]))
    np.testing.assert_allclose(value, kept, rtol=1e-14)
    np.testing.assert_allclose(gradient[[0, 2]], kept_gradient, rtol=1e-14)
    assert gradient[1, 0] == 0
