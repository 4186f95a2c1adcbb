# SPDX-License-Identifier: BSD-3-Clause
"""Which heads warn."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

import softmax_xp as sx
from softmax_xp.estimators import heads


def test_heads_that_did_not_converge_say_so():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning):
        sx.softmax_path(X, y, [1.0, 100.0], max_iter=1, tol=1e-10)


def test_under_a_memory_budget_heads_are_fitted_one_by_one(monkeypatch):
    X, y = load_iris(return_X_y=True)
    settings = {"Cs": [0.1, 1.0], "cv": 3, "tol": 1e-8, "device": "cpu"}
    stacked = sx.SoftmaxClassifierCV(**settings).fit(X, y)
    budgets = []
    original = heads.fit_convex

    def fit_convex(problem, *given):
        budgets.append(problem.linear.memory_budget)
        return original(problem, *given)

    monkeypatch.setattr(heads, "fit_convex", fit_convex)
    search = sx.SoftmaxClassifierCV(**settings, memory_budget=200_000).fit(X, y)
    assert budgets == [200_000] * 7  # three folds at two strengths, and the whole
    np.testing.assert_allclose(search.coef_, stacked.coef_, atol=1e-2)
    np.testing.assert_array_equal(search.scores_, stacked.scores_)
    assert search.to_classifier().memory_budget == 200_000
