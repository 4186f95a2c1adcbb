# SPDX-License-Identifier: BSD-3-Clause
"""A trainer and a solver, each killed at 50 random moments and resumed, end with the bits of undisturbed ones."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

from tests.house.source import ROOT
from tests.reliability.faults import MEMORY

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")


@pytest.mark.parametrize(("fit", "kernels"), [("train", "1"), ("train", "0"), ("solve", "1")])
def test_fifty_kills_change_no_bit(fit, kernels):
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        run = subprocess.run(
            [sys.executable, "-m", "tests.reliability.kill_harness", fit, folder, "50", "0.12"],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "SOFTMAX_XP_KERNELS": kernels},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    print(fit, kernels, report)  # noqa: T201  shown by `pytest -rP`
    assert report["kills"] >= 50
    assert report["resumed"] > 25
