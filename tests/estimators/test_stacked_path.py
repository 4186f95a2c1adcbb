# SPDX-License-Identifier: BSD-3-Clause
"""The order in which a path is fitted."""

from itertools import pairwise

import numpy as np

from softmax_xp.estimators.stacked_path import path_groups


def test_every_strength_is_fitted_once_and_nodes_come_first():
    Cs = np.logspace(-4, 4, 45)
    groups = path_groups(Cs, 50)
    positions = [position for group, _ in groups for position in group]
    assert sorted(positions) == list(range(45))
    kinds = [is_node for _, is_node in groups]
    assert kinds == sorted(kinds, reverse=True)
    nodes = [group[0] for group, is_node in groups if is_node]
    assert all(Cs[b] <= 4.0 * Cs[a] * (1 + 1e-9) for a, b in pairwise(nodes))
