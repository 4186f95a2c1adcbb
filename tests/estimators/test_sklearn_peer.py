# SPDX-License-Identifier: BSD-3-Clause
"""There and back: scikit-learn's classifier and ours predict alike."""

import math
import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier

from softmax_xp import SoftmaxClassifier
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.sklearn_peer import as_logistic_regression, parts_of_logistic_regression
from tests.estimators.samples import blobs


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky", "saga"])
def test_a_fitted_peer_becomes_ours(n_classes, solver):
    X, y = blobs(n_classes=n_classes)
    peer = LogisticRegression(C=0.3, class_weight={0: 2.0}, solver=solver, tol=1e-10, max_iter=5000).fit(X, y)
    ours = SoftmaxClassifier.from_sklearn(peer)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))
    assert ours.get_params()["C"] == 0.3
    assert ours.status_ == "unknown"
    assert ours.stopping == "gradient"
    again = ours.set_params(device="cpu").fit(X, y)
    np.testing.assert_allclose(again.coef_, peer.coef_, atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_ours_becomes_a_fitted_peer(n_classes):
    pandas = pytest.importorskip("pandas")
    X, y = blobs(n_classes=n_classes)
    names, frame = np.asarray(["u", "v", "w"])[y], pandas.DataFrame(X, columns=list("abcd"))
    ours = SoftmaxClassifier(C=0.3, class_weight="balanced", device="cpu", tol=1e-13).fit(frame, names)
    peer = ours.to_sklearn()
    np.testing.assert_allclose(peer.predict_proba(frame), ours.predict_proba(frame), rtol=1e-12)
    np.testing.assert_array_equal(peer.predict(frame), ours.predict(frame))
    assert peer.feature_names_in_.tolist() == list("abcd")
    assert peer.n_iter_.tolist() == ours.n_iter_.tolist()
    refitted = peer.set_params(tol=1e-12, solver="newton-cholesky", max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its line search ends at the rounding errors
        refitted.fit(frame, names)
    np.testing.assert_allclose(refitted.coef_, ours.coef_, atol=1e-6)
    peer.coef_[:] = 0.0
    assert ours.coef_.any()


def test_parameters_alone_go_both_ways():
    ours = SoftmaxClassifier.from_sklearn(LogisticRegression(C=math.inf, l1_ratio=0.0, warm_start=True, random_state=3))
    assert (ours.C, ours.warm_start, ours.random_state, ours.solver) == (math.inf, True, 3, "lbfgs")
    assert not hasattr(ours, "classes_")
    peer = as_logistic_regression(SoftmaxClassifier(C=2.0, l1_ratio=0.5))
    assert (peer.C, peer.l1_ratio, peer.solver) == (2.0, 0.5, "saga")
    assert not hasattr(peer, "classes_")
    assert as_logistic_regression(SoftmaxClassifier(solver="adam")).solver == "lbfgs"


def test_an_older_penalty_is_understood():
    class Older:
        penalty, l1_ratio = None, None

    peer = LogisticRegression()
    peer.penalty, peer.l1_ratio = "l1", None
    assert parts_of_logistic_regression(peer).params["l1_ratio"] == 1.0
    assert parts_of_logistic_regression(peer).params["solver"] == "auto"
    peer.penalty = None
    assert parts_of_logistic_regression(peer).params["C"] == math.inf


def test_others_are_refused():
    for other in (RidgeClassifier(), OneVsRestClassifier(LogisticRegression()), None):
        with pytest.raises(InvalidTypeError, match="`peer` must be a LogisticRegression; got"):
            SoftmaxClassifier.from_sklearn(other)
    X, y = blobs()
    peer = LogisticRegression().fit(X, y)
    peer.solver = "liblinear"
    with pytest.raises(InvalidValueError, match="fitted one class against the rest"):
        SoftmaxClassifier.from_sklearn(peer)
