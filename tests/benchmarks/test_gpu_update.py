# SPDX-License-Identifier: BSD-3-Clause
import sys
from time import time
from types import SimpleNamespace

import numpy as np
import pytest

import softmax_xp as sx
from benchmarks import gpu_update
from benchmarks.gpu_arrays import random_array
from benchmarks.gpu_bench import QUICK, Bench
from benchmarks.gpu_update import fused_update, measure_update

RULE = SimpleNamespace(name="adam", scalars=(0.5, 0.25))


@pytest.fixture
def bench():
    bench = Bench(sx.get_backend("cpu"), QUICK, with_compile=False)
    bench.begin("update", time() + 60.0)
    return bench


def install(monkeypatch, update):
    """Stand in for the kernel and for the optimizer's rule."""
    monkeypatch.setitem(sys.modules, "softmax_xp.kernels.cuda.update", SimpleNamespace(update=update))
    adam = SimpleNamespace(init=sx.Adam(1e-3).init, update=sx.Adam(1e-3).update, fused_rule=lambda state: RULE)
    monkeypatch.setattr(gpu_update.sx, "Adam", lambda rate: adam)


def test_each_shape_has_the_definition_and_what_else_is_there(bench):
    measure_update(bench)
    shapes = {line.record["shape"] for line in bench.table.lines}
    assert shapes == {(21, 10), (25, 40), (17, 500)}
    assert [line.record["who"] for line in bench.table.lines].count("ours, pure") == 3


def test_the_fused_step_is_held_against_the_definition(bench, monkeypatch):
    optimizer, params, grads = sx.Adam(1e-3), random_array(bench, 4, 3), random_array(bench, 4, 3, shift=5)
    expected = optimizer.update(grads, optimizer.init(params), params)[0]
    calls = []

    def update(rule, packed, grads, accumulators, scalars):
        calls.append((rule, scalars.tolist(), len(accumulators)))
        return packed + expected, accumulators

    install(monkeypatch, update)
    before = params.copy()
    fused_update(bench, params, grads)()
    assert calls == [("adam", [[0.5, 0.25]], 2)] * 2
    np.testing.assert_array_equal(params, before)


def test_a_fused_step_that_does_something_else_takes_no_part(bench, monkeypatch):
    install(monkeypatch, lambda rule, packed, grads, accumulators, scalars: (packed, accumulators))
    with pytest.raises(AssertionError, match="computes something else: difference 1.0e-03"):
        fused_update(bench, random_array(bench, 4, 3), random_array(bench, 4, 3, shift=5))
