# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
from sklearn.datasets import load_wine

from benchmarks import grid
from benchmarks.fits import OutOfTimeError, Pace, mean_objective
from benchmarks.grid import CASES, Case, GridFit
from softmax_xp.errors import DataNotFoundError

WINE = Case("wine", 100.0, 120, 4, 2)


@pytest.fixture
def two_peers(monkeypatch):
    """Starting processes for n_jobs takes longer than these fits."""
    peers = {name: peer for name, peer in grid.PEERS.items() if peer[1] is None}
    monkeypatch.setattr(grid, "PEERS", peers)


@pytest.fixture
def toy(monkeypatch):
    random = np.random.default_rng(0)
    y = np.arange(120) % 3
    data = grid.Data("toy", random.standard_normal((120, 4)) + (y == 0)[:, None], y)
    monkeypatch.setattr(grid, "load", lambda name, data_dir: data)


def test_a_small_grid(two_peers, toy):
    table = grid.measure("cpu", [Case("toy", 1.0, 90, 4, 2)], pace=Pace(rounds=1))
    assert [line.record["peer"] for line in table.lines] == ["newton-cg", "lbfgs"]
    for line in table.lines:
        record = line.record
        assert record["shape"] == [90, 4, 3]
        assert record["our_objective"] <= record["peer_objective"] * (1 + 1e-9)
        assert record["our_C"] == pytest.approx(record["peer_C"])
        assert record["met"] is (record["times_as_fast"]["median"] >= 5.0)


def test_a_faster_grid_that_chooses_another_strength_has_not_met_the_target():
    case = grid._Grid(WINE, grid.load("wine"), "accuracy", "cpu", 1.0, Pace(), [])
    peer, ours = GridFit(1.0, np.full((2, 4), 0.5), 1.0), GridFit(0.1, np.full((2, 4), 0.5), 10.0)
    seconds = {"newton-cg": [1.0], "ours 1e-03": [0.1]}
    line = case._line("newton-cg", peer, 1e-3, {1e-3: ours}, seconds)
    assert (line.record["times_as_fast"]["median"], line.record["met"]) == (10.0, False)
    same = GridFit(0.1, np.full((2, 4), 0.5), 1.0)
    assert case._line("newton-cg", peer, 1e-3, {1e-3: same}, seconds).record["met"]


def test_the_worst_head_is_shown():
    case = grid._Grid(WINE, grid.load("wine"), "accuracy", "cpu", 1.0, Pace(), [])
    peer, ours = GridFit(1.0, np.array([[0.5, 1.0]]), 1.0), GridFit(0.1, np.array([[0.6, 0.8]]), 1.0)
    line = case._line("newton-cg", peer, 1e-3, {1e-3: ours}, {"newton-cg": [1.0], "ours 1e-03": [0.5]})
    assert line.record["worst_head"] == pytest.approx(0.2)
    assert line.record["our_objective"] < line.record["peer_objective"]


def test_each_head_has_the_objective_of_its_own_rows_and_strength(two_peers):
    X, y = load_wine(return_X_y=True)
    case = grid._Grid(WINE, grid.Data("wine", X, y), "accuracy", "cpu", 60.0, Pace(), [])
    splits = [(np.arange(0, 178, 2), np.arange(1, 178, 2)), (np.arange(1, 178, 2), np.arange(0, 178, 2))]
    peer = case._peer("newton-cg", splits)
    fit = case._fit("newton-cg", peer, splits)
    assert fit.objectives.shape == (2, 4)
    coefficients = peer.coefs_paths_[1, 0, 2]
    expected = mean_objective(X[1::2], y[1::2], coefficients[:, :-1], coefficients[:, -1], WINE.Cs[2])
    assert fit.objectives[1, 2] == expected


def test_peers_out_of_time_and_missing_data_are_left_out_with_the_reason(monkeypatch):
    def stop(self, name, model, splits):
        msg = "more than 1 s"
        raise OutOfTimeError(msg)

    monkeypatch.setattr(grid._Grid, "_fit", stop)
    table = grid.measure("cpu", [WINE])
    assert not table.lines
    assert any(note.endswith("left out, it needs more than 1 s") for note in table.notes)

    def load(name, data_dir):
        msg = "not installed"
        raise DataNotFoundError(msg)

    monkeypatch.setattr(grid, "load", load)
    assert "wine: skipped, not installed" in grid.measure("cpu", [WINE]).notes


def test_the_grids_of_the_project_are_there():
    assert [(case.data, case.n_strengths, case.n_folds) for case in CASES] == [
        ("digits", 45, 5),
        ("digits", 45, 5),
        ("embeddings-26", 15, 3),
    ]
    assert {name: target for name, (_, _, target) in grid.PEERS.items()} == {
        "newton-cg": 5.0,
        "newton-cg, n_jobs=-1": 1.0,
        "lbfgs": 5.0,
    }
