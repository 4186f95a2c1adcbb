# SPDX-License-Identifier: BSD-3-Clause
"""Sparse samples in files: folders of three ``.npy`` files, and the archives of ``scipy.sparse.save_npz``.

Both hold the arrays of a CSR matrix as they are in memory: ``indptr``, where the rows begin among the entries,
``indices``, the column of each entry, and ``data``, its value. The first is read when the source is opened, 8 bytes for
each sample; a run of rows is then a run of bytes in each of the other two. What is not compressed in an archive stands
there byte for byte, and is read the same way.
"""

__all__ = ["CSR_MARK", "CSR_SHAPE", "CsrSource", "StoredVector", "open_csr", "open_sparse_npz"]

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, final

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from softmax_xp.data.columns import check_feature_count
from softmax_xp.data.file_stamp import FileStamp
from softmax_xp.data.npy_source import read_npy_header, read_numbers
from softmax_xp.data.numpy_files import errors_of, load_label_file
from softmax_xp.data.source import check_storage
from softmax_xp.data.sparse_source import check_columns, write_out
from softmax_xp.errors import InvalidValueError

# By the first a folder is known to hold a CSR matrix; the second says its shape.
CSR_MARK = "indptr.npy"
CSR_SHAPE = "csr.json"
# The part of an archive before a member: a head of so many bytes, whose last four say how much more there is.
_ZIP_HEAD_BYTES = 30
_INT64_MAX = 2**63 - 1


class StoredVector(NamedTuple):
    """Numbers that stand one after the other in a file."""

    path: Path
    stored: np.dtype[Any]
    offset: int  # in bytes
    length: int
    stamp: FileStamp

    def read_into(self, first: int, out: NDArray[Any]) -> None:
        """Read the numbers from ``first`` on into ``out``, converted to its dtype."""
        read_numbers(self.path, self.stamp, self.offset + first * self.stored.itemsize, self.stored, out)


@final
@dataclass(frozen=True, slots=True, eq=False)
class CsrSource:
    """The samples of a CSR matrix in files; from :func:`open_csr` or :func:`open_sparse_npz`.

    Parameters
    ----------
    path : path
        The folder, or the archive.
    shape : tuple of int
        ``(n_samples, n_features)``.
    limits : numpy.ndarray of int64, shape (n_samples + 1,)
        Where the rows begin among the entries.
    columns, values : StoredVector
        Of the entries.
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
    columns: StoredVector = field(repr=False)
    values: StoredVector = field(repr=False)
    labels: NDArray[Any] | None = field(default=None, repr=False)
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None

    @property
    def name(self) -> str:
        """That of the folder or the file."""
        return self.path.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """As the values are read."""
        return self.values.stored.newbyteorder("=")

    def read_entries(self, start: int, stop: int, columns: NDArray[Any], values: NDArray[Any]) -> None:  # noqa: ARG002
        """Read the entries of a run of rows.

        Parameters
        ----------
        start, stop : int
            The first row, and the one after the last.
        columns, values : numpy.ndarray of shape (limits[stop] - limits[start],)
            Are filled.

        Raises
        ------
        DataChangedError
            If a file is gone, or not what it was.
        InvalidValueError
            For a column that the matrix does not have.
        """
        first = int(self.limits[start])
        self.columns.read_into(first, columns)
        check_columns(columns, self.shape[1], self.name)
        self.values.read_into(first, values)

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Write out the rows from ``start`` on."""
        write_out(self, start, out)


def open_csr(folder: Path, target: str | None = None, feature_names: Sequence[str] | None = None) -> CsrSource:
    """Open a folder with ``indptr.npy``, ``indices.npy``, ``data.npy``, ``csr.json`` and perhaps ``labels.npy``.

    Parameters
    ----------
    folder : path
        From :func:`softmax_xp.data.write_csr`, or made by hand; ``csr.json`` says ``{"shape": [1000, 50]}``.
    target : None
        Must be None; there are no columns with names.
    feature_names : sequence of str, optional
        What the columns are called.

    Returns
    -------
    CsrSource
        Its samples.

    Raises
    ------
    DataNotFoundError
        If one of the files is missing.
    InvalidTypeError
        If the values are not real numbers.
    InvalidValueError
        If a file is damaged, or they do not fit each other.
    """
    limits, columns, values = (_vector_file(folder / f"{name}.npy") for name in ("indptr", "indices", "data"))
    try:
        shape = json.loads((folder / CSR_SHAPE).read_text(encoding="utf-8"))["shape"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"`path` must hold a file {CSR_SHAPE} that says the shape of the matrix, such as "
            f'{{"shape": [1000, 50]}}; got {folder}. Write it, or the whole folder with softmax_xp.data.write_csr.'
        )
        raise InvalidValueError(msg) from error
    labels = load_label_file(folder / "labels.npy") if (folder / "labels.npy").is_file() else None
    return _source_of(folder, shape, (limits, columns, values), labels, target, feature_names)


