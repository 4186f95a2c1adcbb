# SPDX-License-Identifier: BSD-3-Clause
"""Chunks on several threads, and BLAS held to one meanwhile."""

from threading import Barrier, Event, Thread, get_ident

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import softmax_xp as sx
from softmax_xp.threads import blas_threads, ordered_map, single_threaded_products


def test_results_come_in_the_order_of_the_items():
    second_is_done = Event()

    def slow_first(item):
        if item == 0:
            assert second_is_done.wait(10)
        else:
            second_is_done.set()
        return item

    assert list(ordered_map(slow_first, range(20), threads=3)) == list(range(20))


def test_items_are_worked_on_at_once():
    together = Barrier(2, timeout=10)
    idents = list(ordered_map(lambda _: (together.wait() and None) or get_ident(), range(2), threads=2))
    assert len(set(idents)) == 2
    assert get_ident() not in idents


@pytest.mark.parametrize(("threads", "n_items"), [(1, 5), (4, 1), (4, 0)])
def test_one_thread_or_one_item_stays_in_the_calling_thread(threads, n_items):
    assert list(ordered_map(lambda _: get_ident(), range(n_items), threads=threads)) == [get_ident()] * n_items


def test_few_items_are_taken_ahead():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = ordered_map(lambda item: item, items(), threads=2)
    assert next(results) == 0
    assert len(taken) <= 5
    assert list(results) == list(range(1, 100))


def test_an_error_reaches_the_caller():
    def fail(item):
        if item == 3:
            msg = "three"
            raise KeyError(msg)
        return item

    with pytest.raises(KeyError, match="three"):
        list(ordered_map(fail, range(10), threads=2))


def test_the_error_state_of_the_caller_holds_in_the_threads():
    with np.errstate(divide="ignore"):
        results = list(ordered_map(lambda item: np.float64(1.0) / item, [np.float64(0.0)] * 4, threads=2))
    assert results == [np.inf] * 4


def test_blas_is_held_to_one_thread_until_the_last_context_ends():
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != 2:
            pytest.skip("this BLAS does not take two threads")
        inner_is_open, outer_may_close, inner_may_close = Event(), Event(), Event()

        def inner():
            with single_threaded_products():
                inner_is_open.set()
                assert inner_may_close.wait(10)

        thread = Thread(target=inner)
        with single_threaded_products():
            assert blas_threads() == 1
            thread.start()
            assert inner_is_open.wait(10)
        outer_may_close.set()
        assert blas_threads() == 1
        inner_may_close.set()
        thread.join(10)
        assert blas_threads() == 2


def test_the_number_of_threads_changes_no_bit():
    random = np.random.default_rng(0)
    X, y, W = random.random((20000, 100)), random.integers(0, 10, 20000), random.random((100, 10))
    results = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="blas"):
            results.append(sx.softmax_loss(W, X, y, 0.1))
    # With one thread the products themselves are single-threaded too, so even that is the same.
    for loss, gradient in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(gradient, results[0][1])
