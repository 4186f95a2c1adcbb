# SPDX-License-Identifier: BSD-3-Clause
from benchmarks import import_time


def test_both_imports_are_timed_apart():
    table = import_time.measure(runs=1)
    seconds = table.lines[0].record["seconds"]
    assert seconds["numpy"] > 0
    assert seconds["softmax_xp"] > 0
    assert table.lines[0].cells["met"] == ("yes" if seconds["softmax_xp"] < 0.25 else "no")


def test_the_median_is_reported_and_the_first_run_is_left_out(monkeypatch):
    pairs = iter([(9.0, 9.0), (0.1, 0.2), (0.1, 0.7), (0.1, 0.3)])
    monkeypatch.setattr(import_time, "_one_import", lambda: next(pairs))
    record = import_time.measure(runs=3).lines[0].record
    assert record["seconds"] == {"numpy": 0.1, "softmax_xp": 0.3}
    assert record["range"] == [0.2, 0.7]
    assert record["met"] is False
