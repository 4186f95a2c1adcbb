# SPDX-License-Identifier: BSD-3-Clause
"""The number of BLAS's threads: who holds it, who waits, and that nobody waits for ever."""

import os
from contextvars import copy_context
from threading import Event, Thread
from time import sleep

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import softmax_xp as sx
from softmax_xp import blas as module
from softmax_xp.backend import backend_of
from softmax_xp.blas import (
    all_threads,
    blas_threads,
    give_way,
    let_go,
    single_threaded_products,
    thread_share,
)
from softmax_xp.solvers import loop as solvers_loop
from softmax_xp.solvers import stacked
from softmax_xp.threads import ordered_map, ordered_sum
from softmax_xp.training import loop as training_loop


def set_number():
    """Return what BLAS itself says."""
    return max(module._numbers())


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """Let BLAS have two threads, and nobody wait long."""
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 20.0)
    monkeypatch.setattr(module, "_FORK_PATIENCE_SECONDS", 0.1)
    with threadpool_limits(2, user_api="blas"):
        if set_number() != 2:
            pytest.skip("this BLAS does not take two threads")
        yield
        assert set_number() == 2
        assert module._STATE.holders == 0


class Other:
    """Another thread, which holds a mode until it is told to let go."""

    def __init__(self, context):
        self.entered, self.may_leave = Event(), Event()
        self.thread = Thread(target=self.run, args=(context,), daemon=True)
        self.thread.start()

    def run(self, context):
        with context:
            self.entered.set()
            assert self.may_leave.wait(15)

    def is_waiting(self):
        return not self.entered.wait(0.1)

    def leave(self):
        self.may_leave.set()
        self.thread.join(15)
        assert not self.thread.is_alive()


class TestOneComputation:
    def test_products_have_one_thread_within(self):
        with single_threaded_products():
            assert set_number() == blas_threads() == 1
            with single_threaded_products():
                assert set_number() == 1
            assert set_number() == 1
        assert set_number() == blas_threads() == 2

    def test_a_pass_goes_over_to_one_and_back(self):
        with backend_of(np.empty(0)).scope():
            assert set_number() == 2
            with single_threaded_products():
                assert set_number() == 1
                with all_threads(), backend_of(np.empty(0)).scope():
                    assert set_number() == 1
            assert set_number() == 2

    def test_after_an_error_too(self):
        with pytest.raises(KeyError), all_threads(), single_threaded_products():
            raise KeyError
        assert set_number() == 2

    @pytest.mark.parametrize("threads", [1, 3])
    def test_several_chunks_have_products_on_one_thread_whoever_computes_them(self, threads):
        assert list(ordered_map(lambda _: set_number(), range(3), threads=threads)) == [1, 1, 1]
        assert ordered_sum(lambda _: (set_number(),), range(3), threads=threads) == (3,)

    @pytest.mark.parametrize("threads", [1, 3])
    def test_a_single_chunk_has_all_threads(self, threads):
        assert list(ordered_map(lambda _: set_number(), range(1), threads=threads)) == [2]
        assert ordered_sum(lambda _: (set_number(),), range(1), threads=threads) == (2,)

    def test_other_libraries_are_left_alone(self):
        assert list(ordered_map(lambda _: set_number(), range(3), threads=0)) == [2, 2, 2]
        assert ordered_sum(lambda _: (set_number(),), range(3), threads=0) == (6,)

    def test_a_share_counts_more_than_the_number(self):
        with thread_share(5):
            assert blas_threads() == 5
        assert blas_threads() == 2

    def test_interleaved_passes(self):
        first, second = (ordered_map(lambda item: item, range(9), threads=2) for _ in range(2))
        with all_threads():
            pairs = [next(first), next(second)]
            pairs += list(first)
            pairs += list(second)
            assert set_number() == 2
        assert pairs == [0, 0, *range(1, 9), *range(1, 9)]


