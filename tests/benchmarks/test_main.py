# SPDX-License-Identifier: BSD-3-Clause
import json
import sys
from types import MappingProxyType

import pytest

from benchmarks import __main__ as command
from benchmarks.report import Line, Table
from softmax_xp.errors import DeviceUnavailableError

CALLS = []


@pytest.fixture
def toys(monkeypatch):
    def toy(name):
        def measure(device, is_quick):
            CALLS.append((name, device, is_quick))
            return Table(name, f"Title of {name}", [Line({"what": "a"}, {"ratio": 1.5})])

        return measure

    CALLS.clear()
    monkeypatch.setattr(command, "BENCHMARKS", MappingProxyType({name: toy(name) for name in ("first", "second")}))


def test_all_benchmarks_run_and_the_numbers_are_written(toys, tmp_path, capsys):
    path = tmp_path / "results" / "toy.json"
    command.main(["--quick", "--json", str(path)])
    assert CALLS == [("first", "cpu", True), ("second", "cpu", True)]
    printed = capsys.readouterr().out
    assert printed.index("processor") < printed.index("Title of first") < printed.index("Title of second")
    assert "they measure nothing" in printed
    report = json.loads(path.read_text(encoding="utf-8"))
    assert (report["device"], report["quick"]) == ("cpu", True)
    assert report["machine"]["cores"] >= 1
    assert [table["name"] for table in report["tables"]] == ["first", "second"]
    assert report["tables"][0]["lines"] == [{"ratio": 1.5}]


def test_one_benchmark_can_be_named(toys, capsys):
    assert list(command.main(["second"])) == ["second"]
    assert CALLS == [("second", "cpu", False)]
    assert "they measure nothing" not in capsys.readouterr().out


def test_an_unknown_name_lists_the_known_ones(toys, capsys):
    with pytest.raises(SystemExit):
        command.main(["third"])
    assert "unknown benchmark third; there are first, second" in capsys.readouterr().err


def test_a_device_that_is_missing_stops_before_anything_is_measured(toys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceUnavailableError, match="needs CuPy"):
        command.main(["--device", "cuda"])
    assert not CALLS


def test_the_four_benchmarks_are_there():
    assert list(command.BENCHMARKS) == ["full_batch", "minibatch_step", "epoch", "import_time"]
