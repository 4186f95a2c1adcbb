# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from benchmarks import scaling
from benchmarks.fits import Pace


def test_each_size_is_held_against_the_smallest(monkeypatch):
    monkeypatch.setattr(scaling, "race_fits", lambda contestants, first, pace: {"1": [1.0], "4": [4.4], "16": [24.0]})
    table = scaling.measure("cpu", (30, 4, 3), ["float32"], Pace(rounds=1))
    assert [line.record["shape"] for line in table.lines] == [[30, 4, 3], [120, 4, 3], [480, 4, 3]]
    assert [line.record["per_sample"]["median"] for line in table.lines] == pytest.approx([1.0, 1.1, 1.5])
    assert [line.cells["met"] for line in table.lines] == ["yes", "yes", "no"]
    assert all(line.record["passes"] > 0 for line in table.lines)


def test_both_dtypes_are_measured():
    table = scaling.measure("cpu", (20, 3, 3), pace=Pace(rounds=1))
    assert [line.record["dtype"] for line in table.lines] == ["float32"] * 3 + ["float64"] * 3


def test_the_data_are_the_same_at_every_call_and_can_be_learned():
    data, again = (scaling.teacher_data(400, 5, 3, "float32") for _ in range(2))
    np.testing.assert_array_equal(data.X, again.X)
    np.testing.assert_array_equal(data.y, again.y)
    assert (data.X.dtype, data.n_classes) == (np.float32, 3)
    means = np.stack([data.X[data.y == label].mean(axis=0) for label in range(3)])
    assert (data.y == (data.X @ means.T).argmax(axis=1)).mean() > 0.5
