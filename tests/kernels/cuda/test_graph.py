# SPDX-License-Identifier: BSD-3-Clause
"""Recorded runs against runs that are launched step by step: the same bits, and nothing remembered that should not be.

The launcher's recording does on the CPU what a graph does: it keeps launches with their arguments and executes none.
"""

import gc
import logging
import weakref

import numpy as np
import pytest

from softmax_xp.errors import InvalidValueError
from softmax_xp.kernels.cuda.graph import RecordedSteps
from softmax_xp.kernels.cuda.linear_steps import LinearSteps
from tests.kernels.cuda.shim.fixtures import needs_compiler
from tests.kernels.cuda.shim.launcher import ShimLauncher

pytestmark = needs_compiler

N_SAMPLES, N_FEATURES, N_CLASSES = 14, 6, 3


def make_steps(launcher):
    generator = np.random.default_rng(0)
    X = generator.standard_normal((N_SAMPLES, N_FEATURES)).astype(np.float32)
    labels = generator.integers(0, N_CLASSES, N_SAMPLES)
    return LinearSteps(X, labels, n_classes=N_CLASSES, bias=True, rule="momentum", launcher=launcher)


def make_arrays():
    packed = np.zeros((N_FEATURES + 1, N_CLASSES), np.float32)
    return packed, (np.zeros_like(packed),)


def scalars_of(run, n_steps):
    """Give each run, and each step, a learning rate of its own."""
    rates = -0.1 * (1 + run + np.arange(n_steps))
    return np.stack([rates, 0 * rates, 0 * rates + 0.5, 0 * rates + 1.0], axis=1).astype(np.float32)


def order_of(run, n_rows=N_SAMPLES):
    return np.random.default_rng(run).permutation(N_SAMPLES)[:n_rows]


@pytest.fixture
def launcher():
    """Give a launcher that counts its recordings."""
    launcher = ShimLauncher()
    launcher.n_recordings = 0
    record = launcher.record

    def counted(work):
        launcher.n_recordings += 1
        return record(work)

    launcher.record = counted
    return launcher


def test_recorded_runs_give_the_same_bits(launcher):
    plain, recorded = make_steps(ShimLauncher()), RecordedSteps(make_steps(launcher))
    arrays, same = make_arrays(), make_arrays()
    kept = []
    for run in range(4):
        # 14 rows in batches of 4: the last is shorter. New order and rates in each run, and arrays of their own.
        inputs = {"order": order_of(run), "batch_size": 4, "scalars": scalars_of(run, 4)}
        expected = plain.run(*arrays, **inputs)
        kept.append((expected, recorded.run(*same, **inputs)))
        np.testing.assert_array_equal(arrays[0], same[0])
        np.testing.assert_array_equal(arrays[1][0], same[1][0])
    assert launcher.n_recordings == 1
    # Compared at the end: what a run returned must survive the next ones.
    for expected, got in kept:
        for first, second in zip(expected, got, strict=True):
            np.testing.assert_array_equal(first, second)


def test_other_sizes_and_other_arrays_are_recorded_anew(launcher):
    plain, recorded = make_steps(ShimLauncher()), RecordedSteps(make_steps(launcher))
    first, second = make_arrays(), make_arrays()
    pairs = {id(first): make_arrays(), id(second): make_arrays()}
    recordings = []
    for arrays, n_rows, batch_size in [
        *[(first, 14, 4)] * 3,
        *[(second, 14, 4)] * 3,
        *[(second, 12, 4)] * 3,
        *[(second, 12, 5)] * 3,
        *[(first, 14, 4)] * 2,
    ]:
        n_steps = -(-n_rows // batch_size)
        inputs = {"order": order_of(7, n_rows), "batch_size": batch_size, "scalars": scalars_of(0, n_steps)}
        plain.run(*pairs[id(arrays)], **inputs)
        recorded.run(*arrays, **inputs)
        np.testing.assert_array_equal(arrays[0], pairs[id(arrays)][0])
        recordings.append(launcher.n_recordings)
    assert recordings == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4]


def test_a_recording_keeps_alive_every_array_whose_address_it_holds(launcher):
    # The launcher's recording holds no references, as a graph, and raises where an array is gone.
    recorded = RecordedSteps(make_steps(launcher))
    arrays = make_arrays()
    for run in range(2):
        recorded.run(*arrays, order_of(run), batch_size=4, scalars=scalars_of(run, 4))
    # A larger batch replaces the scratch memory of the steps, which the recording still needs.
    recorded.run(*arrays, order_of(2), batch_size=14, scalars=scalars_of(2, 1))
    recorded.run(*arrays, order_of(3), batch_size=4, scalars=scalars_of(3, 4))
    watched = [weakref.ref(array) for array in (arrays[0], *arrays[1])]
    del arrays
    gc.collect()
    assert all(reference() is not None for reference in watched)
    del recorded, launcher
    gc.collect()
    assert all(reference() is None for reference in watched)


def test_old_recordings_are_forgotten(launcher):
    recorded = RecordedSteps(make_steps(launcher))
    arrays = make_arrays()
    for n_rows in (10, 11, 12, 13, 14):
        for _ in range(2):
            recorded.run(*arrays, order_of(0, n_rows), batch_size=14, scalars=scalars_of(0, 1))
    assert launcher.n_recordings == 5
    recorded.run(*arrays, order_of(0, 14), batch_size=14, scalars=scalars_of(0, 1))
    assert launcher.n_recordings == 5
    recorded.run(*arrays, order_of(0, 10), batch_size=14, scalars=scalars_of(0, 1))
    assert launcher.n_recordings == 6


def test_where_nothing_can_be_recorded_steps_are_launched_and_one_warning_says_so(launcher, caplog):
    def refuse(work):
        msg = "capture is not supported"
        raise NotImplementedError(msg)

    launcher.record = refuse
    recorded, plain = RecordedSteps(make_steps(launcher)), make_steps(ShimLauncher())
    arrays, same = make_arrays(), make_arrays()
    with caplog.at_level(logging.WARNING, logger="softmax_xp"):
        for run in range(4):
            inputs = {"order": order_of(run), "batch_size": 4, "scalars": scalars_of(run, 4)}
            plain.run(*arrays, **inputs)
            recorded.run(*same, **inputs)
            np.testing.assert_array_equal(arrays[0], same[0])
    assert [record.message for record in caplog.records] == [
        "Steps are launched one by one, because they could not be recorded as a graph: capture is not supported"
    ]


def test_an_error_of_the_caller_is_an_error(launcher):
    recorded = RecordedSteps(make_steps(launcher))
    arrays = make_arrays()
    for _ in range(2):
        with pytest.raises(InvalidValueError, match="`scalars` must have shape"):
            recorded.run(*arrays, order_of(0), batch_size=4, scalars=np.zeros((1, 4), np.float32))
