# SPDX-License-Identifier: BSD-3-Clause
"""What is particular to NumPy's steps; that they train as the definition does: tests/contracts/test_kernels.py."""

import tracemalloc

import numpy as np
import pytest

from softmax_xp.kernels.numpy.linear_steps import LinearSteps, make_linear_steps

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((900, 300)).astype("float32")
Y = RANDOM.integers(0, 10, 900)
SGD = [(-0.1, 0.0)]


def make(X=X, **options):
    defaults = {"n_classes": 10, "bias": True, "rule": "sgd"}
    return LinearSteps(X, Y, **(defaults | options))


def packed_like(steps, seed=1):
    random = np.random.default_rng(seed)
    return random.standard_normal((steps.X.shape[1] + steps.bias, steps.n_classes)).astype("float32")


def test_what_came_from_outside_is_never_written_to_and_two_sets_take_turns():
    steps = make(rule="momentum")
    start, trace = packed_like(steps), packed_like(steps, 2)
    before = start.copy(), trace.copy()
    scalars = [(-0.1, 0.0, 0.9, 1.0)]
    order = np.arange(50)
    first, (first_trace,), _, _ = steps.run(start, (trace,), order, batch_size=50, scalars=scalars)
    kept = first.copy(), first_trace.copy()
    second, (second_trace,), _, _ = steps.run(first, (first_trace,), order, batch_size=50, scalars=scalars)
    for old, new in zip((start, trace, first, first_trace), (*before, *kept), strict=True):
        np.testing.assert_array_equal(old, new)
    third, _, _, _ = steps.run(second, (second_trace,), order, batch_size=50, scalars=scalars)
    assert third is first
    assert len({id(array) for array in (start, first, second)}) == 3


def test_a_run_of_many_steps_is_those_steps_one_by_one():
    order = RANDOM.permutation(900)[:130]
    start = packed_like(make())
    packed, _, values, hits = make().run(start, (), order, batch_size=50, scalars=SGD * 3)
    steps, one_by_one, losses, right = make(), start, [], []
    for begin in (0, 50, 100):
        one_by_one, _, value, hit = steps.run(one_by_one, (), order[begin : begin + 50], batch_size=50, scalars=SGD)
        losses.append(value)
        right.append(hit)
    np.testing.assert_array_equal(packed, one_by_one)
    np.testing.assert_array_equal(values, np.concatenate(losses))
    np.testing.assert_array_equal(hits, np.concatenate(right))


def test_after_the_first_step_only_what_it_returns_is_allocated():
    steps, order = make(), np.arange(300)
    packed, _, _, _ = steps.run(packed_like(steps), (), order, batch_size=300, scalars=SGD)
    packed, _, _, _ = steps.run(packed, (), order, batch_size=300, scalars=SGD)
    tracemalloc.start()
    steps.run(packed, (), order, batch_size=300, scalars=SGD)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A few numbers for each row; one copy of the features would be 360 KB.
    assert peak < 300 * 100


def test_a_total_weight_of_zero_gives_no_gradient():
    steps = make(sample_weight=np.zeros(900, "float32"))
    start = packed_like(steps)
    packed, _, values, _ = steps.run(start, (), np.arange(50), batch_size=50, scalars=SGD)
    np.testing.assert_array_equal(packed, start)
    np.testing.assert_array_equal(values, 0.0)


@pytest.mark.parametrize("options", [{"label_smoothing": 0.1}, {"class_weight": np.ones(10)}])
def test_it_declines_what_it_does_not_know(options):
    defaults = {"n_classes": 10, "bias": True, "rule": "sgd"}
    assert make_linear_steps(X, Y, **defaults, **options) is None
    assert isinstance(make_linear_steps(X, Y, **defaults), LinearSteps)
