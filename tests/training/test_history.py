# SPDX-License-Identifier: BSD-3-Clause
"""The history's table, dictionary and data frame."""

import copy
import json
import math
import pickle
import sys

import pytest

from softmax_xp.errors import InvalidValueError, MissingDependencyError
from softmax_xp.training.history import History

ROWS = [{"epoch": 0, "loss": 0.5}, {"epoch": 1, "loss": 12345.0, "late": 1e-5}]


@pytest.fixture
def history():
    history = History()
    for row in ROWS:
        history.append(row)
    return history


def test_it_is_a_table(history):
    assert len(history) == 2
    assert list(history) == history.rows == ROWS
    assert history.columns == ("epoch", "loss", "late")
    assert history["loss"] == [0.5, 12345.0]
    assert repr(history) == "History(2 epochs, completed)"


def test_a_cell_that_a_row_lacks_is_nan(history):
    late = history["late"]
    assert math.isnan(late[0])
    assert late[1] == 1e-5
    assert "nan" in str(history)


def test_a_row_is_copied():
    row = {"epoch": 0}
    history = History()
    history.append(row)
    row["epoch"] = 7
    assert history["epoch"] == [0]


def test_it_prints_in_columns(history):
    assert str(history).splitlines() == [
        "   epoch      loss      late",
        "       0    0.5000       nan",
        "       1  1.23e+04  1.00e-05",
    ]


def test_an_unknown_column_is_an_error_that_names_the_others(history):
    with pytest.raises(InvalidValueError, match="`column` must be one of epoch, loss, late; got 'accuracy'."):
        history["accuracy"]


def test_as_a_dictionary_it_goes_to_json():
    table = History([{"epoch": 0, "loss": 0.5}, {"epoch": 1, "loss": 0.25}]).to_dict()
    assert json.loads(json.dumps(table)) == {"epoch": [0, 1], "loss": [0.5, 0.25]}


def test_as_a_frame_it_has_a_row_for_each_epoch(history):
    pytest.importorskip("pandas")
    frame = history.to_frame()
    assert list(frame.columns) == ["epoch", "loss", "late"]
    assert frame.shape == (2, 3)
    assert frame["loss"].tolist() == [0.5, 12345.0]


def test_without_pandas_the_error_says_what_to_install(history, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        MissingDependencyError, match=r"`to_frame` needs pandas.*Use `to_dict`, or .*pip install pandas"
    ):
        history.to_frame()


def test_an_empty_one_still_prints():
    history = History()
    assert (len(history), history.columns, history.to_dict()) == (0, (), {})
    assert str(history) == ""
    assert repr(history) == "History(0 epochs, completed)"


def test_it_copies_and_pickles(history):
    history.status = "stopped"
    for twin in (copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert twin.rows == history.rows
        assert twin.status == "stopped"
