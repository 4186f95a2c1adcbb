# SPDX-License-Identifier: BSD-3-Clause
"""Each model of a path equals the single fit."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

import softmax_xp as sx

X, Y = load_iris(return_X_y=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_equals_single_fits(classes):
    rows = classes > Y
    Cs = [10.0, 0.01, 1.0]
    path = sx.softmax_path(X[rows], Y[rows], Cs, tol=1e-11)
    for number, C in enumerate(Cs):
        one = sx.SoftmaxClassifier(C=C, tol=1e-11).fit(X[rows], Y[rows])
        np.testing.assert_allclose(path.coefs[number], one.coef_, atol=2e-4)
        assert abs(path.certificates[number].value - one.certificate_.value) <= 1e-10
        assert path.certificates[number].bound <= 1e-11


@pytest.mark.parametrize("Cs", [0, [], [1.0, -1.0], "many"])
def test_refuses_what_are_no_strengths(Cs):
    with pytest.raises((ValueError, TypeError), match="`Cs` must"):
        sx.softmax_path(X, Y, Cs)
