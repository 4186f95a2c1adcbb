# SPDX-License-Identifier: BSD-3-Clause
"""One function that opens any storage to be read in rows, and the table of formats it looks in."""

__all__ = ["FOLDER_OPENERS", "SOURCE_OPENERS", "open_source", "source_and_labels", "source_of"]

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import to_host
from softmax_xp.data.array_store import open_hdf5, open_zarr, stored_source
from softmax_xp.data.arrow_source import open_arrow, open_parquet
from softmax_xp.data.columns import check_feature_count
from softmax_xp.data.csr_source import CSR_MARK, open_csr, open_sparse_npz
from softmax_xp.data.dask_source import DaskSource, is_dask, on_host
from softmax_xp.data.npy_source import open_npy, read_npy_header
from softmax_xp.data.numpy_files import load_label_file
from softmax_xp.data.sharded import ShardedSource, natural_order
from softmax_xp.data.source import Source, is_source
from softmax_xp.data.streamed import is_streamed
from softmax_xp.data.svmlight_source import SvmlightSource, open_svmlight
from softmax_xp.errors import DataNotFoundError, InvalidTypeError, InvalidValueError

# An opener takes (path, target, feature_names) and opens one file or folder.
_Opener: TypeAlias = Callable[[Path, str | None, Sequence[str] | None], Source]


def _open_npy_file(path: Path, target: str | None, feature_names: Sequence[str] | None) -> Source:
    """Open one ``.npy`` file."""
    source = open_npy(path)
    _refuse_target(target, path)
    check_feature_count(source.shape[1], feature_names, path.name)
    return source if feature_names is None else replace(source, feature_names=tuple(feature_names))


# Openers by suffix, of one file each.
SOURCE_OPENERS: Mapping[str, _Opener] = MappingProxyType({
    ".arrow": open_arrow,
    ".feather": open_arrow,
    ".h5": open_hdf5,
    ".hdf5": open_hdf5,
    ".libsvm": open_svmlight,
    ".npy": _open_npy_file,
    ".npz": open_sparse_npz,
    ".parquet": open_parquet,
    ".svm": open_svmlight,
    ".svmlight": open_svmlight,
})

# Openers of folders that hold one source, by a file that each of them has.
FOLDER_OPENERS: Mapping[str, _Opener] = MappingProxyType({
    CSR_MARK: open_csr,
    ".zarray": open_zarr,
    ".zgroup": open_zarr,
    "zarr.json": open_zarr,
})

# Files of these suffixes are put together where a folder holds several.
_SHARD_SUFFIXES = (".arrow", ".feather", ".npy", ".parquet")
# In these one array among several is the samples.
_STORES = frozenset({open_hdf5, open_zarr})


