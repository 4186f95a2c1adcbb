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
        def measure(options):
            CALLS.append((name, options.device, options.quick))
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


def test_what_was_finished_is_written_although_the_next_benchmark_fails(toys, monkeypatch, tmp_path):
    def fail(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "BENCHMARKS", MappingProxyType({**command.BENCHMARKS, "third": fail}))
    with pytest.raises(KeyboardInterrupt):
        command.main(["first", "third", "--json", str(tmp_path / "toy.json")])
    report = json.loads((tmp_path / "toy.json").read_text(encoding="utf-8"))
    assert [table["name"] for table in report["tables"]] == ["first"]


def test_what_takes_an_hour_runs_only_by_name(toys, monkeypatch):
    monkeypatch.setattr(command, "ALONE", frozenset({"second"}))
    assert list(command.main([])) == ["first"]
    assert list(command.main(["second"])) == ["second"]


def test_unknown_data_list_the_known_ones(toys, capsys):
    with pytest.raises(SystemExit):
        command.main(["--data", "mnist"])
    assert "unknown data mnist; there are digits, wine, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["solvers", "--quick"], {"digits", "wine"}),
        (["solvers", "--data", "wine", "letter"], {"wine", "letter"}),
        (["solvers", "--quick", "--data", "shuttle"], {"shuttle"}),
        (["grid", "--quick"], {"digits"}),
        (["grid", "--data", "embeddings-26"], {"embeddings-26"}),
    ],
)
def test_data_are_chosen_by_name(monkeypatch, arguments, names):
    chosen = {}

    def measure(device, cases, *arguments, **options):
        chosen.update(options, names={case.data for case in cases})
        return Table("toy", "Toy", [Line({"what": "a"}, {})])

    monkeypatch.setattr(command.solvers_benchmark, "measure", measure)
    monkeypatch.setattr(command.grid, "measure", measure)
    command.main([*arguments, "--data-dir", "here", "--budget", "7"])
    assert chosen["names"] == names
    assert (str(chosen["data_dir"]), chosen["budget_seconds"]) == ("here", 7.0)


def test_memory_and_scaling_take_their_sizes_from_the_options(monkeypatch):
    calls = []

    def measure(*arguments):
        calls.append(arguments)
        return Table("toy", "Toy", [Line({"what": "a"}, {})])

    monkeypatch.setattr(command.fit_memory, "measure", measure)
    monkeypatch.setattr(command.scaling, "measure", measure)
    command.main(["memory", "--data", "random", "--dtype", "float64"])
    command.main(["memory", "scaling", "--quick"])
    assert calls[0] == ("cpu", ["random 200000 x 200 x 10"], ["float64"])
    assert calls[1] == ("cpu", ["random 20000 x 50 x 5"], ("float32", "float64"))
    assert calls[2][:3] == ("cpu", (500, 200, 10), ("float32", "float64"))


def test_the_benchmarks_are_there():
    short = ["full_batch", "minibatch_step", "sparse_pass", "epoch", "import_time"]
    assert list(command.BENCHMARKS) == [*short, "solvers", "grid", "memory", "scaling", "out_of_core"]
    assert set(command.BENCHMARKS) - set(short) == command.ALONE
