# SPDX-License-Identifier: BSD-3-Clause
"""Read IDX files, the format of MNIST and its relatives, plain or gzipped."""

__all__ = ["read_idx"]

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from softmax_xp.errors import DataNotFoundError, InvalidValueError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
# Deflate cannot pack more than 1032 bytes into one, so a header that promises more is damaged.
_MAX_COMPRESSION = 1032


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one array from an IDX file; a name that ends in ``.gz`` is unpacked on the way.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    array of the shape and dtype in the header
        A writable array in native byte order.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidValueError
        If the file is damaged, cut short, too long or of another format.
    """
    path = Path(path)
    opener = cast("Callable[[Path, str], BinaryIO]", gzip.open if path.suffix == ".gz" else open)
    try:
        with opener(path, "rb") as file:
            shape, dtype = _read_header(file, path)
            n_bytes = math.prod(shape) * dtype.itemsize
            limit = path.stat().st_size * (_MAX_COMPRESSION if path.suffix == ".gz" else 1)
            if n_bytes > limit:  # checked before anything of that size is allocated
                raise _damaged(path, f"its header promises {n_bytes} bytes of shape {shape}, more than it can hold")
            data = bytearray(n_bytes)
            n_read = file.readinto(data)  # type: ignore[attr-defined]
            if n_read != n_bytes:
                raise _damaged(path, f"it ends after {n_read} of {n_bytes} bytes of data")
            # Reading on also makes gzip compare its checksum.
            if file.read(1):
                raise _damaged(path, f"it goes on after the {n_bytes} bytes of shape {shape} in its header")
    except FileNotFoundError as error:
        msg = f"`path` must name an IDX file; got {path}, which does not exist."
        raise DataNotFoundError(msg) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and the dtype that the header gives."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or magic[3] == 0:
        raise _damaged(path, f"it starts with {magic.hex(' ') or 'nothing'}, which is no IDX header")
    lengths = file.read(4 * magic[3])
    if len(lengths) != 4 * magic[3]:
        raise _damaged(path, "it ends within its header")
    return struct.unpack(f">{magic[3]}I", lengths), np.dtype(_DTYPES[magic[2]])


def _damaged(path: Path, reason: str) -> InvalidValueError:
    """Build the error for a file that cannot be read."""
    msg = f"`path` must name an intact IDX file; got {path}: {reason}. Fetch the file again."
    return InvalidValueError(msg)
