# SPDX-License-Identifier: BSD-3-Clause
"""Named arrays and text metadata in a safetensors file, with a checksum and atomic replacement.

The format stores no code, so a file from anywhere can be read without running any of it. It has no
checksum either; one over the whole content is kept in the metadata.
"""

__all__ = ["read_tensors", "write_tensors"]

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from softmax_xp.errors import DataNotFoundError, InvalidTypeError, InvalidValueError, ModelFileError
from softmax_xp.io.atomic import replace_file

_DTYPES = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in _DTYPES.items()}
_CHECKSUM = "sha256"
# A list of empty lists becomes twenty times as large when JSON is read. The format itself would allow 100 MB.
_MAX_HEADER_BYTES = 1 << 24
_MAX_NDIM = 32


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write arrays and metadata to a safetensors file, whole or not at all.

    The content goes to a temporary file in the same folder, reaches the disk, and only then takes the
    place of `path`: whoever reads `path` sees the old file or the new one, also after a crash.

    Parameters
    ----------
    path : path-like
        The file to write or replace; a symbolic link is followed.
    tensors : mapping of str to array
        Host arrays of booleans, integers or floats, in any memory and byte order.
    metadata : mapping of str to str
        Text to keep with them. The key "sha256" is taken by the checksum.

    Raises
    ------
    InvalidTypeError
        If an array has a dtype that the format lacks, or a name or metadata value is no string.
    InvalidValueError
        If a name is reserved or cannot be written as UTF-8.
    OSError
        If the file cannot be written; `path` is then unchanged.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     write_tensors(path, {"bias": np.asarray([1.0, 2.0])}, {"note": "two classes"})
    ...     read_tensors(path)
    ({'bias': array([1., 2.])}, {'note': 'two classes'})
    """
    from safetensors.numpy import save

    arrays = {name: _storable(name, tensor) for name, tensor in tensors.items()}
    _check_text(metadata)
    for key in (*arrays, *metadata, *metadata.values()):
        try:
            key.encode("utf-8")
        except UnicodeEncodeError as error:
            msg = f"Names and metadata must be valid Unicode; got {key!r}."
            raise InvalidValueError(msg) from error
    content = save(arrays, metadata={**metadata, _CHECKSUM: _checksum(arrays, metadata)})
    n_bytes = int.from_bytes(content[:8], "little")
    if n_bytes > _MAX_HEADER_BYTES:
        msg = f"Names and metadata must take at most {_MAX_HEADER_BYTES} bytes; got {n_bytes}."
        raise InvalidValueError(msg)
    replace_file(Path(os.path.realpath(path)), content)


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read what :func:`write_tensors` wrote; nothing in the file is trusted before it is checked.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    tensors : dict of str to array
        Writable arrays in native byte order.
    metadata : dict of str to str
        The metadata without the checksum.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, cut short, or not written by this package.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     write_tensors(path, {"bias": np.zeros(2)}, {})
    ...     tensors, metadata = read_tensors(path)
    >>> tensors["bias"].shape
    (2,)
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = _read_header(file, size, path)
            data = file.read()
    except FileNotFoundError as error:
        msg = f"`path` must name a model file; got {path}, which does not exist."
        raise DataNotFoundError(msg) from error
    except IsADirectoryError as error:
        raise _damaged(path, "it is a folder") from error
    metadata = _metadata_of(header, path)
    tensors = _tensors_of(header, data, path)
    claimed = metadata.pop(_CHECKSUM, None)
    if claimed is None:
        raise _damaged(path, "it has no checksum, so it was not written by this package")
    if claimed != _checksum(tensors, metadata):
        raise _damaged(path, "its content does not match its checksum")
    return tensors, metadata


def _storable(name: Any, tensor: Any) -> NDArray[Any]:
    """Return an array in C order and native byte order, of a dtype that the format has."""
    if not isinstance(name, str):
        msg = f"`tensors` must have strings as names; got {name!r}."
        raise InvalidTypeError(msg)
    if name == "__metadata__":
        msg = "`tensors` must not use the name '__metadata__', which the format reserves; got it."
        raise InvalidValueError(msg)
    if not isinstance(tensor, np.ndarray) or tensor.dtype.newbyteorder("=") not in _CODES:
        what = f"dtype {tensor.dtype}" if isinstance(tensor, np.ndarray) else type(tensor).__name__
        msg = f"`tensors` must be NumPy arrays of booleans, integers or floats; got {what} for {name!r}."
        raise InvalidTypeError(msg)
    # NB: not np.ascontiguousarray, which would turn a zero-dimensional array into a vector.
    return np.asarray(tensor, dtype=tensor.dtype.newbyteorder("="), order="C")


def _check_text(metadata: Mapping[Any, Any]) -> None:
    """Check that metadata is text and leaves the checksum's key alone."""
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            msg = f"`metadata` must map strings to strings; got {key!r}: {value!r}. Pass `json.dumps(value)`."
            raise InvalidTypeError(msg)
    if _CHECKSUM in metadata:
        msg = f"`metadata` must not use the key {_CHECKSUM!r}, which holds the checksum; got it."
        raise InvalidValueError(msg)


