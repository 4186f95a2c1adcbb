# SPDX-License-Identifier: BSD-3-Clause
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu_predictions import PREDICTIONS
from benchmarks.gpu_report import PREDICTIONS_FILE, figure, file_stem, predictions_markdown, report_markdown

RESULTS = Path(gpu.__file__).parent / "results"


def report(**changes):
    section = {
        "name": "small",
        "title": "Few classes",
        "cells": [{"who": "ours", "host": "1 ms"}, {"who": "a | b", "extra": "x"}],
        "notes": ["PyTorch: skipped,\nnone"],
        "failure": "",
    }
    whole = {
        "device_name": "NVIDIA H100 80GB HBM3",
        "date": "2026-12-24T18:00:00+00:00",
        "quick": False,
        "only": [],
        "machine": {"device": "NVIDIA H100 80GB HBM3", "multiprocessors": 132},
        "measured": {"small_ratio": 1.25, "epoch_ours": 3.14159},
        "wrong": [],
        "sections": [section],
    }
    return whole | changes


def row(text, start):
    return next(line for line in text.splitlines() if line.startswith(f"| {start}"))


def test_the_committed_predictions_are_those_of_the_code():
    committed = (RESULTS / PREDICTIONS_FILE).read_text(encoding="utf-8")
    assert committed == predictions_markdown(), "run `python -m benchmarks.gpu --predictions`"


def test_the_predictions_claim_nothing():
    text = predictions_markdown()
    judged = [line.split(" | ")[-1].strip(" |") for line in text.split("## Predicted")[0].splitlines() if ">=" in line]
    assert set(judged) == {"", "not measured"}
    for prediction in PREDICTIONS.values():
        assert row(text, prediction.what).split("|")[4].strip() == ""


def test_measurements_stand_beside_predictions_with_verdicts():
    text = report_markdown(report())
    assert text.startswith("# GPU benchmark: NVIDIA H100 80GB HBM3, 2026-12-24\n")
    assert row(text, "full batch of 10 classes within").endswith("| 1.08 to 1.28 | 1.25 | met |")
    assert row(text, PREDICTIONS["epoch_ours"].what).split("|")[3:5] == [" 2.3 to 3.8 ", " 3.14 "]
    assert row(text, "multiprocessors") == "| multiprocessors | 132 |"


def test_a_section_shows_its_table_and_what_was_left_out():
    text = report_markdown(report())
    assert "| who | host | extra |\n| --- | --- | --- |\n| ours | 1 ms | - |\n| a \\| b | - | x |\n" in text
    assert "\n- PyTorch: skipped, none\n" in text
    assert "Not finished" not in text


def test_a_section_that_failed_says_why():
    failed = report()["sections"][0] | {"failure": "RuntimeError: an illegal memory access", "title": "", "cells": []}
    text = report_markdown(report(sections=[failed]))
    assert "## small\n\n**Not finished: RuntimeError: an illegal memory access**\n" in text


def test_wrong_results_are_no_success():
    text = report_markdown(report(wrong=["small"]))
    assert "**Wrong results: small. Its times stand for nothing.**" in text
    assert row(text, "full batch of 10 classes within").endswith("| missed: wrong result |")


def test_a_quick_run_is_not_held_against_anything():
    text = report_markdown(report(quick=True))
    assert "they measure nothing" in text
    assert "## Targets" not in text
    assert "predicted" not in text


@pytest.mark.parametrize(
    ("changes", "stem"),
    [
        ({}, "2026-12-24-gpu-nvidia-h100-80gb-hbm3"),
        ({"quick": True}, "2026-12-24-gpu-nvidia-h100-80gb-hbm3-quick"),
        ({"only": ["small", "many"]}, "2026-12-24-gpu-nvidia-h100-80gb-hbm3-small-many"),
    ],
)
def test_a_part_of_a_run_does_not_overwrite_a_whole_one(changes, stem):
    assert file_stem(report(**changes)) == stem


@pytest.mark.parametrize(("value", "text"), [(None, ""), (0.7912, "0.791"), (14.26, "14.3"), (1234.4, "1234")])
def test_figures_have_three_digits(value, text):
    assert figure(value) == text
