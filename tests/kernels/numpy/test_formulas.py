# SPDX-License-Identifier: BSD-3-Clause
"""The formulas in NumPy: one for each rule, and one step of each worked out by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest

from softmax_xp.kernels.numpy.formulas import FORMULAS
from softmax_xp.kernels.rules import RULES

# (param, grad, accumulators, scalars) and (update, next accumulators), with squares below the roots.
STEPS = {
    "sgd": ((2.0, 3.0, (), (-0.5, 0.25)), (-1.75, ())),
    "momentum": ((2.0, 3.0, (4.0,), (-0.5, 0.5, 0.5, 0.25)), (-1.5, (3.0,))),
    "nesterov": ((2.0, 3.0, (4.0,), (-0.5, 0.5, 0.5, -0.25)), (-3.5, (6.0,))),
    "adagrad": ((2.0, 2.0, (7.0,), (-0.5, 0.5, 1.0)), (-0.3, (16.0,))),
    "rmsprop": ((2.0, 3.0, (4.0,), (-0.5, 0.5, 0.75, 0.0625, 1.0)), (-2.0 / 3.0, (4.0,))),
    "rmsprop_momentum": ((2.0, 3.0, (4.0, 8.0), (-0.5, 0.5, 0.75, 0.0625, 1.0, 0.5)), (-8.0 / 3.0, (4.0, 16.0 / 3.0))),
    "rmsprop_centered": ((0.0, 4.0, (25.0, 4.0), (-0.5, 0.5, 0.36, 1.0, 1.0)), (-0.5, (25.0, 4.0))),
    "rmsprop_centered_momentum": (
        (0.0, 4.0, (25.0, 4.0, 3.0), (-0.5, 0.5, 0.36, 1.0, 1.0, 1.0)),
        (-2.0, (25.0, 4.0, 4.0)),
    ),
    "adadelta": ((2.0, 3.0, (0.0, 3.0), (-0.5, 0.5, 0.5, 0.5, 1.0)), (-4.0 / 3.0, (8.0, 1.5 + 32.0 / 9.0))),
    "adam": ((2.0, 3.0, (2.0, 8.0), (-0.5, 0.5, 0.25, 0.5, 1.0, 0.5, 1.0)), (0.2, (3.0, 16.0))),
    "amsgrad": ((2.0, 3.0, (2.0, 8.0, 36.0), (-0.5, 0.5, 0.25, 0.5, 1.0, 0.5, 2.0)), (0.3125, (3.0, 16.0, 36.0))),
    "nadam": ((2.0, 3.0, (2.0, 8.0), (-0.5, 0.5, -1.0, 0.5, 1.0, 0.5, 1.0)), (-1.0, (3.0, 16.0))),
    "lion": ((2.0, 3.0, (-4.0,), (-0.5, -0.25, 0.5, 0.5, 0.25, 0.75)), (0.0, (1.25,))),
}


def run(name, param, grad, accumulators, scalars):
    update, scratch = np.asarray([grad]), (np.full(1, math.nan), np.full(1, math.nan))
    out = tuple(np.full(1, math.nan) for _ in accumulators)
    inputs = tuple(np.asarray([value]) for value in accumulators)
    FORMULAS[name](scalars, np.asarray([param]), update, inputs, out, scratch)
    return update[0], tuple(array[0] for array in out)


def test_each_rule_has_its_formula():
    assert list(FORMULAS) == list(RULES)
    assert set(STEPS) == set(RULES)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_worked_out_by_hand(name):
    given, (update, accumulators) = STEPS[name]
    assert len(given[2]) == len(accumulators) == len(RULES[name].accumulators)
    assert len(given[3]) == len(RULES[name].scalars)
    found, found_accumulators = run(name, *given)
    assert found == pytest.approx(update, rel=1e-15, abs=0.0)
    assert found_accumulators == pytest.approx(accumulators, rel=1e-15, abs=0.0)


def test_a_variance_that_rounds_to_below_zero_counts_as_zero():
    # With nu below mu**2 the difference is negative: sqrt would be NaN and warn.
    update, _ = run("rmsprop_centered", 0.0, 1.0, (0.5, 1.0), (-0.5, 0.0, 1.0, 0.0, 0.25))
    assert update == -2.0


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "lion"])
def test_no_decay_leaves_an_infinite_parameter_out(name):
    (_, grad, accumulators, scalars), _ = STEPS[name]
    without = tuple(
        0.0 if scalar in {"weight_decay", "param_factor"} else value
        for scalar, value in zip(RULES[name].scalars, scalars, strict=True)
    )
    update, _ = run(name, math.inf, grad, accumulators, without)
    assert math.isfinite(update)


def test_a_small_decay_of_adamw_is_not_lost_in_float32():
    # The decay of one step, 1e-8 of the parameter, is below half the distance between 1 and the float32 before it:
    # `(1 - 1e-8) * param` would be `param`. Added to an update of like size it counts.
    param, decay = np.float32([3.0]), 1e-8
    assert (1.0 - decay) * param == param
    update, scratch = np.float32([0.0]), tuple(np.zeros((2, 1), "float32"))
    state = tuple(np.zeros((2, 1), "float32"))
    FORMULAS["adam"]((-1.0, 0.0, -decay, 0.1, 0.9, 0.1, 1.0), param, update, state, state, scratch)
    assert update[0] == pytest.approx(float(Fraction(-3, 10**8)), rel=1e-6)
