# SPDX-License-Identifier: BSD-3-Clause
"""The Protocol of penalties tells them from other things. What each promises is in tests/contracts."""

from softmax_xp.losses import CrossEntropy
from softmax_xp.penalties import L2, PENALTIES, Penalty


def test_the_table_holds_penalties_under_lower_case_names():
    for name, penalty in PENALTIES.items():
        assert isinstance(penalty, Penalty)
        assert type(penalty).__name__.lower() == name.replace("_", "")


def test_a_loss_is_no_penalty():
    assert isinstance(L2(), Penalty)
    assert not isinstance(CrossEntropy(), Penalty)
