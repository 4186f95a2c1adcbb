# SPDX-License-Identifier: BSD-3-Clause
"""The one generator: its numbers are pinned, and streams do not meet."""

import numpy as np
import pytest

from softmax_xp.data.order import epoch_order, initial_weight, philox
from softmax_xp.errors import InvalidValueError


def test_an_order_is_a_permutation():
    order = epoch_order(0, 0, 1000)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    assert not np.array_equal(order, np.arange(1000))


def test_the_numbers_are_part_of_the_contract():
    """A change here changes every result ever published with a seed."""
    assert philox(0).permutation(5).tolist() == [0, 3, 4, 2, 1]
    assert epoch_order(0, 0, 10).tolist() == [6, 8, 2, 4, 3, 0, 9, 1, 5, 7]
    np.testing.assert_array_equal(initial_weight(0, 2, 2, 1.0).round(6), [[-1.040294, 0.040016], [0.722154, 1.104781]])


def test_seed_epoch_and_length_each_make_another():
    orders = [epoch_order(seed, epoch, 50).tolist() for seed in range(3) for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 9
    assert epoch_order(1, 2, 50).tolist() == epoch_order(1, 2, 50).tolist()


def test_the_streams_of_orders_weights_and_users_differ():
    draws = [philox(7, stream).random(4).tolist() for stream in range(6)]
    assert len({tuple(draw) for draw in draws}) == 6


def test_orders_are_uniform():
    first = [int(epoch_order(3, epoch, 4)[0]) for epoch in range(2000)]
    counts = np.bincount(first, minlength=4)
    assert np.all(np.abs(counts - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75))


def test_weights_have_the_scale():
    weight = initial_weight(0, 400, 50, 0.1)
    assert weight.shape == (400, 50)
    assert weight.dtype == np.float64
    assert weight.std() == pytest.approx(0.1, rel=0.02)
    assert abs(weight.mean()) < 0.002
    np.testing.assert_array_equal(initial_weight(0, 3, 2, 0.0), 0.0)


def test_numpy_integers_are_seeds():
    assert epoch_order(np.int64(4), 0, 9).tolist() == epoch_order(4, 0, 9).tolist()


@pytest.mark.parametrize("seed", [-1, 1.0, "0", None, True])
def test_a_seed_is_an_integer_of_at_least_zero(seed):
    with pytest.raises(InvalidValueError, match=f"`seed` must be an integer >= 0; got {seed!r}."):
        philox(seed)