class TestTwoComputations:
    def test_one_mode_is_held_by_both(self):
        with single_threaded_products():
            other = Other(single_threaded_products())
            assert other.entered.wait(10)
        assert set_number() == 1  # the other is not done
        assert blas_threads() == 2  # for this one
        other.leave()
        assert set_number() == 2

    @pytest.mark.parametrize(
        ("ours", "theirs"), [(single_threaded_products, all_threads), (all_threads, single_threaded_products)]
    )
    def test_another_mode_waits(self, ours, theirs):
        with ours():
            other = Other(theirs())
            assert other.is_waiting()
            number = set_number()
        assert other.entered.wait(10)
        assert {number, set_number()} == {1, 2}
        other.leave()

    def test_who_waits_has_the_next_turn(self):
        first = Other(all_threads())
        assert first.entered.wait(10)
        waiting = Other(single_threaded_products())
        assert waiting.is_waiting()
        late = Other(all_threads())
        assert late.is_waiting()
        first.leave()
        assert waiting.entered.wait(10)
        assert late.is_waiting()
        waiting.leave()
        assert late.entered.wait(10)
        late.leave()

    def test_a_loop_gives_way(self):
        with all_threads():
            other = Other(single_threaded_products())
            assert other.is_waiting()
            other.may_leave.set()
            give_way()
            assert other.entered.is_set()
            assert set_number() == 2
        other.leave()

    def test_nobody_who_waits_is_no_reason_to_give_way(self, monkeypatch):
        with all_threads():
            monkeypatch.setattr(module._Hold, "take", None)
            give_way()

    def test_a_function_of_the_user_may_wait_for_another_thread(self):
        with all_threads():
            other = Other(single_threaded_products())
            assert other.is_waiting()
            with let_go():
                other.leave()
                with single_threaded_products():  # a fit within a callback
                    assert set_number() == 1
            assert set_number() == 2
        with let_go():
            assert set_number() == 2

    def test_threads_of_one_computation_hold_together(self):
        with single_threaded_products():
            other = Thread(target=copy_context().run, args=(all_threads().__enter__,))
            other.start()
            other.join(10)
            assert not other.is_alive()
            assert module._STATE.holders == 1

    def test_a_thread_cannot_change_the_mode_of_its_parent(self):
        numbers = []

        def child():
            with single_threaded_products():
                numbers.append(set_number())

        with all_threads():
            thread = Thread(target=copy_context().run, args=(child,))
            thread.start()
            thread.join(10)
        assert numbers == [2]

    def test_patience_ends(self, monkeypatch):
        monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
        with all_threads():
            other = Other(single_threaded_products())
            assert other.entered.wait(10)
            other.leave()

    def test_where_blas_has_one_thread_nobody_waits(self):
        with threadpool_limits(1, user_api="blas"), all_threads():
            other = Other(single_threaded_products())
            assert other.entered.wait(10)
            other.leave()


class TestFits:
    X = np.random.default_rng(0).standard_normal((60, 3))
    Y = X.argmax(axis=1)

    def callback(self, *_):
        """Wait for another thread, which computes in the other mode."""
        other = Other(single_threaded_products())
        assert other.entered.wait(10)
        other.leave()

    def test_a_function_of_the_classifier_may_wait_for_another_thread(self):
        sx.SoftmaxClassifier(device="cpu", callbacks=[self.callback], max_iter=2, tol=1.0).fit(self.X, self.Y)

    def test_a_callback_of_the_trainer_may_wait_for_another_thread(self):
        class Waiting(sx.Callback):
            on_epoch_end = self.callback

        with all_threads():  # as the classifier holds it around a minibatch fit
            sx.Trainer(epochs=2, batch_size=20, device="cpu", callbacks=[Waiting()]).fit(self.X, self.Y)

    def test_each_step_and_each_iteration_gives_way(self, monkeypatch):
        ways = []
        for loop in (training_loop, solvers_loop, stacked):
            monkeypatch.setattr(loop, "give_way", lambda name=loop.__name__: ways.append(name))
        sx.Trainer(epochs=2, batch_size=20, device="cpu").fit(self.X, self.Y)
        assert ways == ["softmax_xp.training.loop"] * 6
        classifier = sx.SoftmaxClassifier(device="cpu", solver="lbfgs").fit(self.X, self.Y)
        assert len(ways) - 6 == int(classifier.n_iter_[0]) + 1
        sx.SoftmaxClassifierCV(Cs=2, cv=2, device="cpu").fit(self.X, self.Y)
        assert ways[-1] == "softmax_xp.solvers.stacked"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
class TestFork:
    def test_a_child_is_free_of_what_other_threads_held(self):
        other = Other(single_threaded_products())
        assert other.entered.wait(10)
        module._STATE.change.acquire()  # as if a thread were just about to take it
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert set_number() == 2
                with all_threads(), single_threaded_products():
                    assert set_number() == 1
                code = 0
            finally:
                os._exit(code)
        module._STATE.change.release()
        _, status = os.waitpid(child, 0)
        other.leave()
        assert status == 0

    def test_a_child_does_not_let_go_of_what_its_parent_holds(self):
        with single_threaded_products():
            child = os.fork()
            if child == 0:
                break_out = module._STATE.holders, set_number()
                os._exit(0 if break_out == (0, 2) else 1)
            _, status = os.waitpid(child, 0)
            assert status == 0
            assert set_number() == 1

    def test_a_fork_waits_until_others_are_between_two_products(self, monkeypatch):
        monkeypatch.setattr(module, "_FORK_PATIENCE_SECONDS", 20.0)
        multiplying, forks = [False], [0, 0]
        begun, done = Event(), Event()

        def multiply():
            with all_threads():
                while not done.is_set():
                    multiplying[0] = True
                    begun.set()
                    sleep(0.01)
                    multiplying[0] = False
                    give_way()

        thread = Thread(target=multiply, daemon=True)
        thread.start()
        assert begun.wait(10)
        for _ in range(10):
            child = os.fork()
            if child == 0:
                os._exit(int(multiplying[0]))
            _, status = os.waitpid(child, 0)
            forks[status != 0] += 1
        done.set()
        thread.join(10)
        assert forks == [10, 0]
