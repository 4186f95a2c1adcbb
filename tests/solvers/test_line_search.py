# SPDX-License-Identifier: BSD-3-Clause
"""The line search: on functions of one number whose every trial can be told beforehand."""

import math

import numpy as np
import pytest

from softmax_xp.solvers.line_search import search_line
from tests.solvers.toy import Quadratic, evaluation_at


def search(objective, start, direction):
    now = evaluation_at(objective, start)
    objective.values = 0
    slope = float(now.gradient[0, 0]) * direction
    return search_line(objective, now, np.asarray([[direction]]), slope)


def test_the_step_one_comes_first():
    objective = Quadratic(1.0)
    found, step = search(objective, 3.0, -3.0)
    assert step == 1.0
    assert objective.values == 1
    assert found.point[0, 0] == 0.0
    assert found.total == 1.0


def test_a_step_too_long_is_shortened_to_the_minimum_of_the_parabola():
    objective = Quadratic(1.0)
    found, step = search(objective, 3.0, -9.0)  # the minimum lies at a third
    np.testing.assert_allclose(step, 1 / 3, rtol=1e-12)
    assert objective.values == 2
    np.testing.assert_allclose(found.point[0, 0], 0.0, atol=1e-12)


@pytest.mark.parametrize(("direction", "expected"), [(-300.0, 0.01), (-6.3, 0.5 * 6.0 / 6.3)])
def test_one_trial_shortens_by_no_more_than_ten_and_no_less_than_two(direction, expected):
    objective = Quadratic(1.0)
    _, step = search(objective, 3.0, direction)
    if direction == -300.0:
        assert 0.005 <= step <= 0.02
        assert objective.values == 3
    else:
        np.testing.assert_allclose(step, min(expected, 0.5))


@pytest.mark.parametrize("beyond", [math.inf, math.nan])
def test_infinities_and_nan_are_stepped_back_from(beyond):
    # log(-x) falls towards its pole at 0; beyond that lies nothing.
    objective = Quadratic(function=lambda x: (math.log(-x), 1 / x) if x < 0 else (beyond, 0.0))
    found, step = search(objective, -2.0, 30.0)
    assert step == pytest.approx(0.01)
    assert objective.values == 3
    np.testing.assert_allclose(found.point[0, 0], -1.7)


@pytest.mark.parametrize("direction", [3.0, 0.0, math.nan])
def test_a_direction_that_does_not_descend_leads_nowhere(direction):
    objective = Quadratic(1.0)
    assert search(objective, 3.0, direction) is None
    assert objective.values == 0


def test_where_nothing_is_an_improvement_the_search_ends():
    objective = Quadratic(function=lambda x: (1.0 + abs(x), -1.0))  # its slope lies
    assert search(objective, 0.0, 1.0) is None
    assert objective.values == 30


def test_where_the_value_no_longer_tells_the_slopes_decide():
    # The value is constant to the last bit, the slope still knows where the minimum is.
    objective = Quadratic(function=lambda x: (1.0, 1e-12 * (x - 1.0)))
    found, step = search(objective, 0.0, 1.5)
    assert step == 1.0
    assert found.point[0, 0] == 1.5
    assert search(objective, 0.0, 1.95) is not None
    assert objective.values == 2  # the slope at 1.95 is almost as steep as before; a shorter step is taken


def test_a_rise_beyond_rounding_is_no_step_however_flat_it_ends():
    objective = Quadratic(function=lambda x: (1.0 + (1e-10 if x > 0.01 else 0.0), -1e-13 if x < 0.01 else 0.0))
    found = search(objective, 0.0, 1.0)
    assert found is None or found[0].point[0, 0] < 0.01
