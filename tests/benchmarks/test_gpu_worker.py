# SPDX-License-Identifier: BSD-3-Clause
import json
import logging
from time import time
from types import MappingProxyType

import pytest

from benchmarks import gpu_worker
from benchmarks.gpu_predictions import PREDICTIONS, TARGETS
from benchmarks.gpu_worker import BROKEN, SECTIONS, UNAVAILABLE, Section


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run sections, and return the status and the events."""

    def run(sections=None, **changes):
        if sections is not None:
            monkeypatch.setattr(gpu_worker, "SECTIONS", MappingProxyType(sections))
        request = {
            "device": "cpu",
            "quick": True,
            "compile": False,
            "sections": list(sections or SECTIONS),
            "measured": {},
            "deadline": time() + 60.0,
            "events": str(tmp_path / "events"),
        }
        status = gpu_worker.main(request | changes)
        return status, [json.loads(line) for line in (tmp_path / "events").read_text(encoding="utf-8").splitlines()]

    return run


def ended(events):
    return {event["name"]: event["section"] for event in events if event["event"] == "end"}


def test_every_section_runs_on_a_cpu(run):
    status, events = run()
    assert status == 0
    assert list(ended(events)) == list(SECTIONS)
    assert not [section["failure"] for section in ended(events).values() if section["failure"]]
    measured = events[-1]["measured"]
    assert (
        {"copy_bandwidth", "small_ratio", "large_ratio_float32", "epoch_ours"} <= measured.keys() <= PREDICTIONS.keys()
    )
    assert all(value > 0 for value in measured.values())
    notes = [note for section in ended(events).values() for note in section["notes"] if "failed" in note]
    # What another version of the package may lack.
    assert all("No module named 'softmax_xp." in note or "ours, fused" in note for note in notes)


def test_a_section_that_fails_is_reported_and_the_next_one_runs(run):
    def fail(bench):
        bench.title("Half done")
        bench.add({"who": "ours"}, seconds=1.0)
        bench.measured["copy_bandwidth"] = 2.5
        msg = "no luck"
        raise RuntimeError(msg)

    def work(bench):
        assert bench.measured["copy_bandwidth"] == 2.5
        bench.wrong.add("small")

    status, events = run({"first": Section(fail, 5), "second": Section(work, 5)})
    assert status == 0
    assert ended(events)["first"]["failure"] == "RuntimeError: no luck"
    assert ended(events)["first"]["cells"] == [{"who": "ours"}]
    assert ended(events)["second"]["failure"] == ""
    assert events[-1]["wrong"] == ["small"]
    kinds = [event["event"] for event in events]
    assert kinds == ["machine", "begin", "progress", "end", "begin", "end"]


def test_a_broken_device_ends_the_process(run, monkeypatch):
    monkeypatch.setattr(gpu_worker.Bench, "is_healthy", lambda self: False)
    status, events = run({"first": Section(lambda bench: None, 5), "second": Section(lambda bench: None, 5)})
    assert status == BROKEN
    assert list(ended(events)) == ["first"]


@pytest.mark.parametrize(
    ("changes", "reason"), [({"device": "cuda:99"}, "`device`"), ({"quick": False}, "must be a CUDA device")]
)
def test_a_device_that_is_missing_is_said_to_be_so(run, changes, reason):
    status, events = run({"first": Section(pytest.fail, 5)}, **changes)
    assert status == UNAVAILABLE
    assert [event["event"] for event in events] == ["unavailable"]
    assert reason in events[0]["reason"]


def test_a_section_gets_its_own_time_and_no_more_than_the_run_has_left(run):
    left = []
    sections = {"first": Section(lambda bench: left.append(bench.seconds_left()), 5)}
    run(sections)
    run(sections, deadline=time() + 1.0)
    assert 4.0 < left[0] <= 5.0
    assert 0.0 < left[1] <= 1.0


def test_a_warning_of_the_package_becomes_a_note(run):
    def warn(bench):
        logging.getLogger("softmax_xp").warning("The graph was not captured (%s).", "why")

    _, events = run({"first": Section(warn, 5)})
    assert ended(events)["first"]["notes"] == ["softmax_xp warned: The graph was not captured (why)."]
    assert not [handler for handler in logging.getLogger("softmax_xp").handlers if "Notes" in type(handler).__name__]


def test_what_must_be_right_comes_first_and_the_whole_fits_its_time():
    names = list(SECTIONS)
    assert all(name.endswith("_errors") for name in names[:3])
    assert names.index("ceilings") < min(names.index(target.subject) for target in TARGETS)
    # 440 s for all, of which the start of a process may take 30.
    assert sum(section.seconds for section in SECTIONS.values()) <= 410
