# SPDX-License-Identifier: BSD-3-Clause
"""``.npy`` files that stay on the disk: rows are read from them as they are needed, and written to them as they come.

A memory map would do the reading too. But its pages count as the process's own memory, as many of them as have been
touched; and where a file is cut off underneath a map, the process dies of a signal instead of raising an error.
"""

__all__ = ["NpySource", "npy_writer", "open_npy", "read_npy_header", "read_numbers"]

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast, final

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from softmax_xp.data.file_stamp import FileStamp
from softmax_xp.data.numpy_files import errors_of
from softmax_xp.data.source import check_storage
from softmax_xp.errors import DataChangedError, InvalidValueError

# Numbers in a foreign byte order, or of another kind, pass through so many bytes.
_PASSAGE_BYTES = 1 << 20


@final
@dataclass(frozen=True, slots=True, eq=False)
class NpySource:
    """The samples in an ``.npy`` file; from :func:`open_npy`.

    Parameters
    ----------
    path : path
        The file.
    shape : tuple of int
        ``(n_samples, n_features)``.
    stored : numpy.dtype
        As they are stored, in any byte order.
    offset : int
        Where in the file the first row begins, in bytes.
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
    stored: np.dtype[Any]
    offset: int = field(repr=False)
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
        """As they are read."""
        return self.stored.newbyteorder("=")

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Read the rows from ``start`` on.

        Parameters
        ----------
        start : int
            The first.
        out : numpy.ndarray of shape (some, n_features)
            C-ordered; is filled.

        Raises
        ------
        DataChangedError
            If the file is gone, or not what it was.
        """
        first = self.offset + start * self.shape[1] * self.stored.itemsize
        read_numbers(self.path, self.stamp, first, self.stored, out)


def read_numbers(path: Path, stamp: FileStamp, offset: int, stored: np.dtype[Any], out: NDArray[Any]) -> None:
    """Read numbers that stand one after the other in a file.

    Parameters
    ----------
    path : path
        The file.
    stamp : FileStamp
        Of the file as it was opened.
    offset : int
        Where it begins, in bytes.
    stored : numpy.dtype
        As they are stored, in any byte order.
    out : numpy.ndarray
        C-ordered; is filled. Of another dtype they are converted to it, as NumPy converts.

    Raises
    ------
    DataChangedError
        If the file is gone, or not what it was.
    """
    try:
        # To open it costs 20 microseconds, and a chunk of rows some hundreds; and nothing is left open.
        with path.open("rb", buffering=0) as file:
            stamp.check(file, path)
            file.seek(offset)
            if stored.isnative and stored == out.dtype:
                _fill(file, out, path)
                return
            flat, step = out.reshape(-1), max(_PASSAGE_BYTES // stored.itemsize, 1)
            for first in range(0, flat.shape[0], step):
                part = np.empty(flat[first : first + step].shape, dtype=stored)
                _fill(file, part, path)
                flat[first : first + step] = part
    except FileNotFoundError as error:
        msg = f"`source` must stay as it is while it is read; got {path}, which is gone."
        raise DataChangedError(msg) from error


def _fill(file: BinaryIO, out: NDArray[Any], path: Path) -> None:
    """Read as many bytes as an array has: one read may bring fewer."""
    if out.size == 0:
        return
    view = memoryview(cast("Any", out)).cast("B")
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]  # of an unbuffered file
        if not count:
            msg = f"`source` must stay as it is while it is read; got {path}, which ends {len(view)} bytes too early."
            raise DataChangedError(msg)
        view = view[count:]


def open_npy(path: str | os.PathLike[str]) -> NpySource:
    """Open an ``.npy`` file of samples without reading them.

    Parameters
    ----------
    path : path-like
        A file with one C-ordered array of shape (n_samples, n_features). Never unpickled.

    Returns
    -------
    NpySource
        Its samples.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidTypeError
        If it does not hold real numbers.
    InvalidValueError
        If the file is damaged or cut off, or holds no matrix, or one stored column by column.
    """
    path = Path(path)
    shape, is_fortran, dtype, offset, stamp = read_npy_header(path)
    check_storage(shape, dtype, path.name)
    if is_fortran and min(shape) > 1:
        msg = (
            f"{path.name} must be stored row by row to be read in rows; got one stored column by column. Write it anew "
            "with np.save(path, np.ascontiguousarray(X)), or pass the loaded array."
        )
        raise InvalidValueError(msg)
    return NpySource(path, (shape[0], shape[1]), dtype, offset, stamp)


def read_npy_header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int, FileStamp]:
    """Return what the head of an ``.npy`` file says, and make sure that the file is as long as it says.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    shape : tuple of int
        Of the array.
    is_fortran : bool
        Whether it is stored column by column.
    dtype : numpy.dtype
        As stored.
    offset : int
        Where the numbers begin, in bytes.
    stamp : FileStamp
        Of the file.
    """
    with errors_of(path), path.open("rb") as file:
        if file.read(2) == b"PK":
            msg = f"`path` must name an .npy file; got {path}, which is an archive. Pass load_dataset's X of it."
            raise InvalidValueError(msg)
        file.seek(0)
        version = npy_format.read_magic(file)
        readers: dict[tuple[int, int], Callable[[BinaryIO], Any]] = {
            (1, 0): npy_format.read_array_header_1_0,
            (2, 0): npy_format.read_array_header_2_0,
        }
        if version not in readers:  # version 3 is for structured arrays with names beyond ASCII
            msg = f"its format has the version {version}, which is for structured arrays"
            raise ValueError(msg)
        shape, is_fortran, dtype = readers[version](file)
        offset, stamp = file.tell(), FileStamp.of(file)
    n_bytes = dtype.itemsize
    for length in shape:
        n_bytes *= length
    if not dtype.hasobject and stamp.size < offset + n_bytes:
        msg = (
            f"`path` must name an intact NumPy file; got {path}, which is cut off: its head promises {n_bytes} bytes "
            f"of numbers, and there are {stamp.size - offset}. Copy or write it again."
        )
        raise InvalidValueError(msg)
    return shape, is_fortran, dtype, offset, stamp


@contextmanager
def npy_writer(
    path: str | os.PathLike[str], shape: tuple[int, ...], dtype: Any
) -> Iterator[Callable[[NDArray[Any]], None]]:
    """Write an ``.npy`` file one run of rows after the other; it gets its name when it is whole.

    Parameters
    ----------
    path : path-like
        Where to. A file of that name is replaced at the end, and stays as it is if something fails.
    shape : tuple of int
        Of the whole.
    dtype : dtype
        Of the numbers, or strings.

    Yields
    ------
    callable
        Appends an array of shape (some, *shape[1:]).

    Raises
    ------
    InvalidValueError
        For Python objects, and when the runs do not add up to the whole.
    """
    path, dtype = Path(path), np.dtype(dtype)
    if dtype.hasobject:
        msg = f"`dtype` must be one of numbers or strings to be written; got {dtype}."
        raise InvalidValueError(msg)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    written = 0
    try:
        with temporary.open("xb") as file:
            header = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
            npy_format.write_array_header_1_0(file, header)

            def append(rows: NDArray[Any]) -> None:
                nonlocal written
                file.write(np.ascontiguousarray(rows, dtype=dtype).data)
                written += rows.shape[0]

            yield append
        _check_written(written, shape)
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def _check_written(written: int, shape: tuple[int, ...]) -> None:
    """Raise unless all rows were written."""
    if written != shape[0]:
        msg = f"`shape` must be that of what is written; got {shape} for {written} rows."
        raise InvalidValueError(msg)
