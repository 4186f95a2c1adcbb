# SPDX-License-Identifier: BSD-3-Clause
"""What a benchmark hands over, as a table for people and as records for files."""

__all__ = ["Line", "Table", "milliseconds", "ratio_text", "times_text", "verdict"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from benchmarks.timing import Ratio


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One row: cells for the screen, by column, and the numbers behind them for JSON."""

    cells: Mapping[str, str]
    record: Mapping[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Table:
    """The result of one benchmark.

    Parameters
    ----------
    name : str
        The benchmark, as it is called on the command line.
    title : str
        What was measured, in a sentence.
    lines : list of Line
        The rows; a column is as wide as its widest cell.
    notes : list of str, optional
        Printed below: what was skipped and why, what a column means.
    """

    name: str
    title: str
    lines: list[Line]
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Align the columns: the first to the left, the others to the right."""
        columns = list(dict.fromkeys(column for line in self.lines for column in line.cells))
        rows = [columns, *([line.cells.get(column, "-") for column in columns] for line in self.lines)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(columns))]
        text = [self.title, "-" * len(self.title)]
        for row in rows:
            first, *others = [
                cell.ljust(width) if place == 0 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            text.append("  ".join([first, *others]).rstrip())
        return "\n".join([*text, *(f"  {note}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return what goes into the JSON file."""
        records = [dict(line.record) for line in self.lines]
        return {"name": self.name, "title": self.title, "lines": records, "notes": self.notes}


def milliseconds(seconds: float) -> str:
    """Print a time with three digits, in the unit that suits it."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} us"
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def ratio_text(measured: Ratio) -> str:
    """Print ``1.25 (1.20-1.31)``: median, smallest and largest."""
    return f"{measured.median:.2f} ({measured.least:.2f}-{measured.largest:.2f})"


def times_text(measured: Ratio) -> str:
    """Print a speed-up: ``2.5x (2.3-2.6)``."""
    return f"{measured.median:.2f}x ({measured.least:.2f}-{measured.largest:.2f})"


def verdict(*, met: bool) -> str:
    """Say whether a target was met."""
    return "yes" if met else "no"
