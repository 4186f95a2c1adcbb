# SPDX-License-Identifier: BSD-3-Clause
import pytest

from benchmarks import epoch, memory, one_epoch
from softmax_xp.errors import DataNotFoundError


@pytest.fixture
def no_data(monkeypatch):
    def load():
        msg = "not installed"
        raise DataNotFoundError(msg)

    monkeypatch.setattr(one_epoch, "load_fashion_mnist", load)
    monkeypatch.setattr(one_epoch, "_FASHION_MNIST", (600, 12))


@pytest.mark.parametrize(("stored", "itemsize"), [("uint8", 1), ("float32", 4)])
def test_one_epoch_trains_on_what_it_was_asked_for(no_data, stored, itemsize):
    result = one_epoch.main({"device": "cpu", "stored": stored, "n_samples": 256})
    assert result["source"] == "synthetic"
    assert result["data_bytes"] == 256 * (12 * itemsize + 8)
    assert result["seconds"] > 0
    assert 0 <= result["train_accuracy"] <= 1


def test_a_table_takes_the_median_time_and_the_largest_memory(monkeypatch):
    answers = iter([_answer(seconds=3.0, memory=1.0), _answer(seconds=1.0, memory=1.3), _answer(seconds=2.0)] * 2)
    monkeypatch.setattr(epoch, "_fresh_process", lambda request: next(answers))
    table = epoch.measure("cpu", runs=3, n_samples=500)
    assert [line.record["stored"] for line in table.lines] == ["uint8", "float32"]
    for line in table.lines:
        assert (line.cells["epoch"], line.cells["memory/data"], line.cells["met"]) == ("2.00 s", "1.30", "no")
    assert any(note.startswith("synthetic: ") for note in table.notes)
    assert "first 500 images" in table.title


def test_a_system_that_does_not_count_memory_is_no_failure(monkeypatch):
    monkeypatch.setattr(epoch, "_fresh_process", lambda request: _answer(seconds=1.0, memory=None))
    line = epoch.measure("cpu", runs=1).lines[0]
    assert (line.cells["memory/data"], line.cells["met"], line.record["met"]) == ("not measured", "-", None)


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="KeyError"):
        epoch._fresh_process({})


def test_memory_that_is_written_to_is_counted():
    before = memory.resident_bytes()
    if before is None:
        pytest.skip("this system has no /proc")
    memory.forget_peak()
    block = bytearray(1 << 26)
    block[::4096] = b"1" * len(block[::4096])
    grown = memory.peak_bytes() - before
    assert grown > (1 << 26) * 0.9
    assert memory.device_pool_bytes("cpu") is None


def _answer(*, seconds, memory=1.1):
    return {
        "source": "synthetic",
        "seconds": seconds,
        "samples_per_second": 100.0,
        "train_accuracy": 0.5,
        "data_bytes": 1000,
        "memory_over_data": memory,
        "loading_over_data": memory,
        "is_loading_excluded": True,
    }