def open_source(
    path: str | os.PathLike[str],
    *,
    labels: Any = None,
    target: str | None = None,
    feature_names: Sequence[str] | None = None,
    n_features: int | None = None,
    dataset: str | None = None,
) -> Source:
    """Open samples that stay in their storage: they are read as a fit goes over them, and need not fit in memory.

    Parameters
    ----------
    path : path-like
        A file: ``.npy``, ``.parquet``, ``.arrow`` or ``.feather``. Or a folder of files of one of these formats, such
        as Hugging Face's on-disk data sets, which are taken in the order of their names (2 before 10). In a folder
        ``.npy`` files with one dimension hold the labels. HDF5 files (``.h5``, ``.hdf5``) and Zarr folders. Or sparse
        samples: a folder from :func:`~softmax_xp.data.write_csr`, ``.npz`` of ``scipy.sparse.save_npz(...,
        compressed=False)``, and svmlight text (``.svmlight``, ``.svm``, ``.libsvm``).
    labels : array_like of shape (n_samples,) or path-like, optional
        The labels, in memory or in a file: ``.npy``, or text of one label per line.
    target : str, optional
        The column of the labels, in formats that have columns, or their array in HDF5 and Zarr; by default the one
        called "target", "label", "class" or "y", if there is one.
    feature_names : sequence of str, optional
        The columns to read, in this order; for formats without names, what the columns are called.
    n_features : int, optional
        How many features there are. Svmlight text does not say it: the last ones may not occur in a file.
    dataset : str, optional
        The array of the samples in HDF5 and Zarr; by default the only one of two dimensions.

    Returns
    -------
    Source
        What ``fit`` and ``predict`` take as ``X``; its ``labels`` are in memory.

    Raises
    ------
    DataNotFoundError
        If there is no such file or folder.
    InvalidTypeError
        If `path` is no path, or the samples are not real numbers.
    InvalidValueError
        If the format is unknown, a file is damaged or empty, or files or labels do not fit each other.
    MissingDependencyError
        If a package that the format needs is not installed.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/samples-1.npy", np.zeros((4, 2)))
    ...     np.save(f"{folder}/samples-2.npy", np.ones((3, 2)))
    ...     open_source(folder, labels=[0, 1, 0, 1, 1, 1, 0]).shape
    (7, 2)
    """
    if not isinstance(path, str | os.PathLike):
        msg = f"`path` must be the path of a file or folder; got {type(path).__name__}."
        raise InvalidTypeError(msg)
    path = Path(path)
    if labels is not None and target is not None:
        msg = f"`labels` and `target` must not both be given; got labels and {target!r}. Pass one."
        raise InvalidValueError(msg)
    if not path.exists():
        msg = f"`path` must name a file or a folder; got {path}, which does not exist."
        raise DataNotFoundError(msg)
    opener = _folder_opener(path) if path.is_dir() else _opener(path)
    if dataset is not None:
        if opener not in _STORES:
            msg = f"`dataset` must be None unless the file is HDF5 or Zarr; got {dataset!r} for {path.name}."
            raise InvalidValueError(msg)
        opener = cast("_Opener", partial(opener, dataset=dataset))
    source = opener(path, target, feature_names)
    if n_features is not None:
        source = _widened(source, n_features)
        if source.shape[1] != n_features:
            msg = f"`n_features` must be {source.shape[1]}, as many as {source.name} has; got {n_features}."
            raise InvalidValueError(msg)
    return source if labels is None else _with_labels(source, labels)


def source_of(
    X: Any, *, target: str | None = None, feature_names: Sequence[str] | None = None, n_features: int | None = None
) -> Source | None:
    """Return the source that ``X`` is, or names; None for arrays.

    Parameters
    ----------
    X : object
        What the user passed.
    target : str, optional
        The column of the labels.
    feature_names : sequence of str, optional
        The columns to read.
    n_features : int, optional
        To how many features svmlight text is widened, if it has fewer.

    Returns
    -------
    Source or None
        Opened where ``X`` is a path.

    Raises
    ------
    InvalidValueError
        For a target where there is no path that has columns.
    """
    if isinstance(X, str | os.PathLike):
        names = None if feature_names is None else list(feature_names)  # of an array, too
        source = open_source(X, target=target, feature_names=names)
        return source if n_features is None else _widened(source, n_features)
    if target is not None:
        msg = f"`target` must be None unless `X` is the path of a table; got {target!r} with X of {type(X).__name__}."
        raise InvalidValueError(msg)
    if is_streamed(X):
        streamed: Source = X.source
        return streamed
    if is_dask(X):
        return DaskSource.of(X)
    return X if is_source(X) else stored_source(X)


