# SPDX-License-Identifier: BSD-3-Clause
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import machine
from tests.house.source import ROOT


def test_a_description_names_processor_libraries_and_threads():
    facts = machine.describe("cpu")
    assert np.__version__ in facts["NumPy"]
    assert {"processor", "cores", "load at start", "system", "threads", "scikit-learn"} <= facts.keys()
    assert facts["processor"]
    assert "GPU" not in facts


def test_a_description_of_a_gpu_run_asks_for_its_name(monkeypatch):
    monkeypatch.setattr(machine, "_ask", lambda *command: command[0])
    assert machine.describe("cuda:0")["GPU"] == "nvidia-smi"


@pytest.mark.parametrize(("load", "is_busy"), [(0.4, False), (3.0, True)])
def test_a_busy_machine_is_called_busy(monkeypatch, load, is_busy):
    monkeypatch.setattr(machine.sys, "platform", "linux")
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    monkeypatch.setattr(machine, "_cores", lambda: 2)
    assert ("BUSY" in machine._load()) is is_busy


def test_a_program_that_is_missing_says_nothing():
    assert not machine._ask("no-such-program-as-this")
    assert machine._ask(sys.executable, "-c", "print('one'); print('two')") == "one"


def test_threads_are_limited_here_and_in_children():
    pytest.importorskip("threadpoolctl")
    script = (
        "import numpy, os, threadpoolctl\n"
        "from benchmarks.machine import limit_threads\n"
        "limit_threads(None)\n"
        "assert 'MKL_NUM_THREADS' not in os.environ\n"
        "limit_threads(1)\n"
        "print({pool['num_threads'] for pool in threadpoolctl.threadpool_info()}, os.environ['OMP_NUM_THREADS'])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", script]
    answer = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert answer.stdout.strip() in {"{1} 1", "set() 1"}, answer.stderr
