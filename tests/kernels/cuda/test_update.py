# SPDX-License-Identifier: BSD-3-Clause
"""Grid, offsets, scalars and accumulators of the update; the rules themselves are held to the optimizers elsewhere."""

import numpy as np
import pytest

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.kernels.cuda.update import update, update_kernels
from softmax_xp.kernels.rules import RULES
from tests.kernels.cuda.shim.fixtures import needs_compiler
from tests.kernels.cuda.shim.launcher import ShimLauncher

pytestmark = needs_compiler

# Plausible numbers for a scalar of each name.
SCALARS = {"factor": -0.1, "weight_decay": 0.01, "eps": 1e-3, "offset": 1e-3, "trace_factor": -0.09, "mu_factor": -0.05}


def rows_of(rule, dtype):
    """Give a table with two rows, of which the first would spoil everything."""
    row = [SCALARS.get(name, 0.5) for name in RULES[rule].scalars]
    return np.array([[np.nan] * len(row), row], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_momentum_is_its_formula(dtype):
    generator = np.random.default_rng(0)
    # More than one round of the grid: 3 multiprocessors x 8 blocks x 256 threads are 6144.
    params, grads, trace = generator.standard_normal((3, 7001, 2)).astype(dtype)
    old, gradient, old_trace = [array.astype(np.float64) for array in (params, grads, trace)]
    for array in (params, grads, trace):
        array.flags.writeable = False
    scalars = rows_of("momentum", dtype)
    params, (trace,) = update("momentum", params, grads, (trace,), scalars, step=1, launcher=ShimLauncher())
    assert params.dtype == trace.dtype == dtype
    expected_trace = 0.5 * old_trace + 0.5 * (gradient + 0.01 * old)
    precision = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(trace, expected_trace, rtol=precision, atol=precision)
    np.testing.assert_allclose(params, old - 0.1 * expected_trace, rtol=precision, atol=precision)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_gets_its_own_accumulators_in_their_order(rule):
    generator = np.random.default_rng(1)
    arrays = [generator.uniform(0.5, 1.0, 40).astype(np.float32) for _ in range(2 + len(RULES[rule].accumulators))]
    scalars = rows_of(rule, np.float32)
    params, accumulators = update(rule, arrays[0], arrays[1], arrays[2:], scalars, step=1, launcher=ShimLauncher())
    # One element at a time is the same: nothing of a neighbour, of another array or of the other row came in.
    single = [array[7:8].copy() for array in arrays]
    one = update(rule, single[0], single[1], single[2:], scalars[1:], launcher=ShimLauncher(is_reversed=True))
    for before, after, alone in zip((arrays[0], *arrays[2:]), (params, *accumulators), (one[0], *one[1]), strict=True):
        assert np.isfinite(after).all()
        assert after[7] == alone[0]
        assert not np.array_equal(before, after)


def test_nothing_to_update_is_no_launch():
    empty = np.empty((0, 3), np.float32)
    params, accumulators = update("sgd", empty, empty, (), rows_of("sgd", np.float32), launcher=ShimLauncher())
    assert (params.shape, accumulators) == ((0, 3), ())


def test_every_rule_and_float_is_listed():
    assert len(set(update_kernels())) == 2 * len(RULES)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"rule": "newton"}, InvalidValueError, "'newton'"),
        ({"params": np.zeros(3, np.int64)}, InvalidTypeError, "`params` must be float32 or float64; got int64"),
        ({"accumulators": ()}, InvalidValueError, "`accumulators` must be those of 'momentum', trace; got 0"),
        ({"scalars": np.zeros((1, 3), np.float32)}, InvalidValueError, "`scalars` must have shape"),
        ({"step": 1}, InvalidValueError, r"`scalars` must have shape \(more than 1, 4\)"),
        ({"grads": np.zeros(3)}, InvalidValueError, r"`grads` must have shape \(3,\), float32 and C order"),
        ({"grads": np.zeros(6, np.float32)[::2]}, InvalidValueError, "`grads` must have"),
        ({"scalars": np.zeros((1, 4))}, InvalidValueError, "`scalars` must have"),
    ],
)
def test_errors_name_the_argument(change, error, text):
    arguments = {
        "rule": "momentum",
        "params": np.zeros(3, np.float32),
        "grads": np.zeros(3, np.float32),
        "accumulators": (np.zeros(3, np.float32),),
        "scalars": np.zeros((1, 4), np.float32),
    } | change
    with pytest.raises(error, match=text):
        update(**arguments, launcher=ShimLauncher())
