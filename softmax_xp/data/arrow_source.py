# SPDX-License-Identifier: BSD-3-Clause
"""Parquet tables and Arrow files, read some rows at a time through pyarrow.

A table comes in batches of records, which are decoded one after the other: a batch is found by going on from the one
before it, or by starting at the nearest block of the file. The last few decoded batches are kept, since two threads
that compute ask for two runs of rows in either order. Nothing is mapped into memory.

A column of numbers is a feature. So is each entry of a column of lists that all have one length, such as embeddings.
"""

__all__ = ["ArrowSource", "arrow_errors", "open_arrow", "open_parquet"]

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.arrow_columns import Columns, choose_table_columns, is_list, matrix_of
from softmax_xp.data.file_stamp import FileStamp
from softmax_xp.data.parquet import labels_of_column
from softmax_xp.data.source import check_storage
from softmax_xp.errors import DataNotFoundError, InvalidValueError, MissingDependencyError, SoftmaxXPError

# Rows of a decoded batch take about this many bytes.
_BATCH_BYTES = 1 << 22
# Decoded batches that are kept.
_KEPT = 4
# What is read of a column's compressed bytes at once: else a reader holds those of a whole block.
_STREAM_BYTES = 1 << 16


class _Cursor(NamedTuple):
    """A reader in the middle of a file, and the row that it is at."""

    batches: Iterator[Any]
    close: Any
    row: int


class _Reader:
    """What one process has open of a file; copies and pickles of a source begin anew."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.cursor: _Cursor | None = None
        self.kept: dict[int, NDArray[Any]] = {}  # first row -> decoded batch, the oldest first

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Leave the lock, the open file and what was decoded behind."""
        return _Reader, ()


@final
@dataclass(frozen=True, slots=True, eq=False)
class ArrowSource:
    """The samples in a Parquet or Arrow file; from :func:`open_parquet` or :func:`open_arrow`.

    Parameters
    ----------
    path : path
        The file.
    kind : {"parquet", "stream", "file"}
        How it is read.
    shape : tuple of int
        ``(n_samples, n_features)``.
    dtype : numpy.dtype
        The common one of all features.
    columns : Columns
        Which to read.
    blocks : tuple of int
        The first row of each block, and the number of rows.
    stamp : FileStamp
        Of the file as it was opened.
    labels : numpy.ndarray of shape (n_samples,), optional
        The target column.
    """

    path: Path
    kind: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    columns: Columns = field(repr=False)
    blocks: tuple[int, ...] = field(repr=False)
    stamp: FileStamp = field(repr=False)
    labels: NDArray[Any] | None = field(default=None, repr=False)
    _reader: _Reader = field(default_factory=_Reader, repr=False, init=False)

    @property
    def name(self) -> str:
        """The file's."""
        return self.path.name

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One for each column; entries of lists are counted."""
        return self.columns.feature_names

    @property
    def target_name(self) -> str | None:
        """The target column."""
        return self.columns.target

    @property
    def runs(self) -> NDArray[np.int64]:
        """The first row of each block: within one, rows are decoded from the first on."""
        return np.asarray(self.blocks[:-1], dtype=np.int64)

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Decode the rows from ``start`` on into ``out``.

        Parameters
        ----------
        start : int
            The first.
        out : numpy.ndarray of shape (some, n_features)
            Is filled.

        Raises
        ------
        DataChangedError
            If the file is not what it was.
        InvalidValueError
            If it is damaged, or a value is missing.
        """
        reader, stop = self._reader, start + out.shape[0]
        with reader.lock, arrow_errors(self.path):
            self.stamp.check(self.path, self.path)
            row = start
            while row < stop:
                first, batch = self._batch_at(row)
                count = min(stop - row, batch.shape[0] - (row - first))
                out[row - start : row - start + count] = batch[row - first : row - first + count]
                row += count

    def _batch_at(self, row: int) -> tuple[int, NDArray[Any]]:
        """Return the batch with a row and its own first row; one that is kept, or the reader goes there."""
        reader = self._reader
        for first, batch in reader.kept.items():
            if first <= row < first + batch.shape[0]:
                return first, batch
        block = int(np.searchsorted(self.blocks, row, side="right")) - 1
        cursor = reader.cursor
        if cursor is None or not self.blocks[block] <= cursor.row <= row:
            if cursor is not None:
                cursor.close()
            reader.cursor = cursor = self._start(block)
        for records in cursor.batches:
            first, n_rows = cursor.row, records.num_rows
            reader.cursor = cursor = cursor._replace(row=first + n_rows)
            if first + n_rows <= row:
                continue
            batch = matrix_of(records, self.columns, self.dtype, self.path.name, first)
            while len(reader.kept) >= _KEPT:
                del reader.kept[next(iter(reader.kept))]
            reader.kept[first] = batch
            return first, batch
        msg = f"`path` must name an intact file; got {self.path}, which ends at row {cursor.row}."
        raise InvalidValueError(msg)

    def _start(self, block: int) -> _Cursor:
        """Open the file at a block."""
        n_rows = max(_BATCH_BYTES // (self.shape[1] * self.dtype.itemsize), 1)
        if self.kind == "parquet":
            import pyarrow.parquet as pq

            file = pq.ParquetFile(self.path, buffer_size=_STREAM_BYTES, memory_map=False)
            groups = range(block, len(self.blocks) - 1)
            batches = file.iter_batches(n_rows, row_groups=groups, columns=list(self.columns.read), use_threads=False)
            return _Cursor(batches, file.close, self.blocks[block])
        batches = _arrow_batches(self.path, self.kind, block, n_rows)
        return _Cursor(batches, batches.close, self.blocks[block])


def _arrow_batches(path: Path, kind: str, block: int, n_rows: int) -> Generator[Any]:
    """Yield the records of an Arrow file from a block on, in small batches."""
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        if kind == "file":
            reader = pa.ipc.open_file(file)
            found: Any = (reader.get_batch(number) for number in range(block, reader.num_record_batches))
        else:
            found = pa.ipc.open_stream(file)
        for records in found:
            for start in range(0, records.num_rows, n_rows):
                yield records.slice(start, n_rows)


def open_parquet(path: Path, target: str | None = None, feature_names: Sequence[str] | None = None) -> ArrowSource:
    """Open a Parquet file without reading its features.

    Parameters
    ----------
    path : path
        The file.
    target : str, optional
        The target column; by default the one called "target", "label", "class" or "y", if there is one.
    feature_names : sequence of str, optional
        The features to read, in this order; by default all columns but the target.

    Returns
    -------
    ArrowSource
        Its samples, and its labels where there is a target.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidTypeError
        If a feature is not numeric.
    InvalidValueError
        If the file is damaged or empty, or the columns do not fit.
    MissingDependencyError
        If pyarrow is not installed.
    """
    with arrow_errors(path):
        import pyarrow.parquet as pq

        stamp = FileStamp.of(path)
        with pq.ParquetFile(path) as file:
            schema, groups = file.schema_arrow, file.metadata
            sizes = [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]
            lists = [field.name for field in schema if is_list(field.type)]
            head = next(file.iter_batches(1, columns=lists), None) if lists else None
            columns, dtype = _chosen(path, schema, head, sum(sizes), target, feature_names)
            labels = None if columns.target is None else file.read(columns=[columns.target]).column(0)
    return _source(path, "parquet", sizes, columns, dtype, stamp, labels)


def open_arrow(path: Path, target: str | None = None, feature_names: Sequence[str] | None = None) -> ArrowSource:
    """Open an Arrow file, of the file format or a stream, without reading its features.

    Parameters
    ----------
    path : path
        The file.
    target : str, optional
        The target column; by default the one called "target", "label", "class" or "y", if there is one.
    feature_names : sequence of str, optional
        The features to read, in this order; by default all columns but the target.

    Returns
    -------
    ArrowSource
        Its samples, and its labels where there is a target.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidTypeError
        If a feature is not numeric.
    InvalidValueError
        If the file is damaged or empty, or the columns do not fit.
    MissingDependencyError
        If pyarrow is not installed.
    """
    with arrow_errors(path):
        import pyarrow as pa

        stamp = FileStamp.of(path)
        # A map, for once: only the heads of the batches and the labels are touched.
        with pa.memory_map(str(path)) as file:
            is_file = file.read(6) == b"ARROW1"
            file.seek(0)
            reader: Any = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches)) if is_file else reader
            sizes, parts, chosen = list[int](), list[Any](), None
            for records in batches:
                if chosen is None and records.num_rows:
                    chosen = _chosen(path, reader.schema, records, 1, target, feature_names)
                if chosen is not None and chosen[0].target is not None:
                    own = records.column(reader.schema.get_field_index(chosen[0].target))
                    parts.append(pa.concat_arrays([own]))  # a copy: nothing refers to the map
                sizes.append(records.num_rows)
            columns, dtype = chosen or _chosen(path, reader.schema, None, 0, target, feature_names)
            labels = None if columns.target is None else pa.chunked_array(parts)
            return _source(path, "file" if is_file else "stream", sizes, columns, dtype, stamp, labels)


