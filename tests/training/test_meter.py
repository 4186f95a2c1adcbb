# SPDX-License-Identifier: BSD-3-Clause
"""Running loss and accuracy."""

import numpy as np
import pytest

from softmax_xp.backend import backend_of
from softmax_xp.losses import Targets
from softmax_xp.training.meter import Meter

VALUES = [np.asarray([1.0, 2.0, 3.0]), np.asarray([10.0])]
HITS = [np.asarray([True, False, True]), np.asarray([False])]
WEIGHTS = [np.asarray([1.0, 0.0, 3.0]), np.asarray([4.0])]


def fill(backend, meter, weighted=False):
    for values, hits, weights in zip(VALUES, HITS, WEIGHTS, strict=True):
        weight = backend.asarray(weights) if weighted else None
        labels = backend.asarray(np.zeros(len(values), dtype="int64"))
        targets = Targets(labels, None, None if weight is None else weight * 2.0, weight)
        meter.add(backend.asarray(values), backend.asarray(hits), targets)


def test_means_are_over_samples_not_over_batches(backend):
    meter = Meter(backend_of(backend.asarray(VALUES[0])))
    fill(backend, meter)
    assert meter.loss == 0.0  # nothing has been read yet
    assert meter.read() is None
    assert (meter.loss, meter.accuracy) == (16.0 / 4, 2 / 4)


def test_weights_count_each_in_its_own_mean(backend):
    meter = Meter(backend_of(backend.asarray(VALUES[0])))
    fill(backend, meter, weighted=True)
    meter.read()
    # The values are weighted already; the accuracy does not know the class weights.
    assert (meter.loss, meter.accuracy) == (16.0 / 16.0, 4.0 / 8.0)


def test_reading_often_or_once_is_the_same(backend):
    often, once = (Meter(backend_of(backend.asarray(VALUES[0]))) for _ in range(2))
    for _ in range(3):
        fill(backend, often)
        often.read()
        assert often.read() is None
        fill(backend, once)
    once.read()
    assert (often.loss, often.accuracy) == (once.loss, once.accuracy)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_reading_names_the_first_bad_step_of_the_epoch(backend, bad):
    meter = Meter(backend_of(backend.asarray(VALUES[0])))
    fill(backend, meter)
    assert meter.read() is None
    fill(backend, meter)
    labels = backend.asarray(np.zeros(2, dtype="int64"))
    meter.add(backend.asarray(np.asarray([1.0, bad])), backend.asarray(np.asarray([True, True])), Targets(labels))
    fill(backend, meter)
    assert meter.read() == 4


def test_infinities_of_both_signs_in_different_steps_do_not_hide():
    meter = Meter(backend_of(np.zeros(1)))
    hits, targets = np.asarray([True]), Targets(np.zeros(1, dtype="int64"))
    with np.errstate(invalid="ignore"):
        meter.add(np.asarray([np.inf]), hits, targets)
        meter.add(np.asarray([-np.inf]), hits, targets)
        assert meter.read() == 0


def test_float32_sums_in_float64():
    meter = Meter(backend_of(np.zeros(1)))
    for value in (2.0**25, 1.0, 1.0, 1.0):
        meter.add(np.asarray([value], dtype="float32"), np.asarray([True]), Targets(np.zeros(1, dtype="int64")))
    meter.read()
    assert meter.loss == (2.0**25 + 3) / 4


def test_without_any_weight_the_means_are_zero():
    meter = Meter(backend_of(np.zeros(1)))
    none = np.zeros(1)
    meter.add(none, np.asarray([True]), Targets(np.zeros(1, dtype="int64"), None, none, none))
    assert meter.read() is None
    assert (meter.loss, meter.accuracy) == (0.0, 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_bit_depends_on_when_the_sums_are_read(dtype):
    rng = np.random.default_rng(7)
    batches = [rng.lognormal(0, 5, size).astype(dtype) for size in [37] * 20 + [11]]
    weights = [rng.uniform(0, 3, len(values)).astype(dtype) for values in batches]

    def reading(groups, weighted):
        meter, batch = Meter(backend_of(batches[0])), iter(zip(batches, weights, strict=True))
        for size in groups:
            for values, given in (next(batch) for _ in range(size)):
                weight = given if weighted else None
                meter.add(values, values > 1, Targets(np.zeros(len(values), dtype=int), None, weight, weight))
            assert meter.read() is None
            twin = Meter(backend_of(batches[0]))
            twin.restore(meter.state())
            meter = twin
        return meter.loss, meter.accuracy

    for weighted in (False, True):
        once = reading([21], weighted)
        assert reading([1] * 21, weighted) == reading([5, 1, 9, 6], weighted) == once
        total = sum(map(np.longdouble, np.concatenate(batches)))
        size = np.concatenate(weights).astype("longdouble").sum() if weighted else 20 * 37 + 11
        np.testing.assert_allclose(once[0], float(total / size), rtol=1e-15)


def test_a_sum_that_overflows_is_infinite_not_an_error():
    meter = Meter(backend_of(VALUES[0]))
    for _ in range(3):
        meter.add(np.asarray([1e308]), np.asarray([True]), Targets(np.zeros(1, dtype=int)))
    assert meter.read() is None
    assert meter.loss == np.inf