def _checksum(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of names, dtypes, shapes, metadata and values, whatever their order in the file."""
    names = sorted(tensors)
    description = {
        "metadata": dict(metadata),
        "tensors": [[name, _CODES[tensors[name].dtype], list(tensors[name].shape)] for name in names],
    }
    # JSON in ASCII with sorted keys is one text for one content, lone surrogates from a damaged file included.
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode("ascii"))
    for name in names:
        little = tensors[name].astype(_DTYPES[_CODES[tensors[name].dtype]], copy=False)
        digest.update(little.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _damaged(path: Path, reason: str) -> ModelFileError:
    """Build the error for a file that cannot be read."""
    msg = f"`path` must name an intact model file; got {path}: {reason}."
    return ModelFileError(msg)


def _read_header(file: Any, size: int, path: Path) -> dict[str, Any]:
    """Return the JSON header; its length is checked before anything is allocated."""
    prefix = file.read(8)
    if len(prefix) < 8:
        raise _damaged(path, f"it has only {size} bytes")
    n_bytes = int.from_bytes(prefix, "little")
    if n_bytes > min(size - 8, _MAX_HEADER_BYTES):
        raise _damaged(path, f"its header claims {n_bytes} bytes in a file of {size}")
    try:
        header = json.loads(
            file.read(n_bytes).decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse
        )
    # RecursionError: lists nested thousands deep.
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is not valid JSON ({error})") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no JSON object")
    return header


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, refusing a key that appears twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        msg = "a key appears twice"
        raise ValueError(msg)
    return result


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


def _metadata_of(header: dict[str, Any], path: Path) -> dict[str, str]:
    """Return the metadata, checked to be text."""
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "its metadata is not text")
    return dict(metadata)


def _tensors_of(header: dict[str, Any], data: bytes, path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays, once their extents are known to tile the data without gap or overlap."""
    entries = {name: _extent(entry, name, path) for name, entry in header.items() if name != "__metadata__"}
    for name, (dtype, shape, start, stop) in entries.items():
        if stop - start != math.prod(shape) * dtype.itemsize or stop > len(data):
            raise _damaged(path, f"the extent of {name!r} does not fit its shape or the file")
    position = 0
    for start, stop in sorted((start, stop) for _, _, start, stop in entries.values()):
        if start != position:
            raise _damaged(path, "its arrays overlap or leave gaps")
        position = stop
    if position != len(data):
        raise _damaged(path, f"it has {len(data)} bytes of data where its arrays have {position}")
    # Only now, since arrays that overlap could need any multiple of the file in memory. A copy, since the bytes object
    # is read-only and the extent need not be aligned.
    return {
        name: np.frombuffer(data[start:stop], dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))
        for name, (dtype, shape, start, stop) in entries.items()
    }


def _extent(entry: Any, name: str, path: Path) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """Return dtype, shape, first byte and end of one array, each of the right type and sign."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _damaged(path, f"the entry of {name!r} does not have dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _damaged(path, f"the dtype of {name!r} is unknown")
    # Sizes beside a 0 are multiplied too, since NumPy refuses such a shape when they overflow.
    if not _are_counts(shape) or len(shape) > _MAX_NDIM or math.prod(filter(None, shape)) >= 2**59:
        raise _damaged(path, f"the shape of {name!r} is no list of sizes")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise _damaged(path, f"the offsets of {name!r} are no pair of positions")
    return _DTYPES[dtype], tuple(shape), offsets[0], offsets[1]


def _are_counts(values: Any) -> bool:
    """Tell whether a JSON value is a list of integers of at least 0 (True is no integer here)."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)
