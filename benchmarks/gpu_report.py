# SPDX-License-Identifier: BSD-3-Clause
"""The GPU benchmark's report as Markdown: targets, predictions beside measurements, and every section's table."""

__all__ = ["PREDICTIONS_FILE", "figure", "file_stem", "predictions_markdown", "report_markdown"]

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.gpu_predictions import PREDICTIONS, TARGETS, Bound, Prediction, verdict

PREDICTIONS_FILE = "predictions-h100.md"


def figure(value: float | None) -> str:
    """Print a number with three digits, and nothing where there is none."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def file_stem(report: Mapping[str, Any]) -> str:
    """Name a result: the date, the device in small letters and dashes, and what keeps it from being a whole run."""
    name = re.sub(r"[^a-z0-9]+", "-", report["device_name"].lower()).strip("-")
    return "-".join([report["date"][:10], "gpu", name, *report["only"], *(["quick"] if report["quick"] else [])])


def predictions_markdown() -> str:
    """Return the predictions for an H100 beside an empty column, as it is committed where no GPU is at hand."""
    return "\n".join([
        "# GPU benchmark: predictions for an H100",
        "",
        "Nothing here has been measured. On a machine with a GPU `python -m benchmarks.gpu` fills the empty column;",
        "`python -m benchmarks.gpu --predictions` writes this file.",
        "",
        *_targets({}, ()),
        *_comparison({}),
    ])


def report_markdown(report: Mapping[str, Any]) -> str:
    """Turn what the run wrote to JSON into Markdown.

    Parameters
    ----------
    report : mapping
        With ``device_name``, ``date``, ``quick``, ``only``, ``machine``, ``measured``, ``wrong`` and ``sections``, as
        ``benchmarks.gpu`` makes it.

    Returns
    -------
    str
        A whole document.
    """
    lines = [f"# GPU benchmark: {report['device_name']}, {report['date'][:10]}", ""]
    if report["quick"]:
        lines += ["`--quick`: reduced sizes. These numbers show that everything runs; they measure nothing.", ""]
    lines += _grid(["", ""], [[name, str(fact)] for name, fact in report["machine"].items()])
    for name in report["wrong"]:
        lines += [f"**Wrong results: {name}. Its times stand for nothing.**", ""]
    if not report["quick"]:
        lines += _targets(report["measured"], report["wrong"])
        lines += _comparison(report["measured"])
    for section in report["sections"]:
        lines += _section(section)
    return "\n".join(lines)


def _targets(measured: Mapping[str, float], wrong: Collection[str]) -> list[str]:
    """Judge each target, with the numbers that decide it."""
    rows = []
    for target in TARGETS:
        for place, bound in enumerate(target.bounds):
            text, judged = (target.text, verdict(target, measured, wrong)) if place == 0 else ("", "")
            prediction = PREDICTIONS[bound.key]
            value = figure(measured.get(bound.key))
            rows.append([text, prediction.what, _limit(bound, prediction), _range(prediction), value, judged])
    heads = ["target", "number", "asked", "predicted", "measured", "verdict"]
    return ["## Targets", "", *_grid(heads, rows)]


def _comparison(measured: Mapping[str, float]) -> list[str]:
    """Put the predictions beside the measurements."""
    rows = [
        [prediction.what, prediction.unit, _range(prediction), figure(measured.get(key)), prediction.basis]
        for key, prediction in PREDICTIONS.items()
    ]
    heads = ["what", "unit", "predicted", "measured", "the prediction's basis"]
    return ["## Predicted and measured", "", *_grid(heads, rows)]


def _section(section: Mapping[str, Any]) -> list[str]:
    """Print one section: its table, and below it what was left out and why."""
    title = section["title"] or section["name"]
    lines = [f"## {title}", ""]
    if section["failure"]:
        lines += [f"**Not finished: {_cell(section['failure'])}**", ""]
    cells = section["cells"]
    if cells:
        heads = list(dict.fromkeys(column for row in cells for column in row))
        lines += _grid(heads, [[row.get(column, "-") for column in heads] for row in cells])
    if section["notes"]:
        lines += [*(f"- {_cell(note)}" for note in section["notes"]), ""]
    return lines


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Print a table of Markdown, and an empty line."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [*(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines), ""]


def _cell(text: str) -> str:
    """Keep what would end a cell or a line from doing so."""
    return " ".join(text.replace("|", "\\|").split())


def _range(prediction: Prediction) -> str:
    """Print what was predicted."""
    low, high = figure(prediction.low), figure(prediction.high)
    return low if low == high else f"{low} to {high}"


def _limit(bound: Bound, prediction: Prediction) -> str:
    """Print what is asked of a number."""
    unit = prediction.unit if prediction.unit in {"x", "GiB"} else ""
    return f"{bound.sign} {figure(bound.limit)}{unit and ' '}{unit}"
