# SPDX-License-Identifier: BSD-3-Clause
"""When a kernel is asked for a pass, what it is told, and what becomes of its answer.

That the kernel of CUDA computes the same: tests/kernels/cuda/test_contract.py.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import scipy.sparse

from softmax_xp.losses import CrossEntropy, Logistic
from softmax_xp.objectives import LinearObjective, one_read
from softmax_xp.objectives.linear import batch_terms
from softmax_xp.penalties import L2
from softmax_xp.typing import LinearParams

RANDOM = np.random.default_rng(8)
X = RANDOM.standard_normal((30, 4))
LABELS = RANDOM.integers(0, 3, 30)
WEIGHT = RANDOM.uniform(0.0, 2.0, 30)
PARAMS = LinearParams(RANDOM.standard_normal((4, 3)), RANDOM.standard_normal(3))
ALL_OPTIONS = CrossEntropy(label_smoothing=0.1, class_weight=(1.0, 2.0, 0.5), ignore_index=-1, temperature=2.0)


@dataclass(frozen=True)
class Half(CrossEntropy):
    """A loss derived from one that kernels know."""


@pytest.fixture
def asked(monkeypatch):
    """Offer a kernel that answers by the definition; the calls of it."""
    calls = []

    def kernel(params, X, labels, *, scale, sample_weight, class_weight, label_smoothing, temperature):
        calls.append((sample_weight, class_weight))
        loss = CrossEntropy(label_smoothing=label_smoothing, temperature=temperature)
        targets = loss.prepare(labels, 3, dtype=X.dtype)
        targets = targets._replace(weight=sample_weight, sample_weight=sample_weight, class_weight=class_weight)
        terms = batch_terms(loss, params, X, targets, scale=scale, axis=-1)
        return terms.value, terms.gradient

    offer = lambda name, array: {"linear_cross_entropy": kernel}.get(name)  # noqa: E731
    monkeypatch.setattr(one_read, "find_kernel", offer)
    return calls


def make(loss=None, *, rows=X, labels=LABELS, weight=None, penalty=None, n_classes=3):
    loss = loss or CrossEntropy()
    targets = loss.prepare(labels, n_classes, dtype=np.float64, sample_weight=weight)
    return LinearObjective(rows, targets, loss, penalty, np.float64)


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(class_weight=(1.0, 2.0, 0.5)), ALL_OPTIONS], ids=repr)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_answer_of_a_kernel_is_the_pass(monkeypatch, asked, loss, weight, bias):
    labels = LABELS if loss.ignore_index is None else np.where(LABELS == 1, -1, LABELS)
    objective = make(loss, labels=labels, weight=weight, penalty=L2(0.1))
    params = PARAMS if bias else LinearParams(PARAMS.weight)
    value, gradient = objective.value_and_gradient(params)
    assert len(asked) == 1
    monkeypatch.setattr(one_read, "find_kernel", lambda name, array: None)
    expected, reference = objective.value_and_gradient(params)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(gradient.weight, reference.weight, rtol=1e-12, atol=1e-14)
    if bias:
        np.testing.assert_allclose(gradient.bias, reference.bias, rtol=1e-12, atol=1e-14)
    else:
        assert gradient.bias is reference.bias is None


def test_without_smoothing_the_weights_of_a_sample_are_one(asked):
    objective = make(CrossEntropy(class_weight=(1.0, 2.0, 0.5)), weight=WEIGHT)
    objective.value_and_gradient(PARAMS)
    (sample_weight, class_weight) = asked[0]
    assert sample_weight is objective.targets.weight
    assert class_weight is None


@pytest.mark.parametrize(
    "objective",
    [
        make(Half()),
        make(Logistic(), labels=LABELS % 2, n_classes=2),
        make(labels=np.eye(3)[LABELS]),
        make(rows=scipy.sparse.csr_array(X)),
        replace(make(), transform=lambda rows: rows - 1.0),
    ],
    ids=["a derived loss", "another loss", "soft targets", "sparse data", "transformed data"],
)
def test_what_kernels_do_not_know_is_the_definitions(asked, objective):
    params = LinearParams(PARAMS.weight[:, :1]) if isinstance(objective.loss, Logistic) else PARAMS
    objective.value_and_gradient(params)
    assert not asked


def test_a_kernel_may_decline(monkeypatch):
    expected = make().value_and_gradient(PARAMS)
    monkeypatch.setattr(one_read, "find_kernel", lambda name, array: lambda *args, **kwargs: None)
    value, gradient = make().value_and_gradient(PARAMS)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient.weight, expected[1].weight)
