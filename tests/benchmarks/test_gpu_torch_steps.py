# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from benchmarks.gpu_minibatch import EPS, LEARNING_RATE, TOLERANCE, norm_error, reference_weight
from benchmarks.gpu_torch_steps import TorchSteps, steps_per_graph
from softmax_xp.backend import to_host

torch = pytest.importorskip("torch", reason="PyTorch is the peer")

BATCH = 8


def data():
    random = np.random.default_rng(0)
    return random.random((60, 5), dtype=np.float32), random.integers(0, 3, 60)


def peer(X, y, **options):
    tensors = torch.from_numpy(X), torch.from_numpy(y)
    return TorchSteps(torch, *tensors, 3, batch_size=BATCH, learning_rate=LEARNING_RATE, eps=EPS, **options)


def replayed(replays):
    """Return a capture that warms up as CUDA's does, and whose replay calls again."""

    def record(torch, run):
        run()

        def replay():
            replays.append(1)
            run()

        return replay

    return record


@pytest.mark.parametrize(("graph_steps", "n_replays"), [(0, 0), (1, 6), (3, 2)])
def test_every_form_takes_the_same_steps(graph_steps, n_replays):
    X, y = data()
    replays, order = [], np.random.default_rng(1).permutation(60)[: 6 * BATCH]
    steps = peer(X, y, graph_steps=graph_steps, record=replayed(replays))
    steps.epoch(torch.from_numpy(order))
    expected = reference_weight(X, y, 3, order, BATCH)
    assert norm_error(to_host(steps.layer.weight).T, expected) < TOLERANCE
    assert len(replays) == n_replays


def test_a_reset_forgets_the_weights_and_the_moments_in_place():
    X, y = data()
    steps, order = peer(X, y), torch.arange(60)
    address = steps.layer.weight.data_ptr()
    steps.epoch(order)
    first = to_host(steps.layer.weight).copy()
    steps.reset()
    assert not to_host(steps.layer.weight).any()
    steps.epoch(order)
    np.testing.assert_array_equal(to_host(steps.layer.weight), first)
    assert steps.layer.weight.data_ptr() == address


def test_a_smaller_last_batch_is_left_out():
    X, y = data()
    steps, order = peer(X, y), np.arange(60)
    steps.epoch(torch.from_numpy(order))  # 7 batches of 8, and 4 rows
    expected = reference_weight(X, y, 3, order[:56], BATCH)
    assert norm_error(to_host(steps.layer.weight).T, expected) < TOLERANCE


@pytest.mark.parametrize(("n_steps", "graph"), [(468, 39), (1200, 40), (117, 39), (7, 7), (41, 1)])
def test_a_graph_divides_an_epoch(n_steps, graph):
    assert steps_per_graph(n_steps) == graph
