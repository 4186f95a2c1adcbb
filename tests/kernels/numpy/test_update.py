# SPDX-License-Identifier: BSD-3-Clause
"""The NumPy step: which memory it writes to, that it takes none, and that blocks and special values change nothing.

That its results are those of the optimizers is a contract, in tests/contracts/test_optimizers.py.
"""

import tracemalloc

import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError
from softmax_xp.kernels.numpy import update as module
from softmax_xp.kernels.numpy.update import update
from softmax_xp.kernels.rules import FusedRule
from softmax_xp.optimizers import accumulators_of, apply_updates
from tests.optimizers.variants import VARIANTS

SHAPE = (7, 3)
SEED = 20261123


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def optimizer(request):
    return request.param


def start(optimizer, shape=SHAPE, dtype="float32"):
    """Parameters, a gradient, and a state after one step, so that no accumulator is zero."""
    params, first, grads = np.random.default_rng(SEED).standard_normal((3, *shape)).astype(dtype)
    _, state = optimizer.update(first, optimizer.init(params), params)
    return params, grads, state


def outputs(optimizer, params, grads, state):
    """What the definition makes of them: the next parameters and accumulators."""
    updates, state = optimizer.update(grads, state, params)
    return (apply_updates(params, updates), *accumulators_of(state))


def poison(array):
    return np.full_like(array, np.nan)


def assert_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
        # What the comparison above lets pass: the sign of a zero. That of a NaN means nothing.
        is_number = ~np.isnan(ours)
        np.testing.assert_array_equal(np.signbit(ours)[is_number], np.signbit(theirs)[is_number])


def test_other_outputs_leave_the_inputs_whole(optimizer):
    params, grads, state = start(optimizer)
    expected = outputs(optimizer, params, grads, state)
    inputs = (params, *accumulators_of(state))
    for array in inputs:
        array.flags.writeable = False
    out_params, *out = [poison(array) for array in inputs]
    rule, scratch = optimizer.fused_rule(state), (poison(params), poison(params))
    update(rule, params, grads.copy(), inputs[1:], out_params, tuple(out), scratch)
    assert_equal((out_params, *out), expected)


def test_outputs_may_be_the_inputs(optimizer):
    params, grads, state = start(optimizer)
    expected = outputs(optimizer, params, grads, state)
    accumulators = accumulators_of(state)
    update(
        optimizer.fused_rule(state), params, grads, accumulators, params, accumulators, (poison(params), poison(params))
    )
    assert_equal((params, *accumulators), expected)


def test_some_outputs_may_be_the_inputs(optimizer):
    params, grads, state = start(optimizer)
    expected = outputs(optimizer, params, grads, state)
    accumulators = accumulators_of(state)
    out = tuple(array if place % 2 else poison(array) for place, array in enumerate(accumulators))
    scratch = (poison(params), poison(params))
    update(optimizer.fused_rule(state), params, grads, accumulators, params, out, scratch)
    assert_equal((params, *out), expected)


@pytest.mark.parametrize("shape", [(10, 4), (3, 50), (41,), (5, 2, 3)])
def test_blocks_change_nothing(optimizer, monkeypatch, shape):
    monkeypatch.setattr(module, "_BLOCK_SIZE", 12)
    params, grads, state = start(optimizer, shape)
    expected = outputs(optimizer, params, grads, state)
    inputs = (params, *accumulators_of(state))
    out_params, *out = [poison(array) for array in inputs]
    scratch = (poison(params), poison(params))
    update(optimizer.fused_rule(state), params, grads, inputs[1:], out_params, tuple(out), scratch)
    assert_equal((out_params, *out), expected)
    # The blocks were taken: what lies behind the first rows of the scratch memory was never touched.
    assert np.all(np.isnan(scratch[0][-1]))


def test_a_number_alone_can_be_trained(optimizer):
    params, grads, state = start(optimizer, ())
    params, grads = np.asarray(params), np.asarray(grads)
    state = optimizer.init(params)
    expected = outputs(optimizer, params, grads, state)
    accumulators = accumulators_of(state)
    scratch = (poison(params), poison(params))
    update(optimizer.fused_rule(state), params, grads, accumulators, params, accumulators, scratch)
    assert_equal((params, *accumulators), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_not_finite_goes_where_the_definition_takes_it(optimizer, dtype):
    values = np.asarray([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, 1e30, 1.0], dtype=dtype)
    params, grads = (np.ascontiguousarray(array) for array in np.meshgrid(values, values))
    _, _, state = start(optimizer, params.shape, dtype)
    with np.errstate(all="ignore"):
        expected = outputs(optimizer, params, grads, state)
        accumulators = accumulators_of(state)
        scratch = (poison(params), poison(params))
        update(optimizer.fused_rule(state), params, grads, accumulators, params, accumulators, scratch)
    assert_equal((params, *accumulators), expected)


# The second shape is walked in blocks.
@pytest.mark.parametrize("shape", [(785, 10), (1400, 100)])
def test_no_array_is_allocated(optimizer, shape):
    params, grads, state = start(optimizer, shape)
    accumulators, scratch = accumulators_of(state), (np.empty_like(params), np.empty_like(params))
    rule = optimizer.fused_rule(state)
    # NumPy itself passes scalars and what is not aligned through buffers; a step before shows none of their first use.
    update(rule, params, grads, accumulators, params, accumulators, scratch)
    assert peak(lambda: update(rule, params, grads, accumulators, params, accumulators, scratch)) < params.nbytes / 4
    # The same measure sees what the definition allocates.
    assert peak(lambda: optimizer.update(grads, state, params)) >= params.nbytes


def peak(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_unknown_rule_is_refused():
    array = np.zeros(2)
    with pytest.raises(InvalidValueError, match=r"`rule` must be named one of 'sgd', .*'lion'; got 'adamw'\."):
        update(FusedRule("adamw", ()), array, array, (), array, (), (array, array))


def test_scalars_of_another_rule_are_refused():
    array = np.zeros(2)
    with pytest.raises(ValueError, match="unpack"):
        update(FusedRule("sgd", (-1.0,)), array, array, (), array, (), (array, array))
