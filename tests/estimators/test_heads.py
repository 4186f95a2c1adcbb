# SPDX-License-Identifier: BSD-3-Clause
"""Which heads warn."""

import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

import softmax_xp as sx


def test_heads_that_did_not_converge_say_so():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning):
        sx.softmax_path(X, y, [1.0, 100.0], max_iter=1, tol=1e-10)
