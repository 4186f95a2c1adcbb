# SPDX-License-Identifier: BSD-3-Clause
"""Tables as plain text, and JSON: two forms of the same numbers."""

__all__ = ["as_json", "as_table", "one_line"]

import json
import math
from collections.abc import Sequence
from typing import Any


def as_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Align cells in columns, the first to the left and the others to the right; floats show four decimals."""
    lines = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_json(report: object) -> str:
    """Write a report as JSON, which has no infinity and no NaN: they become null."""
    return json.dumps(_finite(report), indent=2, allow_nan=False)


def one_line(text: str) -> str:
    """Join the lines of a message."""
    return " ".join(text.split())


def _cell(value: object) -> str:
    """Print a number with the digits that matter to a reader."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    """Replace what JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
