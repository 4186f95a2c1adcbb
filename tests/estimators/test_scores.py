# SPDX-License-Identifier: BSD-3-Clause
"""Scores of heads against scikit-learn's of single fits."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, log_loss

import softmax_xp as sx

X, Y = load_iris(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(150)
TRAIN, TEST = ORDER[:100], ORDER[100:]


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "f1_macro"])
def test_scores_are_those_of_the_held_out_rows(scoring):
    grid = sx.SoftmaxClassifierCV(Cs=[0.1], cv=[(TRAIN, TEST)], scoring=scoring, tol=1e-10).fit(X, Y)
    one = sx.SoftmaxClassifier(C=0.1, tol=1e-10).fit(X[TRAIN], Y[TRAIN])
    if scoring == "accuracy":
        expected = accuracy_score(Y[TEST], one.predict(X[TEST]))
    elif scoring == "neg_log_loss":
        expected = -log_loss(Y[TEST], one.predict_proba(X[TEST]))
    else:
        expected = pytest.importorskip("sklearn.metrics").f1_score(Y[TEST], one.predict(X[TEST]), average="macro")
    np.testing.assert_allclose(np.ravel(grid.scores_), expected, rtol=1e-5)


def test_a_scorer_of_ones_own_sees_the_head_as_a_fitted_classifier():
    seen = []

    def scorer(estimator, rows, labels):
        seen.append((estimator.C, estimator.l1_ratio, estimator.fit_intercept, estimator.certificate_.bound))
        return estimator.score(rows, labels)

    params = {"l1_ratios": (0.5,), "fit_intercept": False, "cv": [(TRAIN, TEST)]}
    sx.SoftmaxClassifierCV(Cs=[0.1, 1.0], scoring=scorer, refit=False, **params).fit(X, Y)
    assert [each[:3] for each in seen] == [(0.1, 0.5, False), (1.0, 0.5, False)]
    assert all(each[3] <= 1e-4 for each in seen)
