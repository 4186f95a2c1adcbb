# SPDX-License-Identifier: BSD-3-Clause
import subprocess
import sys
from os import environ

import pytest

from softmax_xp.distributed import timeouts
from softmax_xp.distributed.timeouts import TIMEOUTS, timeout_of
from softmax_xp.errors import InvalidValueError
from tests.house.source import ROOT

dask = pytest.importorskip("dask", reason="Dask is not installed")


@pytest.mark.parametrize("name", TIMEOUTS)
def test_dasks_configuration_says_how_long_to_wait(name):
    assert timeout_of(name) == TIMEOUTS[name]
    for said, seconds in ((2, 2.0), (0.5, 0.5), ("90s", 90.0), ("10 minutes", 600.0), ("10m", 600.0)):
        with dask.config.set({f"softmax-xp.timeouts.{name}": said}):
            assert timeout_of(name) == seconds
        with dask.config.set({f"softmax_xp.timeouts.{name}": said}):  # Dask takes both
            assert timeout_of(name) == seconds


@pytest.mark.parametrize("said", [0, -1, "soon", None, float("nan"), [1], "5 parsecs"])
def test_what_is_no_time_is_refused_by_its_key(said):
    with (
        dask.config.set({"softmax-xp.timeouts.pass": said}),
        pytest.raises(InvalidValueError, match=r"`softmax-xp\.timeouts\.pass` must be a time above 0"),
    ):
        timeout_of("pass")


def test_the_environment_says_it_too():
    code = "from softmax_xp.distributed.timeouts import timeout_of; print(timeout_of('pass'))"
    given = {"PYTHONPATH": str(ROOT), "DASK_SOFTMAX_XP__TIMEOUTS__PASS": "30m"}
    done = subprocess.run([sys.executable, "-c", code], env=environ | given, capture_output=True, text=True, check=True)
    assert done.stdout == "1800.0\n"


def test_the_tables_for_people_are_that_of_the_code():
    units = {"s": 1.0, "m": 60.0}
    document = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8").replace("|", " ")
    for text in (timeouts.__doc__, document):
        lines = [line.replace("`", " ").split() for line in text.splitlines()]
        rows = [cells for cells in lines if cells and cells[0].startswith("softmax-xp.timeouts.")]
        assert {key.rpartition(".")[2]: float(n) * units[unit] for key, n, unit, *_ in rows} == TIMEOUTS
