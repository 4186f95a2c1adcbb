# SPDX-License-Identifier: BSD-3-Clause
"""The table of a training run: one row for each epoch."""

__all__ = ["History"]

import importlib
from collections.abc import Iterator, Mapping
from math import nan
from typing import Any, final

from softmax_xp.errors import InvalidValueError, MissingDependencyError


@final
class History:
    """A plain table of numbers on the host.

    Columns: ``epoch`` (counted from 0), ``step`` (updates so far), ``learning_rate`` (of the last update),
    ``train_loss`` and ``train_accuracy`` (weighted means over the epoch, each batch under the weights of its moment,
    without the penalty), ``penalty``, ``validation_loss`` and ``validation_accuracy`` (under the weights at the end
    of the epoch; only with validation data), ``seconds`` (since the start) and ``samples_per_second``.

    Parameters
    ----------
    rows : list of dict, optional
        To start from.

    Attributes
    ----------
    rows : list of dict of str to float
        The table.
    status : str
        ``"completed"``, ``"stopped"`` (by a callback), ``"interrupted"`` (by Ctrl-C) or ``"diverged"``.

    Examples
    --------
    >>> from softmax_xp import History
    >>> history = History([{"epoch": 0, "train_loss": 0.7}, {"epoch": 1, "train_loss": 0.5}])
    >>> history["train_loss"]
    [0.7, 0.5]
    >>> print(history)
       epoch  train_loss
           0      0.7000
           1      0.5000
    """

    def __init__(self, rows: list[dict[str, float]] | None = None) -> None:
        self.rows: list[dict[str, float]] = [] if rows is None else rows
        self.status = "completed"

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order of appearance."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row))

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row.

        Parameters
        ----------
        row : mapping of str to float
            Copied.
        """
        self.rows.append(dict(row))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, float]]:
        """Go through the rows."""
        return iter(self.rows)

    def __getitem__(self, column: str) -> list[float]:
        """Return one column; NaN where a row lacks it."""
        if column not in self.columns:
            msg = f"`column` must be one of {', '.join(self.columns)}; got {column!r}."
            raise InvalidValueError(msg)
        return [row.get(column, nan) for row in self.rows]

    def to_dict(self) -> dict[str, list[float]]:
        """Return the columns as lists.

        Returns
        -------
        dict of str to list of float
            Ready for JSON or a plot.
        """
        return {column: self[column] for column in self.columns}

    def to_frame(self) -> Any:
        """Return a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row for each epoch.

        Raises
        ------
        MissingDependencyError
            Where pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            msg = (
                "`to_frame` needs pandas, which is not installed. Use `to_dict`, or install it with: pip install pandas"
            )
            raise MissingDependencyError(msg) from None
        return pandas.DataFrame(self.to_dict())

    def __repr__(self) -> str:
        """Say how long and how it ended."""
        unit = {"iteration": "iterations", "call": "calls"}.get(next(iter(self.columns), ""), "epochs")
        return f"History({len(self)} {unit}, {self.status})"

    def __str__(self) -> str:
        """Lay the table out in columns."""
        columns = self.columns
        table = [columns, *([_cell(row.get(column, nan)) for column in columns] for row in self.rows)]
        widths = [max(6, *map(len, cells)) + 2 for cells in zip(*table, strict=True)]
        lines = ["".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)) for cells in table]
        return "\n".join(lines)


def _cell(value: float) -> str:
    """Print counts whole, and other numbers to four decimals or three digits."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"
