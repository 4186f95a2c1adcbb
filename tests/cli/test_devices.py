# SPDX-License-Identifier: BSD-3-Clause
"""`softmax-xp devices`."""

import json

import pytest

from softmax_xp.devices import DeviceReport


@pytest.fixture(autouse=True)
def _reports(monkeypatch):
    reports = (
        DeviceReport("cpu", "numpy", True, "numpy 2.4", ""),
        DeviceReport("cuda", "cupy", False, "`device` 'cuda' needs\n  CuPy.", "pip install 'softmax-xp[cuda13]'"),
        DeviceReport("torch:mps", "torch", False, "PyTorch has no MPS.", ""),
    )
    monkeypatch.setattr("softmax_xp.cli.devices.device_reports", lambda: reports)


def test_one_line_for_each(run):
    assert run("devices").stdout.splitlines() == [
        "cpu        yes  numpy 2.4",
        "cuda       no   `device` 'cuda' needs CuPy. Install it with: pip install 'softmax-xp[cuda13]'",
        "torch:mps  no   PyTorch has no MPS.",
    ]


def test_json(run):
    reports = json.loads(run("devices", "--json").stdout)
    assert reports[0] == {"device": "cpu", "library": "numpy", "usable": True, "reason": "numpy 2.4", "install": ""}
    assert [report["usable"] for report in reports] == [True, False, False]
    assert reports[1]["install"] == "pip install 'softmax-xp[cuda13]'"


def test_of_this_machine(run, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("softmax_xp.devices.LIBRARIES", {"cpu": __import__("softmax_xp").devices.LIBRARIES["cpu"]})
    (report,) = json.loads(run("devices", "--json").stdout)
    assert report["device"] == "cpu"
    assert report["reason"].startswith("numpy 2.")
