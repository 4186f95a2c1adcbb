# SPDX-License-Identifier: BSD-3-Clause
"""The data of the fit, read as the fit read them; the statistics themselves: tests/estimators/test_summary.py."""

import numpy as np
import pytest

import softmax_xp as sx
from softmax_xp.errors import InvalidValueError
from softmax_xp.estimators.fitted_summary import summary_of
from softmax_xp.estimators.summary import coefficient_summary

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((80, 2))
Y = np.array(["a", "b", "c"])[(X @ RANDOM.standard_normal((2, 3)) + RANDOM.gumbel(size=(80, 3))).argmax(axis=1)]
OPTIONS = {"covariance": "model", "confidence": 0.95, "reference": None, "classes": None}


def test_weights_of_classes_are_weights_of_their_samples():
    by_class = {"a": 2.0, "b": 1.0, "c": 0.5}
    classifier = sx.SoftmaxClassifier(class_weight=by_class, tol=1e-12).fit(X, Y)
    ours = summary_of(classifier, X, Y, None, **OPTIONS)
    weight = np.array([by_class[label] for label in Y])
    codes = np.searchsorted(classifier.classes_, Y)
    expected = coefficient_summary(
        X, codes, classifier.coef_.T, classifier.intercept_, C=1.0, sample_weight=weight, class_names=["a", "b", "c"]
    )
    np.testing.assert_allclose(ours.standard_error, expected.standard_error, rtol=1e-12)


def test_other_classes_than_those_of_the_fit_are_named():
    classifier = sx.SoftmaxClassifier().fit(X, Y)
    with pytest.raises(InvalidValueError, match=r"`y` must have the classes of the fit; got \['d'\] besides"):
        summary_of(classifier, X, np.where(Y == "a", "d", Y), None, **OPTIONS)
