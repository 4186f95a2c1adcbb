# SPDX-License-Identifier: BSD-3-Clause
"""Fashion-MNIST, from files, the Debian package or OpenML."""

__all__ = ["load_fashion_mnist"]

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from softmax_xp.data.dataset import Dataset
from softmax_xp.data.idx import read_idx
from softmax_xp.errors import DataNotFoundError, InvalidValueError

# Where the Debian package dataset-fashion-mnist puts its files, and where the same package
# unpacked into a prefix would.
_FOLDERS = (
    Path("/usr/share/datasets/fashion-mnist"),
    Path("/usr/local/share/datasets/fashion-mnist"),
    Path(sys.prefix) / "share" / "datasets" / "fashion-mnist",
)
_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_N_TRAIN = 60000  # the official split: OpenML stores the test images after the training images
_HOW = (
    "Install the Debian package (apt-get install dataset-fashion-mnist), pass `data_dir` "
    "(on the command line: --data-dir) with the four IDX files, or go online."
)


def load_fashion_mnist(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Load 60000 + 10000 images of clothing, 28 x 28 pixels with values 0 to 255, in 10 classes.

    Parameters
    ----------
    data_dir : path-like, optional
        A folder with the four IDX files, plain or gzipped. By default the folder of the Debian package
        ``dataset-fashion-mnist``, and where it is not installed, OpenML.

    Returns
    -------
    Dataset
        `X` of shape (60000, 784), uint8, with the official test split in `test`.

    Raises
    ------
    DataNotFoundError
        If `data_dir` lacks a file, or no `data_dir` is given and the data is neither installed nor within reach.
    InvalidValueError
        If a file is damaged, or images and labels do not belong together.

    References
    ----------
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", 2017, arXiv:1708.07747.

    Examples
    --------
    >>> load_fashion_mnist("no/such/folder")
    Traceback (most recent call last):
    ...
    softmax_xp.errors.DataNotFoundError: `data_dir` must hold the file train-images-idx3-ubyte or ...
    """
    if data_dir is not None:
        return _from_folder(Path(data_dir))
    for folder in _FOLDERS:
        if folder.is_dir():
            return _from_folder(folder)
    return _from_openml()


def _from_folder(folder: Path) -> Dataset:
    """Read the four files of a folder."""
    paths = [_find(folder, name) for name in _FILES]
    test = _from_files(*paths[2:], name="fashion-mnist test")
    return _from_files(*paths[:2], name="fashion-mnist", test=test)


def _find(folder: Path, name: str) -> Path:
    """Return the plain or gzipped file of that name."""
    # Some copies were unpacked as train-images.idx3-ubyte.
    for stem in (name, name.replace("-idx", ".idx")):
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.is_file():
                return path
    msg = f"`data_dir` must hold the file {name} or {name}.gz; got {folder}, which does not. {_HOW}"
    raise DataNotFoundError(msg)


def _from_files(images_path: Path, labels_path: Path, *, name: str, test: Dataset | None = None) -> Dataset:
    """Read one split."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or images.dtype != np.uint8:
        msg = f"{images_path} must hold uint8 images; got {images.dtype} of shape {images.shape}."
        raise InvalidValueError(msg)
    if labels.ndim != 1 or labels.dtype != np.uint8 or labels.shape[0] != images.shape[0]:
        msg = (
            f"{labels_path} must hold one uint8 label for each of the {images.shape[0]} images; "
            f"got {labels.dtype} of shape {labels.shape}."
        )
        raise InvalidValueError(msg)
    X = images.reshape(images.shape[0], images.shape[1] * images.shape[2])
    return Dataset(X, labels.astype(np.int64), name=name, target_name="label", test=test)


def _from_openml() -> Dataset:
    """Fetch the data from OpenML, or from scikit-learn's cache of it."""
    from sklearn.datasets import fetch_openml

    # The pure Python parser is slow and serves only where pandas is missing.
    parser = "pandas" if find_spec("pandas") else "liac-arff"
    try:
        bunch = fetch_openml("Fashion-MNIST", version=1, as_frame=False, parser=parser, n_retries=1)
    except OSError as error:  # URLError and time-outs are OSErrors
        msg = f"Fashion-MNIST is not installed and OpenML cannot be reached ({error}). {_HOW}"
        raise DataNotFoundError(msg) from error
    X, y = np.asarray(bunch.data).astype(np.uint8), np.asarray(bunch.target).astype(np.int64)
    test = Dataset(X[_N_TRAIN:], y[_N_TRAIN:], name="fashion-mnist test", target_name="label")
    return Dataset(X[:_N_TRAIN], y[:_N_TRAIN], name="fashion-mnist", target_name="label", test=test)