def _chosen(
    path: Path, schema: Any, head: Any, n_rows: int, target: str | None, feature_names: Sequence[str] | None
) -> tuple[Columns, np.dtype[Any]]:
    """Choose the columns; the first row tells how long lists are."""
    if n_rows == 0:
        msg = f"{path.name} must have at least one row; got none."
        raise InvalidValueError(msg)
    lengths = {}
    for each in schema:
        if is_list(each.type):
            first = head.column(head.schema.get_field_index(each.name))[0]
            lengths[each.name] = 0 if first.as_py() is None else len(first)
    return choose_table_columns(schema, lengths, target=target, feature_names=feature_names, source=path.name)


def _source(
    path: Path, kind: str, sizes: list[int], columns: Columns, dtype: np.dtype[Any], stamp: FileStamp, labels: Any
) -> ArrowSource:
    """Put a source together. A stream can only be read from its beginning: it is one block."""
    blocks = (0, sum(sizes)) if kind == "stream" else (0, *accumulate(sizes))
    shape = (blocks[-1], len(columns.feature_names))
    check_storage(shape, dtype, path.name)
    y = None if labels is None else labels_of_column(labels, str(columns.target), path)
    return ArrowSource(path, kind, shape, dtype, columns, blocks, stamp, y)


@contextmanager
def arrow_errors(path: Path) -> Iterator[None]:
    """Translate every way in which reading a table fails.

    Parameters
    ----------
    path : path
        The file, for messages.

    Yields
    ------
    None
        Once.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        msg = f"{path.name} needs pyarrow, which is not installed. Install it with: pip install 'softmax-xp[arrow]'"
        raise MissingDependencyError(msg) from error
    try:
        yield
    except SoftmaxXPError:
        raise
    except FileNotFoundError as error:
        msg = f"`path` must name a table; got {path}, which does not exist."
        raise DataNotFoundError(msg) from error
    except (pa.ArrowException, OSError) as error:
        msg = f"`path` must name an intact table; got {path}: {str(error).splitlines()[0]}"
        raise InvalidValueError(msg) from error
