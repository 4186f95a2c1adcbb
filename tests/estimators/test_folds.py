# SPDX-License-Identifier: BSD-3-Clause
"""Splits become folds."""

import numpy as np

from softmax_xp.estimators.folds import read_folds


def test_the_whole_data_come_after_the_folds():
    rows = np.arange(6)
    folds = read_folds([(rows[2:], rows[:2]), (rows[:4], rows[4:])], 6)
    assert folds.whole == 2
