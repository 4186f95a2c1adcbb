# SPDX-License-Identifier: BSD-3-Clause
"""Write sparse samples as a folder from which any run of rows can be read."""

__all__ = ["write_csr"]

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import backend_of, to_host
from softmax_xp.data.csr_source import CSR_SHAPE
from softmax_xp.data.npy_source import npy_writer
from softmax_xp.data.source import SparseSource, is_sparse_source
from softmax_xp.data.sparse import bounded_slices, is_sparse
from softmax_xp.data.sparse_source import CsrArraySource
from softmax_xp.data.streamed import StreamedRows
from softmax_xp.errors import InvalidTypeError, InvalidValueError

# Entries that are held at once.
_ENTRIES = 1 << 20


class _FewerEntriesError(Exception):
    """Some entries stand twice, and were added."""


def write_csr(folder: str | os.PathLike[str], samples: Any, labels: Any = None) -> Path:
    """Write sparse samples as a folder that :func:`~softmax_xp.data.open_source` opens.

    It holds ``indptr.npy``, ``indices.npy`` and ``data.npy``, the arrays of a CSR matrix; ``csr.json``, its shape; and
    ``labels.npy``, if there are labels. What is read slowly each time, such as svmlight text, is so converted once.

    Parameters
    ----------
    folder : path-like
        Where to. Must not exist: it gets its name when it is whole.
    samples : sparse matrix or array, or sparse Source, of shape (n_samples, n_features)
        Real and finite. Of SciPy or CuPy, in any form; or from :func:`~softmax_xp.data.open_source`, to be read some
        rows at a time.
    labels : array_like of shape (n_samples,), optional
        One for each row, numbers or strings; or soft targets of shape (n_samples, n_classes). By default those of the
        source.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InvalidTypeError
        If `samples` are not sparse.
    InvalidValueError
        If the folder exists, the labels do not fit, or an entry is not finite.

    Examples
    --------
    >>> import tempfile, scipy.sparse
    >>> from softmax_xp.data import open_source, write_csr
    >>> with tempfile.TemporaryDirectory() as temporary:
    ...     folder = write_csr(f"{temporary}/words", scipy.sparse.eye_array(4), labels=[0, 1, 0, 1])
    ...     open_source(folder).shape
    (4, 4)
    """
    folder = Path(folder)
    if folder.exists():
        msg = f"`folder` must not exist yet; got {folder}. Remove it, or choose another name."
        raise InvalidValueError(msg)
    source = _source_of(samples)
    written_labels = _labels_of(source.labels if labels is None else labels, source.shape[0])
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}-{os.urandom(4).hex()}")
    temporary.mkdir()
    try:
        _write_entries(temporary, source)
        if written_labels is not None:
            np.save(temporary / "labels.npy", written_labels, allow_pickle=False)
        (temporary / CSR_SHAPE).write_text(json.dumps({"shape": list(source.shape)}) + "\n", encoding="utf-8")
        temporary.rename(folder)
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(temporary)
        raise
    return folder


def _source_of(samples: Any) -> SparseSource:
    """Return sparse samples of any kind as a source."""
    if is_sparse(samples):
        return CsrArraySource.of(samples)
    if not is_sparse_source(samples):
        msg = (
            f"`samples` must be a sparse matrix of SciPy or CuPy, or a sparse source; got {type(samples).__name__}. "
            "Pass open_source(path) of an svmlight file, or scipy.sparse.csr_array(X)."
        )
        raise InvalidTypeError(msg)
    source: SparseSource = samples
    return source


def _labels_of(labels: Any, n_samples: int) -> NDArray[Any] | None:
    """Return labels that can be written without pickling."""
    if labels is None:
        return None
    values: NDArray[Any] = to_host(labels)
    if values.dtype.kind == "O":
        kinds = {type(label) for label in values.ravel().tolist()}
        if kinds != {str}:
            msg = f"`labels` must be all numbers or all strings to be written; got {sorted(map(str, kinds))}."
            raise InvalidValueError(msg)
        values = values.astype(str)
    if values.ndim == 0 or values.shape[0] != n_samples:
        msg = f"`labels` must hold one label for each of the {n_samples} samples; got shape {values.shape}."
        raise InvalidValueError(msg)
    return values


def _write_entries(folder: Path, source: SparseSource) -> None:
    """Write the three arrays, some rows at a time; the rows are checked on the way."""
    rows = StreamedRows(source, backend_of(np.empty(0)))
    parts = bounded_slices(source.limits, [slice(0, source.shape[0])], _ENTRIES)
    try:
        _write_rows(folder, rows, parts, source.limits, source.dtype)
    except _FewerEntriesError:
        # How many there are is known when all have been read; their sums are in float64.
        lengths = np.concatenate([np.diff(rows.read(part).indptr) for part in parts])
        limits = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        _write_rows(folder, rows, parts, limits, np.dtype(np.float64))


def _write_rows(
    folder: Path, rows: StreamedRows, parts: list[slice], limits: NDArray[np.int64], dtype: np.dtype[Any]
) -> None:
    """Write rows that have so many entries."""
    count, index = (int(limits[-1]),), np.int32 if rows.shape[1] <= 2**31 - 1 else np.int64
    np.save(folder / "indptr.npy", limits)
    with (
        npy_writer(folder / "indices.npy", count, index) as append_columns,
        npy_writer(folder / "data.npy", count, dtype) as append_values,
    ):
        for part in parts:
            chunk = rows.read(part)
            if chunk.data.shape[0] != limits[part.stop] - limits[part.start]:
                raise _FewerEntriesError
            append_columns(chunk.indices)
            append_values(chunk.data)
