# SPDX-License-Identifier: BSD-3-Clause
import gc

import pytest

from benchmarks import timing
from benchmarks.timing import Effort, Ratio, race, ratio

ONE_CALL = Effort(rounds=2, block_seconds=0.0, settle_seconds=0.0)


class Clock:
    """A clock that only calls move, each by the seconds that it is said to take."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        self.log = []
        monkeypatch.setattr(timing, "perf_counter", lambda: self.now)

    def call(self, name, seconds):
        def run():
            self.log.append(name)
            self.now += seconds

        return run


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_rounds_go_forwards_and_backwards_with_an_untimed_call_before_each_timed_one(clock):
    race({"a": clock.call("a", 0.5), "b": clock.call("b", 0.25)}, ONE_CALL)
    assert clock.log == ["a", "a", "b", "b", "b", "b", "a", "a"]


def test_each_contestant_gets_its_own_seconds_in_each_round(clock):
    seconds = race({"a": clock.call("a", 0.5), "b": clock.call("b", 0.25)}, ONE_CALL)
    assert seconds == {"a": [0.5, 0.5], "b": [0.25, 0.25]}


def test_the_first_calls_of_a_block_are_not_timed(clock):
    durations = iter([8.0, 1.0, 8.0, 1.0])

    def slow_at_first():
        clock.now += next(durations)

    assert race({"a": slow_at_first}, ONE_CALL) == {"a": [1.0, 1.0]}


def test_a_block_has_as_many_calls_as_fill_it(clock):
    race({"a": clock.call("a", 0.125)}, Effort(rounds=1, block_seconds=1.0, settle_seconds=0.5))
    assert clock.log == ["a"] * (4 + 8)


def test_a_block_ends_only_when_the_device_has_finished(clock):
    def synchronise():
        clock.now += 2.0

    assert race({"a": clock.call("a", 0.5)}, ONE_CALL, synchronise=synchronise) == {"a": [2.5, 2.5]}


def test_settings_are_made_before_the_blocks_of_their_contestant_only(clock):
    contestants = {"a": clock.call("a", 1.0), "b": clock.call("b", 1.0)}
    race(contestants, Effort(1, 0.0, 0.0), before={"b": clock.call("set b", 0.0)})
    assert clock.log == ["a", "a", "set b", "b", "b"]


def test_the_collector_is_off_while_timing_and_on_again_afterwards():
    states = []
    race({"a": lambda: states.append(gc.isenabled())}, Effort(1, 0.0, 0.0))
    assert states == [True, False]
    assert gc.isenabled()


def test_a_ratio_is_taken_within_each_round():
    assert ratio([2.0, 30.0, 5.0], [1.0, 10.0, 4.0]) == Ratio(2.0, 1.25, 3.0)
