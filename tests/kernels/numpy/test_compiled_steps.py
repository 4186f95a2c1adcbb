# SPDX-License-Identifier: BSD-3-Clause
"""When the compiled steps are taken, and what they leave alone. What they compute: tests/contracts/test_kernels.py."""

import sys

import numpy as np
import pytest

from softmax_xp.errors import MissingDependencyError
from softmax_xp.kernels import find_kernel, table
from softmax_xp.kernels.numpy.compiled_steps import CompiledSteps, make_linear_steps
from softmax_xp.kernels.numpy.linear_steps import LinearSteps

RANDOM = np.random.default_rng(2)
X = RANDOM.standard_normal((20, 3)).astype(np.float32)
LABELS = np.arange(20) % 2


def make(X=X, n_classes=2, **options):
    return make_linear_steps(X, LABELS, n_classes=n_classes, bias=True, rule="adam", **options)


def test_they_are_taken_only_where_the_environment_asks_for_them(monkeypatch):
    for value, module in (("1", "linear_steps"), ("numba", "compiled_steps")):
        monkeypatch.setenv("SOFTMAX_XP_KERNELS", value)
        assert find_kernel("linear_steps", np.empty(0)).__module__.endswith(module)
    assert find_kernel("softmax_cross_entropy", np.empty(0)).__module__.endswith("softmax_cross_entropy")


def test_without_numba_the_error_says_what_to_install(monkeypatch):
    for name in ("compiled", "compiled_steps"):
        monkeypatch.delitem(sys.modules, f"softmax_xp.kernels.numpy.{name}")
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", "numba")
    table._load.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"`SOFTMAX_XP_KERNELS` must be .*softmax-xp\[numba\]"):
        find_kernel("linear_steps", np.empty(0))
    table._load.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_step_is_that_of_numpy_and_no_argument_is_written_to(dtype):
    read_only = X.astype(dtype)
    read_only.flags.writeable = False
    packed, weight = RANDOM.standard_normal((4, 2)).astype(dtype), RANDOM.random(20)  # float64 for either dtype
    accumulators = (np.zeros_like(packed), np.zeros_like(packed))
    before = packed.copy()
    answers = []
    for kind in (CompiledSteps, LinearSteps):
        steps = kind(read_only, LABELS.astype(np.int32), n_classes=2, bias=True, sample_weight=weight, rule="sgd")
        state = packed, accumulators
        for _ in range(3):
            *state, values, hits = steps.run(*state, np.arange(20), batch_size=8, scalars=[(-0.5, 0.0)] * 3)
        answers.append((state[0], values, hits))
    np.testing.assert_array_equal(packed, before)
    assert not any(array.any() for array in accumulators)
    for ours, theirs in zip(*answers, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)


def test_many_classes_and_label_smoothing_are_left_to_others():
    assert isinstance(make(), CompiledSteps)
    assert type(make(n_classes=1000)) is LinearSteps
    assert make(label_smoothing=0.1) is None
