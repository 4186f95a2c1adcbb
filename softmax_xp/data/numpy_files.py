# SPDX-License-Identifier: BSD-3-Clause
"""Read ``.npy`` and ``.npz`` files, and files of labels alone."""

__all__ = ["errors_of", "load_label_file", "load_npy", "load_npz"]

import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.columns import check_feature_count, parse_labels
from softmax_xp.data.dataset import Dataset
from softmax_xp.errors import DataNotFoundError, InvalidTypeError, InvalidValueError, SoftmaxXPError

_SAMPLE_KEYS = ("X", "x", "data", "features", "embeddings")
_LABEL_KEYS = ("y", "labels", "label", "target", "targets")


def load_npz(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    feature_names: Sequence[str] | None = None,
    require_labels: bool = True,
) -> Dataset:
    """Load samples and labels from an ``.npz`` file.

    Parameters
    ----------
    path : path-like
        A file with the samples under the key "X", "x", "data", "features" or "embeddings" and the labels under
        "y", "labels", "label", "target" or "targets"; the first key found counts. Never unpickled.
    target : str, optional
        The key of the labels.
    feature_names : sequence of str, optional
        Names of all features.
    require_labels : bool, default=True
        Whether a file without labels is an error.

    Returns
    -------
    Dataset
        The arrays in the dtypes of the file.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidTypeError
        If the samples are not real numbers.
    InvalidValueError
        If a key is missing or the file is damaged.
    """
    path = Path(path)
    # NB: np.load leaves a file that it opened by name open when the archive is damaged.
    with errors_of(path), path.open("rb") as handle:
        file = np.load(handle, allow_pickle=False)
        if isinstance(file, np.ndarray):
            msg = f"`path` must name an .npz file; got {path}, which holds a single array. Rename it to .npy."
            raise InvalidValueError(msg)
        sample_key, label_key = _choose_keys(
            file.files, path, target=target, may_lack_target=feature_names is not None, require_labels=require_labels
        )
        X = np.asarray(file[sample_key])
        y = None if label_key is None else np.asarray(file[label_key])
    return _dataset(X, y, path, feature_names, label_key)


def load_npy(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    feature_names: Sequence[str] | None = None,
    require_labels: bool = True,
) -> Dataset:
    """Load samples from an ``.npy`` file as a read-only memory map; it has no labels.

    Parameters
    ----------
    path : path-like
        A file with one array of shape (n_samples, n_features). Never unpickled.
    target : None
        Must be None.
    feature_names : sequence of str, optional
        Names of all features.
    require_labels : bool, default=True
        Must be False; labels stand in a file of their own.

    Returns
    -------
    Dataset
        `X` is a memory map; `y` is None.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidTypeError
        If the samples are not real numbers.
    InvalidValueError
        If labels are asked for, or the file is damaged.
    """
    path = Path(path)
    if require_labels or target is not None:
        msg = (
            f"{path.name} holds samples only. Pass `labels` (on the command line: --labels) "
            "with an .npy file or a text file of one label per line."
        )
        raise InvalidValueError(msg)
    return _dataset(_load_array(path, is_mapped=True), None, path, feature_names, None)


def load_label_file(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Load labels from an ``.npy`` file, or from a text file with one label per line.

    Parameters
    ----------
    path : path-like
        The file; text is UTF-8. Labels that are all integers become integers.

    Returns
    -------
    array of shape (n_samples,)
        The labels.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidValueError
        If the file is damaged or a line is empty.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return _load_array(path, is_mapped=False)
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except FileNotFoundError as error:
        msg = f"`labels` must name a file; got {path}, which does not exist."
        raise DataNotFoundError(msg) from error
    except (UnicodeDecodeError, IsADirectoryError) as error:
        msg = f"`labels` must name an .npy file or a UTF-8 text file; got {path}: {error}."
        raise InvalidValueError(msg) from error
    return parse_labels(lines, path.name)


def _choose_keys(
    keys: list[str], path: Path, *, target: str | None, may_lack_target: bool, require_labels: bool
) -> tuple[str, str | None]:
    """Return the key of the samples and the key of the labels."""
    sample_key = next((key for key in _SAMPLE_KEYS if key in keys), None)
    label_key = target if target is not None else next((key for key in _LABEL_KEYS if key in keys), None)
    if sample_key is None:
        msg = f"{path.name} must hold the samples under one of {_SAMPLE_KEYS}; got the keys {keys}."
        raise InvalidValueError(msg)
    if label_key in keys:
        return sample_key, label_key
    if require_labels or (target is not None and not may_lack_target):
        wanted = _LABEL_KEYS if target is None else repr(target)
        msg = f"{path.name} must hold the labels under {wanted}; got the keys {keys}. Pass `target`."
        raise InvalidValueError(msg)
    return sample_key, None


def _load_array(path: Path, *, is_mapped: bool) -> NDArray[Any]:
    """Load the one array of an ``.npy`` file, or map it."""
    with errors_of(path), path.open("rb") as handle:
        if handle.read(2) == b"PK":
            msg = f"`path` must name an .npy file; got {path}, which is an archive. Rename it to .npz."
            raise InvalidValueError(msg)
        if is_mapped:
            return np.lib.format.open_memmap(path, mode="r")
        handle.seek(0)
        return np.asarray(np.lib.format.read_array(handle, allow_pickle=False))


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Translate every way in which reading a NumPy file fails."""
    try:
        yield
    except SoftmaxXPError:
        raise
    except FileNotFoundError as error:
        msg = f"`path` must name a NumPy file; got {path}, which does not exist."
        raise DataNotFoundError(msg) from error
    # NotImplementedError: packed by a method that Python lacks. MemoryError: a header that promises too much.
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError) as error:
        is_pickle = any(word in str(error) for word in ("pickle", "Object arrays", "Python objects"))
        reason = "it holds Python objects, which are never unpickled" if is_pickle else str(error)
        msg = f"`path` must name an intact NumPy file of numbers or strings; got {path}: {reason}."
        raise InvalidValueError(msg) from error


def _dataset(
    X: NDArray[Any], y: NDArray[Any] | None, path: Path, feature_names: Sequence[str] | None, target: str | None
) -> Dataset:
    """Check the samples and wrap them up."""
    if X.dtype.kind not in "biuf":
        msg = f"{path.name} must hold real numbers as samples; got dtype {X.dtype}."
        raise InvalidTypeError(msg)
    if X.ndim != 2 or 0 in X.shape:
        msg = f"{path.name} must hold samples of shape (n_samples, n_features); got shape {X.shape}."
        raise InvalidValueError(msg)
    check_feature_count(X.shape[1], feature_names, path.name)
    names = None if feature_names is None else tuple(feature_names)
    return Dataset(X, y, name=path.name, feature_names=names, target_name=target)
