# SPDX-License-Identifier: BSD-3-Clause
"""Read comma- or tab-separated tables with a header row, without pandas."""

from __future__ import annotations  # array[float] is subscriptable from Python 3.12 on

__all__ = ["load_csv"]

import csv
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

import numpy as np

from softmax_xp.data.columns import choose_columns, parse_labels
from softmax_xp.data.dataset import Dataset
from softmax_xp.errors import DataNotFoundError, InvalidTypeError, InvalidValueError

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})


def load_csv(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    feature_names: Sequence[str] | None = None,
    require_labels: bool = True,
) -> Dataset:
    """Load a CSV or TSV table whose first row names the columns.

    Parameters
    ----------
    path : path-like
        A UTF-8 file; tabs separate the cells when its name ends in ``.tsv``, else commas.
    target : str, optional
        The target column. By default the one called "target", "label", "class" or "y".
    feature_names : sequence of str, optional
        The feature columns, in this order. By default all but the target.
    require_labels : bool, default=True
        Whether a table without a target column is an error.

    Returns
    -------
    Dataset
        `X` is float64; `y` holds integers or floats where all labels are such, else strings.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidTypeError
        If a feature cell is no number.
    InvalidValueError
        If a value is missing, a row has another length than the header, or the columns do not fit.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
            names = _read_names(reader, path)
            features, target_position = choose_columns(
                names, target=target, feature_names=feature_names, require_labels=require_labels, source=path.name
            )
            X, cells = _read_rows(reader, names, features, target_position, path)
    except FileNotFoundError as error:
        msg = f"`path` must name a table; got {path}, which does not exist."
        raise DataNotFoundError(msg) from error
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"`path` must name a UTF-8 table; got {path}: {error}."
        raise InvalidValueError(msg) from error
    chosen = tuple(names[position] for position in features)
    return Dataset(
        np.frombuffer(X, dtype=np.float64).reshape(-1, len(features)),
        None if target_position is None else parse_labels(cells, path.name),
        name=path.name,
        feature_names=chosen,
        target_name=None if target_position is None else names[target_position],
    )


def _read_names(reader: Iterator[list[str]], path: Path) -> list[str]:
    """Return the column names in the first row."""
    names = [name.strip() for name in next(reader, [])]
    if not any(names):
        msg = f"{path.name} must start with a row of column names; got an empty first row."
        raise InvalidValueError(msg)
    if all(_is_number(name) for name in names):
        msg = f"{path.name} must start with a row of column names; got only numbers, such as {names[0]}."
        raise InvalidValueError(msg)
    return names


def _read_rows(
    reader: Iterator[list[str]], names: list[str], features: tuple[int, ...], target: int | None, path: Path
) -> tuple[array[float], list[str]]:
    """Return the features of all rows, one after another, and the cells of the target column."""
    X, labels = array("d"), []
    pick = itemgetter(*features)
    for row in reader:
        if not row:
            continue  # a blank line
        line = reader.line_num  # type: ignore[attr-defined]
        if len(row) != len(names):
            msg = f"{path.name} must have {len(names)} cells in each row; got {len(row)} in line {line}."
            raise InvalidValueError(msg)
        cells = pick(row) if len(features) > 1 else (pick(row),)
        try:
            values = list(map(float, cells))
        except ValueError:
            values = [math.nan]
        # A sum is the cheapest test for NaN and infinity; it may overflow, so each cell then decides for itself.
        if not math.isfinite(sum(values)):
            for position in features:
                _check_cell(row[position], names[position], line, path)
        X.extend(values)
        if target is not None:
            labels.append(row[target])
    if not X:
        msg = f"{path.name} must have at least one row below the column names; got none."
        raise InvalidValueError(msg)
    return X, labels


def _is_number(cell: str) -> bool:
    """Tell whether a cell reads as a number, NaN and infinity included."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_cell(cell: str, name: str, line: int, path: Path) -> None:
    """Raise for a feature cell that is missing, no number or not finite."""
    where = f"column {name!r}, line {line}"
    if cell.strip().lower() in _MISSING:
        msg = f"{path.name} must have no missing values; got {cell!r} in {where}. Remove the row or fill in a number."
        raise InvalidValueError(msg)
    if not _is_number(cell):
        msg = f"{path.name} must have numbers as features; got {cell!r} in {where}. Encode or drop the column."
        raise InvalidTypeError(msg)
    if not math.isfinite(float(cell)):
        msg = f"{path.name} must have finite features; got {cell!r} in {where}."
        raise InvalidValueError(msg)
