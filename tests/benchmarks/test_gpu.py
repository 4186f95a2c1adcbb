# SPDX-License-Identifier: BSD-3-Clause
import json
import sys
import textwrap
from types import MappingProxyType

import pytest

from benchmarks import gpu
from benchmarks.gpu_report import PREDICTIONS_FILE, predictions_markdown
from benchmarks.gpu_worker import Section

PREAMBLE = """
import json, os, sys, time
request = json.loads(sys.argv[1])
def say(**event):
    with open(request["events"], "a") as file:
        file.write(json.dumps(event) + "\\n")
def section(name, *cells):
    return {"name": name, "title": name, "lines": [], "cells": list(cells), "notes": [], "failure": ""}
def begin(name):
    say(event="begin", name=name, seconds=0.0)
def end(name):
    say(event="end", name=name, section=section(name), measured={name: 1.0}, wrong=[])
say(event="machine", machine={"device": "Toy GPU"})
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Let a script of a few lines take the place of the measuring process."""

    def install(script, names=("first", "second", "third")):
        path = tmp_path / "worker.py"
        path.write_text(PREAMBLE + textwrap.dedent(script), encoding="utf-8")
        monkeypatch.setattr(gpu, "_WORKER", (sys.executable, str(path)))
        monkeypatch.setattr(gpu, "_POLL_SECONDS", 0.01)
        monkeypatch.setattr(gpu, "SECTIONS", MappingProxyType({name: Section(pytest.fail, 1) for name in names}))

    return install


def failures(report):
    return {section["name"]: section["failure"] for section in report["sections"]}


def test_a_run_writes_its_numbers_as_json_and_markdown(tmp_path, capsys):
    report = gpu.main(["--device", "cpu", "--quick", "--out", str(tmp_path), "call_cost", "update"])
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text(encoding="utf-8"))["sections"] == report["sections"]
    assert path.name.endswith("-call_cost-update-quick.json")
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "## What one call costs the processor, on cpu" in text
    printed = capsys.readouterr().out
    assert text in printed
    assert printed.index("call_cost ...") < printed.index("update ...")
    assert failures(report) == {"call_cost": "", "update": ""}


def test_after_a_crash_the_next_process_goes_on_with_the_next_section(worker):
    worker("""
        for name in request["sections"]:
            begin(name)
            if name == "second":
                say(event="progress", name=name, section=section(name, {"who": "ours"}), measured={}, wrong=["small"])
                print("illegal memory access", flush=True)
                os._exit(7)
            assert request["measured"] == ({} if name == "first" else {"first": 1.0})
            end(name)
    """)
    report = gpu.main(["--quick"])
    reason = "its process ended with status 7; illegal memory access"
    assert failures(report) == {"first": "", "second": reason, "third": ""}
    assert report["sections"][1]["cells"] == [{"who": "ours"}]
    assert report["measured"] == {"first": 1.0, "third": 1.0}
    assert report["wrong"] == ["small"]
    assert report["device_name"] == "Toy GPU"


def test_a_broken_device_costs_no_section_that_had_not_begun(worker):
    worker("""
        begin(request["sections"][0])
        end(request["sections"][0])
        sys.exit(3)
    """)
    assert failures(gpu.main(["--quick"])) == {"first": "", "second": "", "third": ""}


def test_a_section_that_hangs_is_stopped(worker, monkeypatch):
    monkeypatch.setattr(gpu, "_GRACE_SECONDS", 0.3)
    worker("""
        for name in request["sections"]:
            begin(name)
            if name == "first":
                time.sleep(60)
            end(name)
    """)
    assert failures(gpu.main(["--quick"])) == {"first": "stopped, it took too long", "second": "", "third": ""}


def test_a_process_that_cannot_begin_is_not_started_for_every_section(worker, capsys):
    worker('print("no such library"); sys.exit(1)')
    report = gpu.main(["--quick"])
    assert set(failures(report).values()) == {"its process ended with status 1; no such library"}


def test_when_the_time_is_spent_nothing_new_begins(worker, monkeypatch):
    monkeypatch.setattr(gpu, "_LEAST_SECONDS", 1.0)
    worker("""
        begin("first")
        time.sleep(0.5)
        end("first")
        os._exit(3)
    """)
    report = gpu.main(["--quick", "--budget", "1.3"])
    spent = "not started, the run's time is spent"
    assert failures(report) == {"first": "", "second": spent, "third": spent}


def test_what_was_finished_is_on_disk_while_the_rest_runs(worker, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(gpu, "_GRACE_SECONDS", 3.0)
    worker(f"""
        begin("first")
        end("first")
        begin("second")
        for _ in range(200):
            if os.path.isdir({str(out)!r}) and len(os.listdir({str(out)!r})) == 2:
                end("second")
                break
            time.sleep(0.01)
    """)
    report = gpu.main(["--quick", "--out", str(out), "first", "second"])
    assert failures(report) == {"first": "", "second": ""}


def test_without_the_device_nothing_is_written(tmp_path, capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--device", "cuda:99", "--out", str(tmp_path)])
    assert "nothing was measured: `device` " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_full_sizes_are_not_for_a_cpu(tmp_path, capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--device", "cpu", "--out", str(tmp_path)])
    assert "must be a CUDA device for the full sizes; got 'cpu'. Pass --quick" in capsys.readouterr().err


def test_an_unknown_section_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        gpu.main(["large", "larger"])
    assert "unknown section larger; there are cross_entropy_errors, " in capsys.readouterr().err


def test_the_predictions_are_written_without_a_gpu(tmp_path):
    assert gpu.main(["--predictions", "--out", str(tmp_path)]) is None
    assert (tmp_path / PREDICTIONS_FILE).read_text(encoding="utf-8") == predictions_markdown()


def test_the_whole_takes_less_than_eight_minutes():
    budget = gpu._parser().get_default("budget")
    assert budget + gpu._GRACE_SECONDS < 480
