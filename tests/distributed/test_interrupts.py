# SPDX-License-Identifier: BSD-3-Clause
import os
import signal
import sys
import time

import pytest

from softmax_xp.distributed.interrupts import ctrl_c_spares_workers
from softmax_xp.distributed.workers import workers_of
from tests.distributed.conftest import cluster_of

pytest.importorskip("distributed", reason="Dask is not installed")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups")
def test_workers_live_through_the_terminals_ctrl_c_as_long_as_the_fit_lasts():
    with cluster_of(1, processes=True) as client:
        (worker,) = workers_of(client)
        pid = client.submit(os.getpid).result(timeout=30)
        with ctrl_c_spares_workers(client):
            os.kill(pid, signal.SIGINT)
            time.sleep(0.3)
            assert client.submit(os.getpid, pure=False).result(timeout=30) == pid
        assert workers_of(client) == [worker]
        os.kill(pid, signal.SIGINT)
        while workers_of(client):
            time.sleep(0.05)


def test_workers_that_are_threads_of_the_client_leave_its_handler_alone(client):
    before = signal.getsignal(signal.SIGINT)
    with ctrl_c_spares_workers(client):
        assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGINT) is before
