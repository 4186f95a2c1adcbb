# SPDX-License-Identifier: BSD-3-Clause
"""The sums of each fold."""

from tests.objectives.stacked_problem import stacked


def test_totals_count_the_samples_of_each_fold():
    assert stacked().data.fold_totals() == [12.0, 18.0]