def open_sparse_npz(path: Path, target: str | None = None, feature_names: Sequence[str] | None = None) -> CsrSource:
    """Open what ``scipy.sparse.save_npz(path, X.tocsr(), compressed=False)`` wrote.

    Parameters
    ----------
    path : path
        The archive. Never unpickled.
    target : None
        Must be None; there are no columns with names.
    feature_names : sequence of str, optional
        What the columns are called.

    Returns
    -------
    CsrSource
        Its samples, without labels.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidTypeError
        If the values are not real numbers.
    InvalidValueError
        If it is damaged, compressed, or no CSR matrix.
    """
    with errors_of(path), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        stamp, names = FileStamp.of(file), set(archive.namelist())
        if not {"indptr.npy", "indices.npy", "data.npy", "shape.npy", "format.npy"} <= names:
            msg = (
                f"`path` must name an archive of scipy.sparse.save_npz with a CSR matrix; got {path}, which holds "
                f"{', '.join(sorted(names)[:8])}. Save X.tocsr(), or load dense arrays with load_dataset."
            )
            raise InvalidValueError(msg)
        form, shape = (_small_member(archive, name) for name in ("format", "shape"))
        if form.item() not in {b"csr", "csr"}:
            msg = f"{path.name} must hold a CSR matrix; got format {form.item()!r}. Save X.tocsr() instead."
            raise InvalidValueError(msg)
        parts = [_vector_member(archive, file, path, name, stamp) for name in ("indptr", "indices", "data")]
    return _source_of(path, shape.tolist(), (parts[0], parts[1], parts[2]), None, target, feature_names)


def _source_of(
    path: Path,
    shape: Any,
    parts: tuple[StoredVector, StoredVector, StoredVector],
    labels: NDArray[Any] | None,
    target: str | None,
    feature_names: Sequence[str] | None,
) -> CsrSource:
    """Put the parts together if they fit each other; what is allocated is no larger than the files are."""
    stored_limits, columns, values = parts
    numbers = isinstance(shape, list) and all(type(length) is int for length in shape)
    if not numbers or not all(0 <= length <= _INT64_MAX for length in shape):
        msg = f"{path.name} must have a shape of two whole numbers; got {shape!r}. Write it again."
        raise InvalidValueError(msg)
    check_storage(tuple(shape), values.stored, path.name)
    for part in (stored_limits, columns):
        if part.stored.kind not in "iu":
            msg = f"{path.name} must hold whole numbers as indptr and indices; got dtype {part.stored}. Write it again."
            raise InvalidValueError(msg)
    limits = _limits(stored_limits, shape[0], min(columns.length, values.length), path)
    if target is not None:
        msg = f"`target` must be None for {path.name}, which has no columns with names; got {target!r}. Pass `labels`."
        raise InvalidValueError(msg)
    check_feature_count(shape[1], feature_names, path.name)
    names = None if feature_names is None else tuple(feature_names)
    if labels is not None and labels.shape[:1] != (shape[0],):
        msg = f"{path.name} must have one label for each of its {shape[0]} samples; got shape {labels.shape}."
        raise InvalidValueError(msg)
    return CsrSource(path, (shape[0], shape[1]), limits, columns, values, labels, names)


def _limits(stored: StoredVector, n_samples: int, n_entries: int, path: Path) -> NDArray[np.int64]:
    """Read where the rows begin, and make sure that they do so among the entries."""
    got = f"{stored.length} numbers"
    if stored.length == n_samples + 1:
        limits = np.empty(stored.length, dtype=np.int64)
        stored.read_into(0, limits)
        rises = bool((limits[1:] >= limits[:-1]).all())
        if limits[0] == 0 and limits[-1] <= n_entries and rises:
            return limits
        got += f" from {limits[0]} to {limits[-1]}{'' if rises else ', some of them falling'}"
    msg = (
        f"{path.name} must hold an indptr of {n_samples + 1} numbers that rise from 0 to at most {n_entries}, which is "
        f"how many entries there are; got {got}. Write it again."
    )
    raise InvalidValueError(msg)


def _vector_file(path: Path) -> StoredVector:
    """Return where the numbers of an ``.npy`` file are."""
    shape, _, stored, offset, stamp = read_npy_header(path)
    return StoredVector(path, stored, offset, _length(shape, path), stamp)


def _vector_member(archive: zipfile.ZipFile, file: BinaryIO, path: Path, name: str, stamp: FileStamp) -> StoredVector:
    """Return where the numbers of a member of an archive are."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        msg = (
            f"`path` must name an archive that is not compressed; got {path}, of which rows cannot be read alone. Use "
            "scipy.sparse.save_npz(path, X, compressed=False), or write_csr(folder, scipy.sparse.load_npz(path))."
        )
        raise InvalidValueError(msg)
    with archive.open(info) as member:
        npy_format.read_magic(member)
        shape, _, stored = npy_format.read_array_header_1_0(member)
        head = member.tell()
    file.seek(info.header_offset + _ZIP_HEAD_BYTES - 4)
    lengths = np.frombuffer(file.read(4), dtype="<u2")  # of the name, and of what else there is to say
    offset = info.header_offset + _ZIP_HEAD_BYTES + int(lengths.sum()) + head
    length = _length(shape, path)
    if head + length * stored.itemsize > info.file_size or offset + length * stored.itemsize > stamp.size:
        msg = f"`path` must name an intact archive; got {path}, whose {name} is cut off. Copy or write it again."
        raise InvalidValueError(msg)
    return StoredVector(path, stored, offset, length, stamp)


def _small_member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Return a member of a few numbers."""
    with archive.open(f"{name}.npy") as member:
        npy_format.read_magic(member)
        shape, _, dtype = npy_format.read_array_header_1_0(member)
        if dtype.hasobject or len(shape) > 1 or max((dtype.itemsize, *shape)) > 64:
            msg = f"its {name} has the dtype {dtype} and the shape {shape}"
            raise ValueError(msg)
        count = int(np.prod(shape))
        return np.frombuffer(member.read(count * dtype.itemsize), dtype=dtype, count=count).reshape(shape)


def _length(shape: tuple[int, ...], path: Path) -> int:
    """Return how many numbers there are."""
    if len(shape) != 1 or shape[0] < 0:
        msg = f"{path.name} must hold one dimension; got shape {shape}. Write it again."
        raise InvalidValueError(msg)
    return shape[0]
