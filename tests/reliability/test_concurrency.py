# SPDX-License-Identifier: BSD-3-Clause
"""Fits at once in threads, and fits in forked and spawned processes, have the bits that they have alone."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.house.source import ROOT
from tests.reliability.concurrency_harness import FITS, X

THREADS = {f"{library}_NUM_THREADS": "2" for library in ("OMP", "OPENBLAS", "MKL")}


def fits_in(company, folder):
    """Run the harness."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.reliability.concurrency_harness", company, str(folder)],
        cwd=ROOT,
        env=os.environ | THREADS,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("concurrency")
    np.save(path / "X.npy", X)
    return path


@pytest.fixture(scope="module")
def alone(folder):
    return fits_in("alone", folder)


@pytest.mark.parametrize("company", ["threads", "forked", "spawned"])
def test_company_changes_no_bit(company, folder, alone):
    if company == "forked" and not hasattr(os, "fork"):
        pytest.skip("Windows cannot fork")
    found = fits_in(company, folder)
    assert set(found) == set(FITS)
    for name, digests in found.items():
        assert set(digests) == set(alone[name]), name
