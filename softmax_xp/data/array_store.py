# SPDX-License-Identifier: BSD-3-Clause
"""HDF5 files and Zarr folders, which hold several arrays by name: one of them is the samples, one may be the labels.

Rows are read as they are needed, in whatever chunks the arrays are stored; a chunk that is cut by two reads is decoded
twice. A source of an HDF5 file opens it for each read. A Zarr array holds no open file by itself.
"""

__all__ = ["Hdf5Source", "ZarrSource", "open_hdf5", "open_zarr", "stored_source"]

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.columns import TARGET_NAMES, check_feature_count
from softmax_xp.data.file_stamp import FileStamp
from softmax_xp.data.source import check_storage
from softmax_xp.errors import DataChangedError, InvalidTypeError, InvalidValueError, MissingDependencyError

_LABEL_NAMES = (*TARGET_NAMES, "labels", "targets")


@final
@dataclass(frozen=True, slots=True, eq=False)
class Hdf5Source:
    """The samples in an HDF5 file; from :func:`open_hdf5`.

    Parameters
    ----------
    path : path
        The file.
    dataset : str
        Which of its data sets.
    shape : tuple of int
        ``(n_samples, n_features)``.
    stored : numpy.dtype
        As they are stored.
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
    dataset: str
    shape: tuple[int, int]
    stored: np.dtype[Any]
    stamp: FileStamp = field(repr=False)
    labels: NDArray[Any] | None = field(default=None, repr=False)
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None

    @property
    def name(self) -> str:
        """The file's, and that of the data set."""
        return f"{self.path.name}:{self.dataset}"

    @property
    def dtype(self) -> np.dtype[Any]:
        """As they are read."""
        return self.stored.newbyteorder("=")

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Read the rows from ``start`` on into ``out``; DataChangedError if the file is not what it was."""
        self.stamp.check(self.path, self.path)
        try:
            with _h5py().File(self.path, "r") as file:
                file[self.dataset].read_direct(out, np.s_[start : start + out.shape[0]])
        except (OSError, KeyError) as error:
            msg = f"`source` must stay as it is while it is read; got {self.path}, which cannot be read: {error}."
            raise DataChangedError(msg) from error


@final
@dataclass(frozen=True, slots=True, eq=False)
class ZarrSource:
    """The samples in a Zarr array; from :func:`open_zarr`.

    Parameters
    ----------
    array : zarr.Array of shape (n_samples, n_features)
        In any store.
    labels : numpy.ndarray of shape (n_samples,), optional
        One for each row.
    feature_names : tuple of str, optional
        One for each column.
    target_name : str, optional
        What the labels are called.
    name : str, default: "a Zarr array"
        What to call it in messages.

    Raises
    ------
    InvalidTypeError
        If it does not hold real numbers.
    InvalidValueError
        If it is no matrix, or empty.
    """

    array: Any = field(repr=False)
    labels: NDArray[Any] | None = field(default=None, repr=False)
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None
    name: str = "a Zarr array"

    def __post_init__(self) -> None:
        """Check the array."""
        check_storage(tuple(self.array.shape), np.dtype(self.array.dtype), self.name)

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_samples, n_features)``."""
        return int(self.array.shape[0]), int(self.array.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """As they are read."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype.newbyteorder("=")

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Read the rows from ``start`` on into ``out``; DataChangedError if they cannot be read any more."""
        try:
            out[...] = self.array[start : start + out.shape[0]]
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            msg = f"`source` must stay as it is while it is read; got {self.name}, which cannot be read: {error}."
            raise DataChangedError(msg) from error


def open_hdf5(
    path: Path, target: str | None = None, feature_names: Sequence[str] | None = None, dataset: str | None = None
) -> Hdf5Source:
    """Open an HDF5 file.

    Parameters
    ----------
    path : path
        The file.
    target : str, optional
        The data set of the labels; by default the one called "target", "label", "class", "y", "labels" or "targets".
    feature_names : sequence of str, optional
        What the columns are called.
    dataset : str, optional
        That of the samples; by default the only one of two dimensions.

    Returns
    -------
    Hdf5Source
        Its samples, with the labels in memory.

    Raises
    ------
    InvalidTypeError
        If the samples are not real numbers.
    InvalidValueError
        If the file is damaged, or it is not clear which are the samples.
    MissingDependencyError
        If h5py is not installed.
    """
    h5py = _h5py()
    stamp = FileStamp.of(path)
    try:
        with h5py.File(path, "r") as file:
            arrays: dict[str, Any] = {}
            file.visititems(lambda name, item: arrays.update({name: item}) if isinstance(item, h5py.Dataset) else None)
            chosen, target = _choose(arrays, dataset, target, path.name)
            item, labels = arrays[chosen], None
            shape, stored = tuple(item.shape), item.dtype
            if target is not None:
                found = arrays[target]
                labels = np.asarray(found.asstr()[...] if h5py.check_string_dtype(found.dtype) else found[...])
    except OSError as error:
        msg = f"`path` must name an intact HDF5 file; got {path}: {error}."
        raise InvalidValueError(msg) from error
    source_name = f"{path.name}:{chosen}"
    check_storage(shape, stored, source_name)
    names = _checked(shape, labels, feature_names, source_name)
    return Hdf5Source(path, chosen, (shape[0], shape[1]), stored, stamp, _plain(labels), names, target)


def open_zarr(
    path: Path, target: str | None = None, feature_names: Sequence[str] | None = None, dataset: str | None = None
) -> ZarrSource:
    """Open a Zarr folder.

    Parameters
    ----------
    path : path
        The folder of an array, or of a group of them.
    target, feature_names, dataset : optional
        As for :func:`open_hdf5`.

    Returns
    -------
    ZarrSource
        Its samples, with the labels in memory.

    Raises
    ------
    InvalidTypeError
        If the samples are not real numbers.
    InvalidValueError
        If the folder is damaged, or it is not clear which are the samples.
    MissingDependencyError
        If zarr is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        msg = f"{path.name} needs zarr, which is not installed. Install it with: pip install 'softmax-xp[zarr]'"
        raise MissingDependencyError(msg) from error
    try:
        opened = zarr.open(str(path), mode="r")
        members: Iterable[tuple[str, Any]] = [("", opened)]
        if not hasattr(opened, "shape"):
            members = opened.members(max_depth=None)
        arrays = {name: item for name, item in members if hasattr(item, "shape")}
        chosen, target = _choose(arrays, dataset, target, path.name)
        labels = None if target is None else np.asarray(arrays[target][...])
    except (OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, InvalidValueError):
            raise
        msg = f"`path` must name an intact Zarr folder; got {path}: {error}."
        raise InvalidValueError(msg) from error
    source_name = f"{path.name}:{chosen}" if chosen else path.name
    names = _checked(tuple(arrays[chosen].shape), labels, feature_names, source_name)
    return ZarrSource(arrays[chosen], _plain(labels), names, target, source_name)


def stored_source(X: Any) -> Hdf5Source | ZarrSource | None:
    """Return the source of an ``h5py.Dataset`` or a ``zarr.Array``; None for all else.

    Parameters
    ----------
    X : object
        What the user passed as samples.

    Returns
    -------
    Hdf5Source, ZarrSource or None
        Without labels.

    Raises
    ------
    InvalidTypeError
        If it does not hold real numbers, or is in no file.
    InvalidValueError
        If it is no matrix, or empty.
    """
    library = type(X).__module__.partition(".")[0]
    if library == "zarr" and hasattr(X, "shape"):
        return ZarrSource(X)
    if library != "h5py" or not hasattr(X, "shape"):
        return None
    path, name = Path(X.file.filename), X.name.strip("/")
    check_storage(tuple(X.shape), X.dtype, f"{path.name}:{name}")
    if not path.is_file() or X.file.mode != "r":
        msg = (
            f"`X` must be a data set of a file that is open for reading only; got {name!r} of {path}, mode "
            f"{X.file.mode!r}. Close the file and pass open_source(path), or X[...] if it fits in memory."
        )
        raise InvalidTypeError(msg)
    return Hdf5Source(path, name, (X.shape[0], X.shape[1]), X.dtype, FileStamp.of(path))


def _choose(arrays: Mapping[str, Any], dataset: str | None, target: str | None, name: str) -> tuple[str, str | None]:
    """Return which arrays are the samples and the labels."""
    for what, asked in (("dataset", dataset), ("target", target)):
        if asked is not None and asked not in arrays:
            msg = f"`{what}` must be an array in {name}; got {asked!r}. There are {sorted(arrays)}."
            raise InvalidValueError(msg)
    matrices = [key for key, item in arrays.items() if len(item.shape) == 2 and np.dtype(item.dtype).kind in "biuf"]
    if dataset is None and len(matrices) != 1:
        msg = (
            f"{name} must have one array of two dimensions; got {sorted(matrices)} among {sorted(arrays)}. Pass "
            "open_source(path, dataset=...)."
        )
        raise InvalidValueError(msg)
    chosen = matrices[0] if dataset is None else dataset
    if target is not None:
        return chosen, target
    found = [
        key
        for key, item in arrays.items()
        if key.rpartition("/")[2].lower() in _LABEL_NAMES and len(item.shape) == 1 and key != chosen
    ]
    if len(found) > 1:
        msg = f"{name} must have one array of labels; got {sorted(found)}. Pass `target`."
        raise InvalidValueError(msg)
    return chosen, found[0] if found else None


def _checked(
    shape: tuple[int, ...], labels: NDArray[Any] | None, feature_names: Sequence[str] | None, name: str
) -> tuple[str, ...] | None:
    """Compare labels and names with the samples; return the names."""
    if labels is not None and labels.shape[:1] != shape[:1]:
        msg = f"{name} must have one label for each of its {shape[0]} samples; got shape {labels.shape}."
        raise InvalidValueError(msg)
    check_feature_count(shape[-1] if shape else 0, feature_names, name)
    return None if feature_names is None else tuple(feature_names)


def _plain(labels: NDArray[Any] | None) -> NDArray[Any] | None:
    """Return labels whose strings are NumPy's own: those of the libraries are Python objects."""
    return labels.astype(str) if labels is not None and labels.dtype.kind in "OT" else labels


def _h5py() -> Any:
    """Return the library."""
    try:
        import h5py
    except ImportError as error:
        msg = "HDF5 files need h5py, which is not installed. Install it with: pip install 'softmax-xp[hdf5]'"
        raise MissingDependencyError(msg) from error
    return h5py
