# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest

from benchmarks import one_streamed_fit, out_of_core

SMALL = 4 * out_of_core.FEATURES * 2000


def answer(seconds=1.0, peak=500 << 20, coefficient=1.0, cached=True):
    return {"seconds": seconds, "peak_bytes": peak, "coefficients": [coefficient], "is_cached": cached}


def test_both_fits_are_made_and_agree(tmp_path):
    out_of_core.write_data(tmp_path, 2000)
    assert np.load(tmp_path / "X.npy").shape == (2000, out_of_core.FEATURES)
    fits = [one_streamed_fit.main({"folder": str(tmp_path), "form": form}) for form in ("storage", "memory")]
    assert fits[0]["coefficients"] == fits[1]["coefficients"]
    assert all(fit["seconds"] > 0 for fit in fits)


@pytest.mark.parametrize(
    ("storage", "memory", "met"),
    [
        (answer(1.0), answer(0.7), "yes"),
        (answer(1.0), answer(0.69), "no"),
        (answer(1.0, peak=601 << 20), answer(1.0), "no"),
        (answer(1.0, coefficient=1.0 + 2e-10), answer(1.0), "no"),
        (answer(1.0, peak=None), answer(1.0, peak=None), "yes"),
    ],
)
def test_each_target_counts(monkeypatch, tmp_path, storage, memory, met):
    monkeypatch.setattr(
        out_of_core, "_fresh_process", lambda request: {"storage": storage, "memory": memory}[request["form"]]
    )
    table = out_of_core.measure(SMALL, rounds=1, folder=tmp_path)
    assert [line.cells["met"] for line in table.lines] == [met]
    assert list(tmp_path.iterdir()) == []  # the file is gone


def test_what_does_not_fit_in_memory_is_compared_on_a_part(monkeypatch, tmp_path):
    monkeypatch.setattr(out_of_core, "_fresh_process", lambda request: answer())
    monkeypatch.setattr(out_of_core, "available_bytes", lambda: 3 * SMALL // 2)
    whole, part = out_of_core.measure(SMALL, folder=tmp_path).lines
    assert (whole.record["n_bytes"], part.record["n_bytes"]) == (SMALL, SMALL // 2)
    assert "speed" not in whole.record
    assert part.record["speed"] == 1.0


def test_a_cold_file_is_noted(monkeypatch, tmp_path):
    monkeypatch.setattr(out_of_core, "_fresh_process", lambda request: answer(cached=False))
    assert "the disk is part of the times" in out_of_core.measure(SMALL, folder=tmp_path).notes[-1]
    monkeypatch.setattr(one_streamed_fit, "_CACHED_SPEED", 1e18)
    (tmp_path / "file").write_bytes(bytes(1000))
    assert not one_streamed_fit._read_until_cached(tmp_path / "file")


def test_a_full_disk_is_said(tmp_path):
    assert "do not fit on the disk" in out_of_core.measure(1 << 60, folder=tmp_path).notes[0]


def test_the_targets_are_those_of_the_project():
    assert (out_of_core.MOST_BYTES, out_of_core.SPEED, out_of_core.LARGEST_DIFFERENCE) == (600 << 20, 0.7, 1e-10)
