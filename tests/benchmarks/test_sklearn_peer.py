# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model._linear_loss import LinearModelLoss

from benchmarks import sklearn_peer
from benchmarks.datasets import Data
from benchmarks.sklearn_peer import Passes, counted_passes, reason_to_skip


def problem():
    random = np.random.default_rng(0)
    return random.standard_normal((60, 4)), np.arange(60) % 3


def products(monkeypatch, solver):
    """Count products with a counting array, as an independent reference."""

    class Counting(np.ndarray):
        number = 0

        def __matmul__(self, other):
            Counting.number += 1
            return np.asarray(self) @ np.asarray(other)

        def __rmatmul__(self, other):
            Counting.number += 1
            return np.asarray(other) @ np.asarray(self)

    X, y = problem()
    # Where every one of scikit-learn's own products with X begins.
    for name in sklearn_peer._PRODUCTS:
        method = getattr(LinearModelLoss, name)

        def seen(self, coef, X, *arguments, method=method, **options):
            return method(self, coef, np.asarray(X).view(Counting), *arguments, **options)

        monkeypatch.setattr(LinearModelLoss, name, seen)
    with counted_passes() as passes:
        LogisticRegression(solver=solver, C=0.1).fit(X, y)
    return passes, Counting.number


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_passes_are_the_products_with_the_samples(monkeypatch, solver):
    passes, number = products(monkeypatch, solver)
    assert passes.products == number > 4
    assert passes.hessians == 0
    assert str(passes) == f"{passes.products / 2:g}"


def test_explicit_hessians_are_counted_apart():
    X, y = problem()
    with counted_passes() as passes:
        model = LogisticRegression(solver="newton-cholesky", C=0.1).fit(X, y)
    assert passes.hessians >= model.n_iter_[0] > 0
    assert passes.products > passes.hessians
    assert str(passes).endswith(f" + {passes.hessians} H")


def test_the_loss_is_itself_again_afterwards():
    before = {name: getattr(LinearModelLoss, name) for name in sklearn_peer._PRODUCTS}
    with pytest.raises(ZeroDivisionError), counted_passes():
        _ = 1 / 0
    assert before == {name: getattr(LinearModelLoss, name) for name in sklearn_peer._PRODUCTS}


def test_a_loss_that_moved_is_not_counted(monkeypatch):
    monkeypatch.delattr(LinearModelLoss, "gradient")
    with counted_passes() as passes:
        pass
    assert (passes.passes, str(passes)) == (None, "-")
    assert Passes(3).passes == 1.5


@pytest.mark.parametrize(
    ("solver", "n_features", "with_sag", "is_in"),
    [
        ("lbfgs", 1000, False, True),
        ("newton-cg", 1000, False, True),
        ("newton-cholesky", 500, False, True),
        ("newton-cholesky", 501, False, False),
        ("saga", 5, False, False),
        ("saga", 5, True, True),
    ],
)
def test_who_takes_part(solver, n_features, with_sag, is_in):
    data = Data("toy", np.zeros((3, n_features)), np.array([0, 1, 2]))
    reason = reason_to_skip(solver, data, with_sag=with_sag)
    assert (reason is None) is is_in
    assert is_in or reason.startswith(f"{solver}: ")
