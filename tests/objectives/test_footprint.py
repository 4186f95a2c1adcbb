# SPDX-License-Identifier: BSD-3-Clause
"""The copies of the logits that an evaluation makes, against what NumPy allocates."""

import tracemalloc

import numpy as np
import pytest

from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import LinearObjective
from softmax_xp.objectives.footprint import logits_copies
from softmax_xp.ops import linear
from softmax_xp.typing import LinearParams

RNG = np.random.default_rng(5)
N_SAMPLES, N_FEATURES = 400, 3
LOSSES = {
    "plain": (CrossEntropy(), {}),
    "weights": (CrossEntropy(), {"sample_weight": RNG.random(N_SAMPLES)}),
    "temperature": (CrossEntropy(temperature=2.0), {}),
    "smoothing": (CrossEntropy(label_smoothing=0.1), {"sample_weight": RNG.random(N_SAMPLES)}),
    "soft": (CrossEntropy(0.1, temperature=2.0), {"sample_weight": RNG.random(N_SAMPLES)}),
}


def peak_of(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("kernels", ["1", "0"])
@pytest.mark.parametrize("n_classes", [40, 2000])
def test_an_evaluation_makes_no_more_copies_than_it_says(monkeypatch, kind, kernels, n_classes):
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", kernels)
    monkeypatch.setattr(linear, "_LEAST_CHUNK_ROWS", N_SAMPLES)
    loss, options = LOSSES[kind]
    X, labels = RNG.standard_normal((N_SAMPLES, N_FEATURES)), RNG.integers(0, n_classes, N_SAMPLES)
    targets = RNG.dirichlet(np.ones(n_classes), N_SAMPLES) if kind == "soft" else labels
    prepared = loss.prepare(targets, n_classes, dtype=X.dtype, **options)
    objective = LinearObjective(X, prepared, loss, None, X.dtype)
    params = LinearParams(RNG.standard_normal((N_FEATURES, n_classes)), np.zeros(n_classes))
    objective.value_and_gradient(params)
    copies = logits_copies(loss, prepared, linear.class_axis(n_classes, objective.backend))
    logits, others = N_SAMPLES * n_classes * 8, 128 * N_SAMPLES + (1 << 16) + 3 * (N_FEATURES + 1) * n_classes * 8
    for function in (objective.value_and_gradient, objective.evaluate):
        peak = peak_of(lambda function=function: function(params))
        assert peak <= copies * logits + others
    if copies < 4:  # the number is no guess
        assert peak_of(lambda: objective.value_and_gradient(params)) > (copies - 1) * logits


def test_a_kernel_needs_no_copy(monkeypatch):
    loss = CrossEntropy()
    targets = loss.prepare(np.array([0, 1]), 2, dtype=np.dtype("float64"))
    assert [logits_copies(loss, targets, axis) for axis in (-1, 0)] == [1, 2]
    monkeypatch.setenv("SOFTMAX_XP_KERNELS", "0")
    assert [logits_copies(loss, targets, axis) for axis in (-1, 0)] == [3, 4]
