# SPDX-License-Identifier: BSD-3-Clause
import sys

import pytest

from benchmarks import sparse_pass
from benchmarks.timing import Effort

ONE_CALL = Effort(rounds=1, block_seconds=0.0, settle_seconds=0.0)
SHAPE = sparse_pass.SparseShape(50, 200, 3, 10, "float64")


def test_all_take_part_and_the_verdict_is_that_of_the_ratio():
    record = sparse_pass.measure(ONE_CALL, [SHAPE]).lines[0].record
    assert record["seconds"].keys() == {"products", "softmax_xp", "scikit-learn"}
    assert record["met"] is (record["times_as_fast"]["median"] >= 1.7)
    assert 1 < record["entries_of_a_row"] < SHAPE.entries


def test_without_scikit_learns_own_loss_the_comparison_is_skipped(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn._loss", None)  # importing it now raises ImportError
    table = sparse_pass.measure(ONE_CALL, [SHAPE])
    assert table.lines[0].record["met"] is None
    assert table.lines[0].cells["times as fast as scikit-learn (range)"] == "skipped"
    assert table.notes[0].startswith("scikit-learn: skipped, ")


def test_a_peer_that_computes_something_else_stops_the_benchmark(monkeypatch):
    monkeypatch.setattr(sparse_pass.sx, "L2", lambda _: None)
    monkeypatch.setattr(sparse_pass, "_L2", 10.0)
    with pytest.raises(AssertionError, match="scikit-learn computes something else"):
        sparse_pass.measure(ONE_CALL, [SHAPE])


def test_the_target_is_that_of_the_project():
    assert sparse_pass.TARGET == 1.7