def source_and_labels(X: Any, y: Any, *, target: str | None = None) -> tuple[Source | None, Any]:
    """Return the source that ``X`` is, or names, and the labels of a fit.

    Parameters
    ----------
    X : object
        What the user passed as samples.
    y : object
        As labels: None stands for those of the source, a path for a file of labels.
    target : str, optional
        The column of the labels.

    Returns
    -------
    source : Source or None
        None where ``X`` is an array.
    y : object
        The labels, as they were passed or read.

    Raises
    ------
    InvalidValueError
        If there are two sources of labels, or none.
    """
    if y is not None and target is not None:
        msg = f"`y` and `target` must not both be given; got labels and the column {target!r}. Pass one."
        raise InvalidValueError(msg)
    source, y = source_of(X, target=target), on_host(y)
    if isinstance(y, str | os.PathLike):
        return source, load_label_file(y)
    if source is None or y is not None:
        return source, y
    if source.labels is None:
        msg = f"`y` must be given for {source.name}, which holds no labels; got None. Pass y, or open_source(labels=)."
        raise InvalidValueError(msg)
    return source, source.labels


def _folder_opener(folder: Path) -> _Opener:
    """Return what opens a folder: as one source that is known by a file, or as shards."""
    return next((opener for mark, opener in FOLDER_OPENERS.items() if (folder / mark).is_file()), _open_shards)


def _widened(source: Source, n_features: int) -> Source:
    """Return a source with as many features, if it may have more than it seems."""
    if isinstance(source, SvmlightSource) and source.shape[1] < n_features:
        return replace(source, shape=(source.shape[0], n_features))
    return source


def _opener(path: Path) -> _Opener:
    """Return what opens a file of this suffix."""
    for suffix, opener in SOURCE_OPENERS.items():
        if path.name.lower().endswith(suffix):
            return opener
    msg = (
        f"`path` must name a folder or a file ending in {', '.join(SOURCE_OPENERS)}; got {path}. "
        "Load other formats into memory with softmax_xp.data.load_dataset."
    )
    raise InvalidValueError(msg)


def _open_shards(folder: Path, target: str | None, feature_names: Sequence[str] | None) -> Source:
    """Open the files of a folder as one; hidden files and those of other formats do not count."""
    paths = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith((".", "_"))]
    suffixes = {suffix for suffix in _SHARD_SUFFIXES if any(path.name.lower().endswith(suffix) for path in paths)}
    if len(suffixes) != 1:
        what = f"files ending in {' and '.join(sorted(suffixes))}" if suffixes else "no such file"
        msg = f"`path` must hold files of one format, ending in {' or '.join(_SHARD_SUFFIXES)}; got {what} in {folder}."
        raise InvalidValueError(msg)
    (suffix,) = suffixes
    listed = _listed_files(folder)
    ordered = natural_order(path for path in paths if path.name.lower().endswith(suffix)) if listed is None else listed
    label_files = [path for path in ordered if suffix == ".npy" and len(read_npy_header(path)[0]) == 1]
    shards = [_opener(path)(path, target, feature_names) for path in ordered if path not in label_files]
    whole = ShardedSource(shards, folder.name)
    if not label_files:
        return whole
    return _with_labels(whole, np.concatenate([load_label_file(path) for path in label_files]))


def _listed_files(folder: Path) -> list[Path] | None:
    """Return the files that Hugging Face's list names: beside the data there may be caches of what was made of them."""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return [folder / Path(entry["filename"]).name for entry in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _with_labels(source: Source, labels: Any) -> Source:
    """Return a source with other labels."""
    if isinstance(labels, str | os.PathLike):
        labels = load_label_file(labels)
    values: NDArray[Any] = to_host(labels)
    if values.ndim == 0 or values.shape[0] != source.shape[0]:
        msg = (
            f"`labels` must hold one label for each of the {source.shape[0]} samples of {source.name}; got shape "
            f"{values.shape}."
        )
        raise InvalidValueError(msg)
    return replace(source, labels=values)  # type: ignore[type-var]  # every source is a dataclass


def _refuse_target(target: str | None, path: Path) -> None:
    """Say where the labels of a format without columns are."""
    if target is not None:
        msg = (
            f"`target` must be None for {path.name}, which has no columns with names; got {target!r}. Pass `labels` "
            "(on the command line: --labels)."
        )
        raise InvalidValueError(msg)
