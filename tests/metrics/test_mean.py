# SPDX-License-Identifier: BSD-3-Clause
"""The mean over samples."""

import numpy as np
import pytest

from softmax_xp.metrics.mean import mean_over_samples


def test_plain_and_weighted(backend):
    values = backend.asarray(np.array([1.0, 2.0, 6.0], dtype="float32"))
    weight = backend.asarray(np.array([1, 0, 3]))
    assert float(backend.to_numpy(mean_over_samples(values, None))) == 3.0
    assert float(backend.to_numpy(mean_over_samples(values, weight))) == pytest.approx(19 / 4)


def test_accumulates_in_float64_on_cpus():
    values = np.array([1e8, 1.0, -1e8], dtype="float32")
    assert float(mean_over_samples(values, None)) == pytest.approx(1 / 3)
    assert mean_over_samples(values, None).dtype == np.float64


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weight_zero_hides_what_is_not_finite(value):
    assert float(mean_over_samples(np.array([value, 2.0]), np.array([0.0, 1.0]))) == 2.0
