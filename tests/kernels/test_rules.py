# SPDX-License-Identifier: BSD-3-Clause
"""The table of formulas: numbers that never repeat, and layouts that can be read."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError
from softmax_xp.kernels.rules import RULES, FusedRule, rule_number


def test_numbers_are_the_places_in_the_table():
    assert [rule_number(name) for name in RULES] == list(range(len(RULES)))


def test_an_unknown_name_is_refused():
    with pytest.raises(InvalidValueError, match=r"`name` must be one of 'sgd', 'momentum', .*'lion'; got 'adamw'\."):
        rule_number("adamw")


@pytest.mark.parametrize("name", RULES)
def test_no_layout_names_something_twice(name):
    layout = RULES[name]
    names = (*layout.accumulators, *layout.scalars)
    assert len(set(names)) == len(names)
    assert layout.scalars[0] == "factor"


def test_float32_cannot_compute_the_share_from_the_decay():
    # The reason why both are scalars, in the size that the comment in rules.py states.
    one, decay, share = np.float32(1.0), np.float32(0.999), np.float32(0.001)
    assert abs(float(one - decay) / float(share) - 1.0) == pytest.approx(1.3e-5, rel=0.02)


def test_a_rule_is_a_value():
    assert FusedRule("sgd", (-0.5, 0.0)) == FusedRule("sgd", (-0.5, 0.0))
    assert hash(FusedRule("sgd", (-0.5, 0.0))) != hash(FusedRule("sgd", (-0.25, 0.0)))
