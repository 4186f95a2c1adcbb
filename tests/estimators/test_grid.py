# SPDX-License-Identifier: BSD-3-Clause
"""The grid against scikit-learn's, and against single fits."""

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold

import softmax_xp as sx

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
