# SPDX-License-Identifier: BSD-3-Clause
"""Chunks on several threads, and BLAS held to one meanwhile."""

from threading import Barrier, Event, get_ident

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import softmax_xp as sx
from softmax_xp import threads as module
from softmax_xp.blas import blas_threads
from softmax_xp.threads import added, ordered_map, ordered_sum


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


class TestOrderedSum:
    @pytest.mark.parametrize("threads", [1, 2, 5])
    def test_terms_are_dealt_to_lanes_and_the_lanes_added_in_order(self, threads):
        # Letters do not commute, so that the sum shows its order: eight lanes, and nothing else.
        words = ordered_sum(lambda number: (chr(ord("a") + number), None), range(18), threads=threads)
        assert words == ("aiq" + "bjr" + "ck" + "dl" + "em" + "fn" + "go" + "hp", None)

    @pytest.mark.parametrize(("n_bytes", "lanes"), [(1 << 30, 1), (1 << 23, 2), (1 << 10, 8)])
    def test_large_terms_share_few_lanes(self, n_bytes, lanes):
        class Term(str):
            nbytes = n_bytes
            __slots__ = ()

            def __add__(self, other):
                return Term(str(self) + other)

        (word,) = ordered_sum(lambda number: (Term(number),), range(10), threads=3)
        assert word == "".join("".join(str(number) for number in range(lane, 10, lanes)) for lane in range(lanes))

    @pytest.mark.parametrize("threads", [1, 2, 3])
    def test_any_number_of_threads_gives_the_same_bits(self, threads):
        random = np.random.default_rng(0)
        terms = random.standard_normal((50, 1000)) * 10.0 ** random.integers(-8, 8, (50, 1))
        (total,) = ordered_sum(lambda number: (terms[number].copy(),), range(50), threads=threads)
        lanes = [sum(terms[lane + 8 :: 8], start=terms[lane]) for lane in range(8)]
        np.testing.assert_array_equal(total, sum(lanes[1:], start=lanes[0]))

    def test_threads_work_at_once_and_the_caller_is_one_of_them(self):
        together = Barrier(2, timeout=10)
        idents = set()

        def work(number):
            together.wait()
            idents.add(get_ident())
            return (number,)

        assert ordered_sum(work, range(4), threads=2) == (6,)
        assert len(idents) == 2
        assert get_ident() in idents

    def test_each_helping_thread_limits_itself(self, monkeypatch):
        limited, together = [], Barrier(3, timeout=10)  # where OpenMP keeps a number for each thread
        monkeypatch.setattr(module, "limit_this_thread", lambda: limited.append(get_ident()))
        ordered_sum(lambda _: (together.wait(),), range(3), threads=3)
        assert len(set(limited)) == 2
        assert get_ident() not in limited

    def test_a_slow_first_term_holds_nobody_up_for_ever(self):
        others = Event()

        def work(number):
            if number == 0:
                assert others.wait(10)
            elif number == 1:
                others.set()
            return (number,)

        assert ordered_sum(work, range(20), threads=3) == (190,)

    @pytest.mark.parametrize("threads", [1, 3])
    @pytest.mark.parametrize("at", ["term", "item"])
    def test_an_error_reaches_the_caller_and_ends_the_others(self, threads, at):
        def items():
            for number in range(1000):
                if at == "item" and number == 5:
                    msg = "five"
                    raise KeyError(msg)
                yield number

        seen = []

        def work(number):
            seen.append(number)
            if at == "term" and number == 5:
                msg = "five"
                raise KeyError(msg)
            return (number,)

        with pytest.raises(KeyError, match="five"):
            ordered_sum(work, items(), threads=threads)
        assert len(seen) < 20

    def test_an_interrupt_ends_the_threads_and_restores_blas(self):
        main, before = get_ident(), blas_threads()

        def work(number):
            if get_ident() == main and number > 1:
                raise KeyboardInterrupt
            return (number,)

        with pytest.raises(KeyboardInterrupt):
            ordered_sum(work, range(10**6), threads=2)
        assert blas_threads() == before

    def test_the_error_state_of_the_caller_holds_in_the_threads(self):
        with np.errstate(divide="ignore"):
            (total,) = ordered_sum(lambda item: (np.float64(1.0) / item,), [np.float64(0.0)] * 8, threads=3)
        assert total == np.inf

    def test_sums_are_made_in_place(self):
        first, second = np.ones(3), np.ones(3)
        total = added((first, None, 1), (second, None, 2))
        assert total[0] is first
        assert total[1:] == (None, 3)
        np.testing.assert_array_equal(second, 1.0)

    def test_no_item_is_an_error(self):
        with pytest.raises(TypeError):
            ordered_sum(lambda number: (number,), [], threads=2)

    def test_the_bound_on_lanes_is_the_one_that_the_tests_assume(self):
        assert (module._LANES_BYTES, module._MOST_LANES) == (1 << 24, 8)

    @pytest.mark.parametrize("threads", [1, 3])
    def test_lanes_can_be_limited(self, threads):
        assert ordered_sum(lambda number: ("abcdef"[number],), range(6), threads=threads, lanes=2) == ("acebdf",)
