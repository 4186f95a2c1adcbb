# SPDX-License-Identifier: BSD-3-Clause
import os
import signal
import sys
import threading

import pytest

from softmax_xp.training.signals import StopRequest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send itself these signals")


@pytest.fixture(autouse=True)
def default_handler():
    """Give Python's own handler, which a test runner may have replaced."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_sets_a_flag_and_the_second_stops_at_once():
    with StopRequest(on_sigterm=False) as stop:
        assert not stop.is_made
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_made
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("on_sigterm", [False, True])
def test_sigterm_is_taken_over_where_that_is_asked_for(on_sigterm):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with StopRequest(on_sigterm=on_sigterm) as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.is_made is on_sigterm
            assert len(seen) == (not on_sigterm)
        os.kill(os.getpid(), signal.SIGTERM)
        assert len(seen) == 2 - on_sigterm
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_program_with_a_handler_of_its_own_keeps_it():
    def own(number, frame):
        pass

    signal.signal(signal.SIGINT, own)
    with StopRequest(on_sigterm=False) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stop.is_made
        assert signal.getsignal(signal.SIGINT) is own


def test_other_threads_leave_handlers_alone():
    found = []

    def body():
        with StopRequest(on_sigterm=True):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
