# SPDX-License-Identifier: BSD-3-Clause
"""The grid against scikit-learn's, and against single fits."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold

import softmax_xp as sx
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.solvers import SOLVERS

X, Y = load_iris(return_X_y=True)


def test_scores_are_scikit_learns():
    Cs, folds = np.logspace(-3, 2, 6), StratifiedKFold(3)
    ours = sx.SoftmaxClassifierCV(Cs=Cs, cv=folds, scoring="neg_log_loss", tol=1e-10).fit(X, Y)
    theirs = LogisticRegressionCV(
        Cs=Cs, cv=folds, scoring="neg_log_loss", solver="newton-cholesky", tol=1e-10, l1_ratios=(0.0,),
        use_legacy_attributes=False,
    ).fit(X, Y)  # fmt: skip
    np.testing.assert_allclose(np.ravel(ours.scores_), np.ravel(theirs.scores_), rtol=1e-4)
    np.testing.assert_allclose(ours.C_, theirs.C_)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)


def test_the_chosen_model_is_the_single_fit():
    ours = sx.SoftmaxClassifierCV(Cs=5, cv=3, tol=1e-10).fit(X, Y)
    one = sx.SoftmaxClassifier(C=ours.C_, tol=1e-10).fit(X, Y)
    np.testing.assert_allclose(ours.predict_proba(X), one.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize(
    ("params", "kind", "text"),
    [
        ({"l1_ratios": 0.5}, InvalidTypeError, "`l1_ratios` must be a sequence of numbers between 0 and 1; got 0.5"),
        ({"l1_ratios": None}, InvalidTypeError, "`l1_ratios` must be a sequence"),
        ({"l1_ratios": ()}, InvalidValueError, "`l1_ratios` must hold at least one number"),
        ({"Cs": [[1], [1, 2]]}, InvalidTypeError, "`Cs` must be a number of values, or a sequence"),
        ({"cv": 1}, InvalidValueError, "`cv` must split the samples"),
        ({"cv": "x"}, InvalidValueError, "`cv` must split the samples"),
        ({"cv": [([0, 60, 149], [150])]}, InvalidValueError, "`cv` must yield numbers of the 150 samples"),
        ({"scoring": "best"}, InvalidValueError, "`scoring` must be a scorer, or the name of one; got 'best'"),
        ({"refit": "no"}, InvalidTypeError, "`refit` must be True or False; got 'no'"),
    ],
)
def test_bad_parameters(params, kind, text):
    with pytest.raises(kind, match=text):
        sx.SoftmaxClassifierCV(**({"Cs": 2, "cv": 3} | params)).fit(X, Y)


def test_soft_targets_need_a_scorer_of_their_own():
    with pytest.raises(InvalidValueError, match="`scoring` must be a function of soft targets"):
        sx.SoftmaxClassifierCV(Cs=2, cv=3).fit(X, np.eye(3)[Y])


def test_ctrl_c_ends_the_whole_grid():
    class Impatient:
        def init(self, objective, point):
            return SOLVERS["lbfgs"].init(objective, point)

        def advance(self, objective, state):
            raise KeyboardInterrupt

    grid = sx.SoftmaxClassifierCV(Cs=2, cv=3, solver=Impatient())
    with pytest.raises(KeyboardInterrupt):
        grid.fit(X, Y)
    assert not hasattr(grid, "coef_")


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
def test_a_sample_of_weight_0_is_as_if_absent(solver):
    weight, odd = np.ones(len(Y)), X.copy()
    weight[::5], odd[::5] = 0.0, 1e12
    rows = np.flatnonzero(weight)
    folds = [(rows[i % 3 != 0], rows[i % 3 == 0]) for i in [np.arange(len(rows))]]
    inner = [(np.flatnonzero(np.isin(rows, train)), np.flatnonzero(np.isin(rows, test))) for train, test in folds]
    kept = sx.SoftmaxClassifierCV(Cs=3, cv=folds, solver=solver, tol=1e-9).fit(odd, Y, weight)
    absent = sx.SoftmaxClassifierCV(Cs=3, cv=inner, solver=solver, tol=1e-9).fit(X[rows], Y[rows], weight[rows])
    np.testing.assert_allclose(kept.scores_, absent.scores_)
    np.testing.assert_allclose(kept.coef_, absent.coef_, atol=1e-5)


def test_a_fold_that_trains_on_no_weight_is_refused():
    weight = np.ones(len(Y))
    weight[:50] = 0.0
    with pytest.raises(InvalidValueError, match="`cv` must yield folds that train and test on samples of positive"):
        sx.SoftmaxClassifierCV(Cs=2, cv=[(np.arange(50), np.arange(50, 150))]).fit(X, Y, weight)
