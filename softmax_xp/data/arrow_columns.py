# SPDX-License-Identifier: BSD-3-Clause
"""Which columns of an Arrow table are features, and how a batch of records becomes a matrix."""

__all__ = ["Columns", "choose_table_columns", "is_list", "matrix_of"]

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.columns import choose_columns
from softmax_xp.data.parquet import PANDAS_INDEX
from softmax_xp.errors import InvalidTypeError, InvalidValueError


class Columns(NamedTuple):
    """The columns of a table that are read."""

    read: tuple[str, ...]  # those with features
    widths: tuple[int, ...]  # 1 for numbers, and the length of lists
    places: tuple[int, ...] | None  # of the features among all entries of these; None where they are all of them
    feature_names: tuple[str, ...]
    target: str | None


def choose_table_columns(
    schema: Any,
    lengths: Mapping[str, int],
    *,
    target: str | None,
    feature_names: Sequence[str] | None,
    source: str,
) -> tuple[Columns, np.dtype[Any]]:
    """Choose the features and the target of a table.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the table.
    lengths : mapping of str to int
        How many entries the lists of each column of lists have.
    target : str or None
        The target column; by default the one called "target", "label", "class" or "y", if there is one.
    feature_names : sequence of str or None
        The features to read, in this order; by default all columns but the target. The entries of a list are called
        ``name[0]``, ``name[1]``, ....
    source : str
        What to call the table in messages.

    Returns
    -------
    columns : Columns
        What to read.
    dtype : numpy.dtype
        The common one of the features.

    Raises
    ------
    InvalidTypeError
        If a feature is not numeric.
    InvalidValueError
        If a column is missing or appears twice.
    """
    names, owners = [], []
    for column in schema.names:
        if PANDAS_INDEX.fullmatch(column):
            continue
        # A target of lists is none; a table may have a target column of text beside its numbers.
        entries = [f"{column}[{place}]" for place in range(lengths[column])] if column in lengths else [column]
        names += entries
        owners += [column] * len(entries)
    features, target_place = choose_columns(
        names, target=target, feature_names=feature_names, require_labels=target is not None, source=source
    )
    read = tuple(dict.fromkeys(owners[place] for place in features))
    widths = tuple(lengths.get(column, 1) for column in read)
    starts = dict(zip(read, np.cumsum((0, *widths[:-1])).tolist(), strict=True))
    places = tuple(starts[owners[place]] + place - owners.index(owners[place]) for place in features)
    dtypes = [_dtype_of(schema.field(column).type, column, source) for column in read]
    everything = places == tuple(range(sum(widths)))
    chosen = tuple(names[place] for place in features)
    label = None if target_place is None else names[target_place]
    dtype: np.dtype[Any] = np.result_type(*dtypes)
    return Columns(read, widths, None if everything else places, chosen, label), dtype


def is_list(kind: Any) -> bool:
    """Tell whether an Arrow type is one of lists."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _dtype_of(kind: Any, column: str, source: str) -> np.dtype[Any]:
    """Return NumPy's dtype of a column of numbers, or of lists of numbers."""
    import pyarrow as pa

    inner = kind.value_type if is_list(kind) else kind
    if pa.types.is_decimal(inner):
        return np.dtype(np.float64)
    if pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner):
        dtype: np.dtype[Any] = np.dtype(inner.to_pandas_dtype())
        return dtype
    msg = f"{source} must have numbers as features; got column {column!r} of type {kind}. Encode or drop the column."
    raise InvalidTypeError(msg)


def matrix_of(records: Any, columns: Columns, dtype: np.dtype[Any], source: str, first_row: int) -> NDArray[Any]:
    """Return the features of a batch of records.

    Parameters
    ----------
    records : pyarrow.RecordBatch
        With at least these columns.
    columns : Columns
        Which to take.
    dtype : numpy.dtype
        Of the matrix.
    source : str
        What to call the table in messages.
    first_row : int
        The number of the batch's first row, for messages.

    Returns
    -------
    numpy.ndarray of shape (n_records, n_features)
        C-ordered.

    Raises
    ------
    InvalidValueError
        For a missing value, and lists of other lengths.
    """
    everything = np.empty((records.num_rows, sum(columns.widths)), dtype=dtype)
    start = 0
    for name, width in zip(columns.read, columns.widths, strict=True):
        column = records.column(records.schema.get_field_index(name))
        if column.null_count:
            row = first_row + column.is_null().to_pylist().index(True)
            msg = f"{source} must have no missing values; got one in column {name!r}, row {row}. Fill it in first."
            raise InvalidValueError(msg)
        everything[:, start : start + width] = _entries(column, name, width, source, first_row)
        start += width
    return everything if columns.places is None else np.ascontiguousarray(everything[:, list(columns.places)])


def _entries(column: Any, name: str, width: int, source: str, first_row: int) -> NDArray[Any]:
    """Return the numbers of a column, (n_records, width)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    n_rows = len(column)
    if is_list(column.type):
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        if (lengths != width).any():
            row = int(np.argmax(lengths != width))
            msg = (
                f"{source} must have lists of one length in column {name!r}; got {lengths[row]} entries in row "
                f"{first_row + row}, and {width} before."
            )
            raise InvalidValueError(msg)
        column = column.flatten()
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if column.null_count:
        row = first_row + column.is_null().to_pylist().index(True) // width
        msg = f"{source} must have no missing values; got one in a list of column {name!r}, row {row}."
        raise InvalidValueError(msg)
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values.reshape(n_rows, width)
