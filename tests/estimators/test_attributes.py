# SPDX-License-Identifier: BSD-3-Clause
from types import SimpleNamespace

import pytest

from softmax_xp.estimators.attributes import unchanged_on_failure


def change(estimator, *, fails):
    with unchanged_on_failure(estimator):
        estimator.coef_, estimator.n_iter_ = 2, 3
        if fails:
            raise KeyboardInterrupt


def test_what_fails_leaves_no_trace():
    estimator = SimpleNamespace(coef_=1)
    with pytest.raises(KeyboardInterrupt):
        change(estimator, fails=True)
    assert vars(estimator) == {"coef_": 1}


def test_what_succeeds_stays():
    estimator = SimpleNamespace(coef_=1)
    change(estimator, fails=False)
    assert vars(estimator) == {"coef_": 2, "n_iter_": 3}
