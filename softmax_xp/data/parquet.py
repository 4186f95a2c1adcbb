# SPDX-License-Identifier: BSD-3-Clause
"""Read Parquet tables through pyarrow."""

__all__ = ["PANDAS_INDEX", "labels_of_column", "load_parquet"]

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.columns import choose_columns
from softmax_xp.data.dataset import Dataset
from softmax_xp.errors import DataNotFoundError, InvalidTypeError, InvalidValueError, MissingDependencyError

# What pandas calls the column in which it stores an index; it is never a feature.
PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def load_parquet(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    feature_names: Sequence[str] | None = None,
    require_labels: bool = True,
) -> Dataset:
    """Load a Parquet table; only the columns in use are read.

    Parameters
    ----------
    path : path-like
        The file.
    target : str, optional
        The target column. By default the one called "target", "label", "class" or "y".
    feature_names : sequence of str, optional
        The feature columns, in this order. By default all but the target.
    require_labels : bool, default=True
        Whether a table without a target column is an error.

    Returns
    -------
    Dataset
        `X` has the common dtype of its columns; `y` holds numbers or strings.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidTypeError
        If a feature column is not numeric.
    InvalidValueError
        If the file is damaged, a value is missing, or the columns do not fit.
    MissingDependencyError
        If pyarrow is not installed.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"`path` must name a Parquet file; got {path}, which does not exist."
        raise DataNotFoundError(msg)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        msg = "Parquet files need pyarrow, which is not installed. Install it with: pip install 'softmax-xp[arrow]'"
        raise MissingDependencyError(msg) from error
    try:
        # Memory is bounded by the columns that are read, not by the file.
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if not PANDAS_INDEX.fullmatch(name)]
            features, target_position = choose_columns(
                names, target=target, feature_names=feature_names, require_labels=require_labels, source=path.name
            )
            chosen = tuple(names[position] for position in features)
            target_name = None if target_position is None else names[target_position]
            wanted = list(dict.fromkeys([*chosen, *([] if target_name is None else [target_name])]))
            table = file.read(columns=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"`path` must name an intact Parquet file; got {path}: {str(error).splitlines()[0]}"
        raise InvalidValueError(msg) from error
    if table.num_rows == 0:
        msg = f"{path.name} must have at least one row; got none."
        raise InvalidValueError(msg)
    y = None if target_name is None else labels_of_column(table.column(target_name), target_name, path)
    return Dataset(_matrix(table, chosen, path), y, name=path.name, feature_names=chosen, target_name=target_name)


def _matrix(table: Any, names: Sequence[str], path: Path) -> NDArray[Any]:
    """Return numeric columns as one C-ordered matrix."""
    import pyarrow as pa

    for name in names:
        kind = table.column(name).type
        if not (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or _is_decimal(kind)
        ):
            msg = f"{path.name} must have numbers as features; got column {name!r} of type {kind}, "
            msg += f"such as {table.column(name)[0].as_py()!r} in row 0. Encode or drop the column."
            raise InvalidTypeError(msg)
        _check_no_nulls(table.column(name), name, path)
    dtypes = [
        np.dtype(np.float64) if _is_decimal(table.column(name).type) else table.column(name).type.to_pandas_dtype()
        for name in names
    ]
    X = np.empty((table.num_rows, len(names)), dtype=np.result_type(*dtypes))
    for position, name in enumerate(names):
        column = table.column(name)
        if _is_decimal(column.type):
            column = column.cast(pa.float64())
        values = column.to_numpy()
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            what = "no missing values" if np.isnan(values[row]) else "finite features"
            msg = f"{path.name} must have {what}; got {values[row]} in column {name!r}, row {row}."
            raise InvalidValueError(msg)
        X[:, position] = values
    return X


def labels_of_column(column: Any, name: str, path: Path) -> NDArray[Any]:
    """Return the target column as numbers or strings."""
    import pyarrow as pa

    _check_no_nulls(column, name, path)
    if pa.types.is_dictionary(column.type):  # a pandas categorical
        column = column.cast(column.type.value_type)
    values = column.to_numpy()
    if values.dtype.kind in "biuf":
        return np.asarray(values)
    strings = values.tolist()
    if all(isinstance(value, str) for value in strings):
        return np.asarray(strings, dtype=str)
    msg = f"{path.name} must have numbers or strings as labels; got column {name!r} of type {column.type}."
    raise InvalidTypeError(msg)


def _is_decimal(kind: Any) -> bool:
    """Tell whether an Arrow type is a decimal number, which NumPy lacks."""
    import pyarrow as pa

    return bool(pa.types.is_decimal(kind))


def _check_no_nulls(column: Any, name: str, path: Path) -> None:
    """Raise for the first missing value of a column."""
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        msg = (
            f"{path.name} must have no missing values; got {column.null_count} in column {name!r}, "
            f"the first in row {row}. Remove the rows or fill in values."
        )
        raise InvalidValueError(msg)
