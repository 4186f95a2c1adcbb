# SPDX-License-Identifier: BSD-3-Clause
"""svmlight (LIBSVM) text that stays on the disk: sparse samples, of which each pass parses the lines anew.

One scan, when the file is opened, finds where each line begins, the labels, how many entries each row has, and how many
features there are; these are held in memory, 24 bytes for each sample. To parse takes many times as long as to read
numbers: where passes are many, :func:`softmax_xp.data.write_csr` converts the file once.
"""

__all__ = ["SvmlightSource", "open_svmlight"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.columns import check_feature_count
from softmax_xp.data.file_stamp import FileStamp
from softmax_xp.data.npy_source import read_numbers
from softmax_xp.data.sparse_source import check_columns, write_out
from softmax_xp.errors import DataChangedError, DataNotFoundError, InvalidValueError

# Text that is parsed at once.
_BLOCK_BYTES = 1 << 22


@final
@dataclass(frozen=True, slots=True, eq=False)
class SvmlightSource:
    """The samples of an svmlight file; from :func:`open_svmlight`.

    Parameters
    ----------
    path : path
        The file.
    shape : tuple of int
        ``(n_samples, n_features)``. There may be more features than the file has.
    limits : numpy.ndarray of int64, shape (n_samples + 1,)
        Where the rows begin among the entries.
    begins : numpy.ndarray of int64, shape (n_samples + 1,)
        Where the lines of the rows begin in the file, and where the last one ends, in bytes.
    first_index : {0, 1}
        What the first feature is called.
    stamp : FileStamp
        Of the file as it was opened.
    labels : numpy.ndarray of shape (n_samples,), optional
        One for each row.
    feature_names : tuple of str, optional
        One for each column.
    target_name : str, optional
        What the labels are called.
    """

    path: Path
    shape: tuple[int, int]
    limits: NDArray[np.int64] = field(repr=False)
    begins: NDArray[np.int64] = field(repr=False)
    first_index: int = field(repr=False)
    stamp: FileStamp = field(repr=False)
    labels: NDArray[Any] | None = field(default=None, repr=False)
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None

    @property
    def name(self) -> str:
        """The file's."""
        return self.path.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float32, as :func:`~softmax_xp.data.load_dataset` reads them."""
        return np.dtype(np.float32)

    def read_entries(self, start: int, stop: int, columns: NDArray[Any], values: NDArray[Any]) -> None:
        """Parse a run of rows.

        Parameters
        ----------
        start, stop : int
            The first row, and the one after the last.
        columns, values : numpy.ndarray of shape (limits[stop] - limits[start],)
            Are filled.

        Raises
        ------
        DataChangedError
            If the file is gone, or not what it was.
        """
        first, row = int(self.limits[start]), start
        while row < stop:
            # As many rows as a block holds, at least one.
            reached = int(np.searchsorted(self.begins, self.begins[row] + _BLOCK_BYTES, side="right")) - 1
            end = min(max(reached, row + 1), stop)
            text = np.empty(int(self.begins[end] - self.begins[row]), dtype=np.uint8)
            read_numbers(self.path, self.stamp, int(self.begins[row]), text.dtype, text)
            rows = _parsed(text.tobytes(), self.path).rows
            part = slice(int(self.limits[row]) - first, int(self.limits[end]) - first)
            if not np.array_equal(np.diff(rows.indptr), np.diff(self.limits[row : end + 1])):
                msg = f"`source` must stay as it is while it is read; got {self.path}, which has other entries."
                raise DataChangedError(msg)
            columns[part], values[part] = rows.indices, rows.data
            row = end
        columns -= self.first_index
        check_columns(columns, self.shape[1], self.name)

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Write out the rows from ``start`` on."""
        write_out(self, start, out)


def open_svmlight(path: Path, target: str | None = None, feature_names: Sequence[str] | None = None) -> SvmlightSource:
    """Scan a file of lines ``label index:value index:value ...``.

    Parameters
    ----------
    path : path
        The file, plain. Indices count from 1, or from 0 if there is one: as in scikit-learn's ``load_svmlight_file``.
        Comments and query ids (``qid:``) are skipped.
    target : None
        Must be None; the label stands first in each line.
    feature_names : sequence of str, optional
        Names of all features. Their number widens a file whose last features are all zero.

    Returns
    -------
    SvmlightSource
        Its samples and labels.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidValueError
        If the file is damaged, or has no sample or no feature.
    """
    if target is not None:
        msg = f"`target` must be None for svmlight files, where the label stands first; got {target!r}."
        raise InvalidValueError(msg)
    try:
        stamp, found = FileStamp.of(path), list(_scan(path))
    except FileNotFoundError as error:
        msg = f"`path` must name an svmlight file; got {path}, which does not exist."
        raise DataNotFoundError(msg) from error
    least = min((block.least for block in found), default=0)
    first_index = int(0 < least < _NONE)
    n_features = max((block.largest for block in found), default=-1) + 1 - first_index
    n_samples = sum(block.labels.shape[0] for block in found)
    if n_samples == 0 or n_features == 0:
        msg = f"{path.name} must have at least one sample with one feature; got shape {(n_samples, n_features)}."
        raise InvalidValueError(msg)
    if feature_names is not None:
        n_features = max(n_features, len(feature_names))
        check_feature_count(n_features, feature_names, path.name)
    limits = np.concatenate([[0], *(block.lengths for block in found)]).cumsum(dtype=np.int64)
    begins = np.concatenate([*(block.begins for block in found), [found[-1].end]]).astype(np.int64, copy=False)
    labels = np.concatenate([block.labels for block in found])
    names = None if feature_names is None else tuple(feature_names)
    return SvmlightSource(path, (n_samples, n_features), limits, begins, first_index, stamp, labels, names)


# The least index of a block that has none.
_NONE = 2**62


class _Block(NamedTuple):
    """What a scan finds in some lines."""

    begins: NDArray[np.int64]  # of the lines that are rows
    end: int  # of the last line
    labels: NDArray[np.float64]
    lengths: NDArray[np.int64]  # the entries of each row
    least: int  # index
    largest: int


class _Parsed(NamedTuple):
    """Some rows, with indices as they stand in the text."""

    rows: Any
    labels: NDArray[np.float64]


def _scan(path: Path) -> Iterator[_Block]:
    """Look at all lines, a block at a time."""
    with path.open("rb") as file:
        begin = 0
        while lines := file.readlines(_BLOCK_BYTES):
            ends = begin + np.cumsum([len(line) for line in lines])
            # The parser's own rule of which lines are rows.
            is_row = np.asarray([bool(line.partition(b"#")[0].split()) for line in lines])
            begins = np.concatenate(([begin], ends[:-1]))[is_row]
            begin = int(ends[-1])
            if not is_row.any():
                continue
            rows, labels = _parsed(b"".join(lines), path)
            if labels.shape != begins.shape:
                msg = f"`path` must name an intact svmlight file; got {path}, whose lines are not what they seem."
                raise InvalidValueError(msg)
            some = rows.indices.size > 0
            least, largest = (int(rows.indices.min()), int(rows.indices.max())) if some else (_NONE, -1)
            yield _Block(begins, begin, labels, np.diff(rows.indptr), least, largest)


def _parsed(text: bytes, path: Path) -> _Parsed:
    """Parse some lines; indices stay as they are."""
    from sklearn.datasets import load_svmlight_file

    try:
        return _Parsed(*load_svmlight_file(BytesIO(text), dtype=np.float32, zero_based=True))
    except (ValueError, OverflowError) as error:
        msg = f"`path` must name an intact svmlight file; got {path}: {error}."
        raise InvalidValueError(msg) from error
