# SPDX-License-Identifier: BSD-3-Clause
import pytest

from benchmarks import fit_memory, one_fit
from softmax_xp.errors import DataNotFoundError

RANDOM = "random 3000 x 20 x 4"


def request(**changes):
    return {"data": RANDOM, "dtype": "float32", "contestant": "auto", "device": "cpu"} | changes


@pytest.mark.parametrize("contestant", ["auto", "lbfgs", "scikit-learn"])
def test_one_fit_is_made_and_counted(contestant):
    result = one_fit.main(request(contestant=contestant))
    assert result["data_bytes"] == 3000 * (20 * 4 + 8)
    assert result["seconds"] > 0
    assert result["accuracy"] > 0.3


def test_named_data_are_loaded_in_the_dtype_asked_for():
    assert one_fit._data("wine", "float32").X.dtype == "float32"
    assert one_fit._data("wine", "float64").shape == "178 x 13 x 3"


def test_missing_data_are_an_answer(monkeypatch):
    def load(name):
        msg = "not installed"
        raise DataNotFoundError(msg)

    monkeypatch.setattr(one_fit, "load", load)
    assert one_fit.main(request(data="fashion-mnist")) == {"skipped": "not installed"}


def test_ours_is_held_against_the_target_and_the_peer_is_not(monkeypatch):
    answers = iter([_answer(1.10), _answer(1.16), _answer(1.5), _answer(None)])
    monkeypatch.setattr(fit_memory, "_fresh_process", lambda request: next(answers))
    table = fit_memory.measure("cpu", [RANDOM], ["float32"], ["auto", "lbfgs", "scikit-learn", "newton-cg"])
    assert [line.cells["met"] for line in table.lines] == ["yes", "no", "-", "-"]
    assert table.lines[3].cells["memory/data"] == "not measured"
    assert table.lines[0].cells["fit"] == "ours, auto"


def test_skipped_data_and_old_systems_are_noted(monkeypatch):
    answers = iter([{"skipped": "not installed"}, _answer(1.0, is_loading_excluded=False)])
    monkeypatch.setattr(fit_memory, "_fresh_process", lambda request: next(answers))
    table = fit_memory.measure("cpu", ["fashion-mnist"], contestants=["auto"])
    assert "fashion-mnist: skipped, not installed" in table.notes
    assert any(note.startswith("this system cannot forget a peak") for note in table.notes)


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="KeyError"):
        fit_memory._fresh_process({})


def test_the_target_is_that_of_the_project():
    assert fit_memory.TARGET == 1.15


def _answer(memory, *, is_loading_excluded=True):
    return {
        "seconds": 1.0,
        "accuracy": 0.5,
        "data_bytes": 10**6,
        "memory_over_data": memory,
        "is_loading_excluded": is_loading_excluded,
    }
