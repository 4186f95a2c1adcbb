# SPDX-License-Identifier: BSD-3-Clause
"""What is particular to NumPy's kernel; its results: tests/contracts/test_kernels.py."""

import tracemalloc

import numpy as np
import pytest

from softmax_xp.kernels.numpy.softmax_cross_entropy import softmax_cross_entropy

RANDOM = np.random.default_rng(0)


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("axis", [-1, 0])
def test_nothing_of_the_size_of_the_logits_is_allocated(axis):
    logits = RANDOM.standard_normal((2000, 100) if axis == -1 else (100, 2000))
    labels = RANDOM.integers(0, 100, 2000)
    softmax_cross_entropy(logits.copy(), labels, axis=axis)
    tracemalloc.start()
    softmax_cross_entropy(logits, labels, axis=axis)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < logits.nbytes / 10


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        (np.asfortranarray, {}),
        (read_only, {}),
        (np.asarray, {"label_smoothing": 0.1}),
        (np.asarray, {"class_weight": np.ones(3)}),
    ],
)
def test_what_it_declines_it_leaves_untouched(layout, options):
    logits = layout(RANDOM.standard_normal((4, 3)))
    before = logits.copy()
    assert softmax_cross_entropy(logits, np.zeros(4, int), **options) is None
    np.testing.assert_array_equal(logits, before)
