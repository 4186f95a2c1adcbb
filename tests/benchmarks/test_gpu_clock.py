# SPDX-License-Identifier: BSD-3-Clause
import pytest

import softmax_xp as sx
from benchmarks import gpu_clock
from benchmarks.gpu_clock import Clock, Timed
from benchmarks.timing import Effort
from tests.benchmarks.fake_cuda import FakeCupy, fake_bench

TWO_ROUNDS = Effort(rounds=2, block_seconds=0.0, settle_seconds=0.0)


@pytest.fixture
def cupy():
    return FakeCupy(milliseconds=4.0)


def test_without_cuda_there_is_the_host_clock_alone():
    timed = Clock(sx.get_backend("cpu"), None, TWO_ROUNDS).race({"a": lambda: None})
    assert timed["a"].device is None
    assert timed["a"].best == timed["a"].host > 0


def test_the_device_is_held_until_everything_is_queued(monkeypatch, cupy):
    clock = fake_bench(monkeypatch, cupy).clock
    seconds = clock.on_device(lambda: cupy.log.append("call"), host_seconds=0.005)
    # 15 of the 20 ms that the device is held, at 5 ms a call.
    assert cupy.log == ["hold", "event", "call", "call", "call", "event", "wait"] * 2
    assert seconds == pytest.approx(4e-3 / 3)


@pytest.mark.parametrize(("host_seconds", "calls"), [(10.0, 1), (1e-6, 20)])
def test_the_queue_is_neither_empty_nor_full(monkeypatch, cupy, host_seconds, calls):
    clock = fake_bench(monkeypatch, cupy).clock
    clock.on_device(lambda: cupy.log.append("call"), host_seconds)
    assert cupy.log.count("call") == 2 * calls


def test_calls_that_spoil_their_input_get_it_anew_and_outside_of_the_time(monkeypatch):
    now, log = [0.0], []
    monkeypatch.setattr(gpu_clock, "perf_counter", lambda: now[0])

    def take(name, seconds):
        log.append(name)
        now[0] += seconds

    firsts = iter([800.0, 1.0])
    calls = [lambda: take("a", next(firsts)), lambda: take("b", 2.0)]
    one_round = Effort(rounds=1, block_seconds=0.0, settle_seconds=0.0)
    timed = Clock(sx.get_backend("cpu"), None, one_round).blocks(lambda: take("prepare", 50.0), calls)
    assert timed == Timed(1.5, None)
    assert log == ["prepare", "a", "b"] * 2  # the first block is not counted


def test_a_block_has_the_device_clock_too(monkeypatch, cupy):
    clock = fake_bench(monkeypatch, cupy).clock
    timed = clock.blocks(lambda: cupy.log.append("prepare"), [lambda: cupy.log.append("call")] * 2)
    assert timed.device == timed.best == pytest.approx(2e-3)
    assert cupy.log[-7:] == ["prepare", "hold", "event", "call", "call", "event", "wait"]


def test_the_device_is_asked_only_where_it_has_something_to_say(monkeypatch, cupy):
    clock = fake_bench(monkeypatch, cupy).clock
    assert clock.race({"a": lambda: None}, on_device=False)["a"].device is None
    assert not cupy.log
    assert clock.race({"a": lambda: None})["a"].device > 0


def test_the_number_of_rounds_can_be_chosen(monkeypatch):
    calls = []
    Clock(sx.get_backend("cpu"), None, TWO_ROUNDS).race({"a": lambda: calls.append(1)}, rounds=5)
    assert len(calls) == 10  # one call to settle and one that is timed
