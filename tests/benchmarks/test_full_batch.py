# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

import softmax_xp as sx
from benchmarks import full_batch
from benchmarks.full_batch import SHAPES, Shape
from benchmarks.textbook import textbook_softmax_loss
from benchmarks.timing import Effort

ONE_CALL = Effort(rounds=1, block_seconds=0.0, settle_seconds=0.0)
TINY = [Shape(40, 6, 3, "float32"), Shape(30, 5, 200, "float64")]


def test_each_shape_has_a_line_with_ratio_target_and_peers():
    table = full_batch.measure("cpu", ONE_CALL, TINY)
    assert [line.record["n_samples"] for line in table.lines] == [40, 30]
    for line in table.lines:
        assert line.cells["met"] == ("yes" if line.record["ratio"]["median"] <= full_batch.TARGET else "no")
        assert {"products", "softmax_xp", "textbook", "scikit-learn"} <= line.record["seconds"].keys()
        assert line.cells["scikit-learn"].count("(") == 1


def test_the_shapes_of_the_target_are_all_there():
    assert [tuple(shape) for shape in SHAPES] == [
        (60000, 784, 10, "float32"),
        (60000, 784, 10, "float64"),
        (50000, 768, 100, "float32"),
        (20000, 768, 1000, "float32"),
        (20000, 384, 1000, "float32"),
    ]


def test_a_peer_that_computes_something_else_stops_the_benchmark(monkeypatch):
    def wrong(W, X, y, reg, *, xp):
        loss, dW = textbook_softmax_loss(W, X, y, reg, xp=xp)
        return loss, dW * 1.001

    monkeypatch.setattr(full_batch, "textbook_softmax_loss", wrong)
    with pytest.raises(AssertionError, match="textbook computes something else"):
        full_batch.measure("cpu", ONE_CALL, TINY[:1])


def test_a_scikit_learn_without_the_private_objective_is_skipped_with_the_reason(monkeypatch):
    monkeypatch.delattr("sklearn._loss.HalfMultinomialLoss")
    table = full_batch.measure("cpu", ONE_CALL, TINY[:1])
    assert "scikit-learn" not in table.lines[0].cells
    assert any(note.startswith("scikit-learn: skipped, ") for note in table.notes)


def test_the_listing_agrees_with_the_package():
    random = np.random.default_rng(0)
    W, X, y = random.standard_normal((4, 3)), random.standard_normal((10, 4)), random.integers(0, 3, 10)
    loss, dW = textbook_softmax_loss(W, X, y, 0.1, xp=np)
    expected_loss, expected_dW = sx.softmax_loss(W, X, y, 0.1)
    assert float(loss) == pytest.approx(float(expected_loss))
    np.testing.assert_allclose(dW, expected_dW, rtol=1e-12, atol=1e-15)
