# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from benchmarks import fits, our_fit
from benchmarks.datasets import Data


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    return Data("toy", random.standard_normal((60, 4)), np.arange(60) % 3)


def test_a_fit_gives_its_account(data):
    fit = our_fit.fit_ours(data, 0.5, 1e-8, "cpu")
    peer = LogisticRegression(C=0.5, tol=1e-10, max_iter=1000).fit(data.X, data.y)
    minimum = fits.mean_objective(data.X, data.y, peer.coef_, peer.intercept_, 0.5)
    assert -1e-12 <= fit.objective - minimum <= fit.bound + 1e-12
    assert fit.bound <= 1e-8
    assert fit.passes >= fit.n_iter > 0
    assert fit.seconds > 0
    assert (fit.status, fit.solver) != ("", "")
