# SPDX-License-Identifier: BSD-3-Clause
"""Labels, soft targets and weights folded into one record, and written out again. Their errors: test_cross_entropy."""

import numpy as np
import pytest

from softmax_xp.losses.targets import checked_class_weight, prepare_targets, soft_target

SOFT = np.array([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2]])


def test_no_class_weights_stay_none():
    assert checked_class_weight(None) is None
    assert checked_class_weight(np.array([1, 2])) == (1.0, 2.0)


@pytest.mark.parametrize("axis", [-1, 0])
def test_a_target_is_smoothed_first_and_weighted_then(backend, axis):
    targets = prepare_targets(
        backend.asarray(np.array([2, 0, -1])),
        3,
        dtype=backend.xp.float32,
        sample_weight=backend.asarray(np.array([2.0, 1.0, 5.0], "float32")),
        class_weight=(1.0, 2.0, 4.0),
        ignore_index=-1,
    )
    got = backend.to_numpy(soft_target(targets, 3, dtype=backend.xp.float32, axis=axis, label_smoothing=0.3))
    expected = np.array([[0.2, 0.4, 6.4], [0.8, 0.2, 0.4], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(got if axis == -1 else got.T, expected, rtol=1e-6)
    assert got.dtype == "float32"


@pytest.mark.parametrize("axis", [-1, 0])
def test_soft_targets_without_weights_are_not_copied(axis):
    targets = prepare_targets(SOFT, 3, dtype=SOFT.dtype)
    got = soft_target(targets, 3, dtype=SOFT.dtype, axis=axis)
    assert np.shares_memory(got, SOFT)
    np.testing.assert_array_equal(got if axis == -1 else got.T, SOFT)


def test_targets_are_written_in_the_dtype_that_is_asked_for(backend):
    if not backend.float64:
        pytest.skip(f"{backend.name} has no float64")
    weight = backend.asarray(np.array([2.0, 3.0]))
    for given in (SOFT, np.array([0, 2])):
        targets = prepare_targets(
            backend.asarray(given), 3, dtype=backend.xp.float64, sample_weight=weight, class_weight=(1.0, 2.0, 4.0)
        )
        assert soft_target(targets, 3, dtype=backend.xp.float32).dtype == backend.xp.float32
