# SPDX-License-Identifier: BSD-3-Clause
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from benchmarks import solvers
from benchmarks.datasets import Data
from benchmarks.fits import LADDER, OutOfTimeError, Pace
from benchmarks.our_fit import OurFit
from benchmarks.solvers import CASES, Case
from softmax_xp.errors import DataNotFoundError

OURS = OurFit(seconds=0.1, objective=0.0, passes=5.0, n_iter=4, bound=1e-4, status="certified", solver="lbfgs")


@pytest.fixture
def toy(monkeypatch):
    random = np.random.default_rng(0)
    data = Data("toy", random.standard_normal((60, 4)), np.arange(60) % 3, is_badly_scaled=True)
    monkeypatch.setattr(solvers, "load", lambda name, data_dir: data)
    monkeypatch.setattr(solvers, "race_fits", lambda contestants, first, pace: {name: [1.0] for name in contestants})
    return data


def measure(**options):
    return solvers.measure("cpu", [Case("toy", 0.5)], ["float64"], pace=Pace(rounds=1), **options)


def test_each_peer_has_a_line_at_an_objective_that_is_no_worse(toy):
    table = measure()
    assert [line.record["solver"] for line in table.lines] == ["lbfgs", "newton-cg", "newton-cholesky"]
    for line in table.lines:
        record = line.record
        assert record["ours"]["objective"] <= record["peer"]["objective"] * (1 + 1e-9)
        assert record["tol"] in LADDER
        assert record["ours"]["bound"] <= record["tol"]
        assert record["met"] is (record["times_as_fast"]["median"] >= record["target"])
        assert line.cells["met"] == ("yes" if record["met"] else "no")
    assert table.lines[0].record["dtype"] == "float64"
    assert "sag: takes part with --sag only" in table.notes


def test_in_float32_an_objective_out_of_reach_is_said_to_be_so(toy):
    table = solvers.measure("cpu", [Case("toy", 0.5)], ["float32"], pace=Pace(rounds=1))
    assert {line.record["dtype"] for line in table.lines} == {"float32"}
    for line in table.lines:
        reached = line.record["ours"]["objective"] <= line.record["peer"]["objective"] * (1 + 1e-9)
        assert reached is (line.record["tol"] is not None)


def test_the_stochastic_solvers_take_part_when_asked(toy):
    peers = {line.record["solver"]: line.record["peer"] for line in measure(with_sag=True).lines}
    assert peers["saga"]["passes"]["products"] == 2 * peers["saga"]["n_iter"]


def test_data_that_are_missing_are_skipped_with_the_reason(monkeypatch):
    def load(name, data_dir):
        msg = f"not in {data_dir}"
        raise DataNotFoundError(msg)

    monkeypatch.setattr(solvers, "load", load)
    table = measure(data_dir="here")
    assert "toy: skipped, not in here" in table.notes
    assert "skipped" in str(table)


def test_a_peer_that_is_stopped_gives_a_lower_bound(toy, monkeypatch):
    fit_peer = solvers._Race._fit_peer

    def stop_the_default(self, solver):
        if solver == "lbfgs":
            msg = "more than 30 s"
            raise OutOfTimeError(msg)
        return fit_peer(self, solver)

    monkeypatch.setattr(solvers._Race, "_fit_peer", stop_the_default)
    table = measure(budget_seconds=30.0)
    line = table.lines[0]
    assert line.record["is_lower_bound"]
    assert line.record["tol"] <= 1e-6
    assert (line.cells["time"], line.cells["times as fast (range)"]) == ("> 30 s", "> 30.0x")
    assert any(note.startswith("lbfgs on toy float64 C=0.5: stopped, more than 30 s") for note in table.notes)


def test_an_objective_that_is_not_reached_is_no_success(toy, monkeypatch):
    monkeypatch.setattr(solvers, "fit_ours", lambda *arguments: replace(OURS, objective=9.0))
    line = measure().lines[0]
    assert line.cells["ours: tol"] == "not reached"
    assert (line.record["times_as_fast"], line.record["met"]) == (None, False)
    assert line.record["ours"]["objective"] == 9.0


def test_ours_out_of_time_is_no_success(toy, monkeypatch):
    def stop(*arguments):
        msg = "more than 30 s"
        raise OutOfTimeError(msg)

    monkeypatch.setattr(solvers, "fit_ours", stop)
    line = measure().lines[0]
    assert (line.cells["our time"], line.record["ours"], line.record["met"]) == ("-", None, False)
    monkeypatch.setattr(solvers._Race, "_fit_peer", stop)
    assert [line.record["met"] for line in measure().lines] == [False] * 3


def test_each_tolerance_is_timed_once_and_the_fastest_peer_is_the_best(toy, monkeypatch):
    raced = {}

    def race(contestants, first, pace):
        raced.update(first)
        return {name: [{"lbfgs": 8.0, "newton-cg": 3.0}.get(name, 4.0)] for name in contestants}

    monkeypatch.setattr(solvers, "race_fits", race)
    monkeypatch.setattr(solvers, "fit_ours", lambda *arguments: OURS)
    table = measure()
    assert sorted(raced) == ["lbfgs", "newton-cg", "newton-cholesky", "ours 1e-01"]
    assert [line.record["role"] for line in table.lines] == ["default", "best", ""]
    assert [line.record["target"] for line in table.lines] == [10.0, 3.0, 1.0]
    assert [line.record["times_as_fast"]["median"] for line in table.lines] == [2.0, 0.75, 1.0]
    assert [line.cells["met"] for line in table.lines] == ["no", "no", "yes"]


@pytest.mark.parametrize(
    ("role", "is_badly_scaled", "target"),
    [
        ("default", False, 5.0),
        ("default, best", False, 5.0),
        ("default, best", True, 10.0),
        ("best", True, 3.0),
        ("", False, 1.0),
    ],
)
def test_the_targets_are_those_of_the_project(role, is_badly_scaled, target):
    assert solvers._target(role, is_badly_scaled=is_badly_scaled) == target


def test_a_default_that_is_the_fastest_has_both_roles():
    assert solvers._roles({"lbfgs": [1.0], "newton-cg": [2.0]}, []) == {"lbfgs": "default, best", "newton-cg": ""}


def test_the_cases_of_the_project_are_there():
    dense = ["digits", "wine", "letter", "shuttle", "embeddings-26", "embeddings-1500"]
    assert set(map(partial(Case, C=1.0), [*dense, "glosses", "fashion-mnist"])) | {Case("fashion-mnist", 0.01)} == set(
        CASES
    )
