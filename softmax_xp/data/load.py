# SPDX-License-Identifier: BSD-3-Clause
"""One function for every source of data, and the tables it looks them up in."""

__all__ = ["DATASETS", "FILE_LOADERS", "load_dataset"]

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from softmax_xp.data.csv_file import load_csv
from softmax_xp.data.dataset import Dataset
from softmax_xp.data.digits import load_digits
from softmax_xp.data.fashion_mnist import load_fashion_mnist
from softmax_xp.data.numpy_files import load_label_file, load_npy, load_npz
from softmax_xp.data.parquet import load_parquet
from softmax_xp.data.svmlight import load_svmlight
from softmax_xp.errors import DataNotFoundError, InvalidValueError

# Data sets by name; each loader takes the folder to look in.
DATASETS: Mapping[str, Callable[[Any], Dataset]] = MappingProxyType({
    "digits": lambda _data_dir: load_digits(),
    "fashion-mnist": load_fashion_mnist,
})

# Loaders of files by suffix; each takes (path, *, target, feature_names, require_labels).
FILE_LOADERS: Mapping[str, Callable[..., Dataset]] = MappingProxyType({
    ".csv": load_csv,
    ".libsvm": load_svmlight,
    ".libsvm.gz": load_svmlight,
    ".npy": load_npy,
    ".npz": load_npz,
    ".parquet": load_parquet,
    ".svm": load_svmlight,
    ".svm.gz": load_svmlight,
    ".svmlight": load_svmlight,
    ".svmlight.gz": load_svmlight,
    ".tsv": load_csv,
    ".txt.gz": load_svmlight,
})


def load_dataset(
    source: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    target: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    feature_names: Sequence[str] | None = None,
    require_labels: bool = True,
) -> Dataset:
    """Load a data set by its name, or from a file by its suffix.

    Parameters
    ----------
    source : str or path-like
        "digits", "fashion-mnist", or a file that ends in .csv, .tsv, .parquet, .npz, .npy, .svm, .svmlight,
        .libsvm (the last three also with .gz) or .txt.gz.
    labels : path-like, optional
        A file of labels alone, .npy or text of one label per line, in place of those in `source`.
    target : str, optional
        The target column of a table, or the key of the labels in an .npz file.
    data_dir : path-like, optional
        The folder of "fashion-mnist".
    feature_names : sequence of str, optional
        The features that a model was fitted on: columns are selected by these names, others dropped.
    require_labels : bool, default=True
        Whether data without labels is an error; pass False to predict.

    Returns
    -------
    Dataset
        The data on the host.

    Raises
    ------
    DataNotFoundError
        If the data or file is not there.
    InvalidTypeError
        If a feature is not numeric.
    InvalidValueError
        If the name or suffix is unknown, or the content does not fit.
    MissingDependencyError
        If a package that the format needs is not installed.

    Examples
    --------
    >>> load_dataset("digits")
    Dataset(name='digits', n_samples=1797, n_features=64)
    """
    if labels is not None and target is not None:
        msg = f"`labels` and `target` must not both be given; got {os.fspath(labels)!r} and {target!r}. Pass one."
        raise InvalidValueError(msg)
    name = os.fspath(source)
    if name in DATASETS:
        dataset = DATASETS[name](data_dir)
        if target is not None:
            msg = f"`target` must be None for {name!r}, whose labels are known; got {target!r}."
            raise InvalidValueError(msg)
    else:
        loader = _file_loader(name)
        dataset = loader(
            Path(name),
            target=target,
            feature_names=feature_names,
            require_labels=require_labels and labels is None,
        )
    if labels is not None:
        # The official test split keeps the labels of its own, which no longer belong to these.
        dataset = replace(dataset, y=load_label_file(labels), target_name=None, test=None)
    return dataset


def _file_loader(name: str) -> Callable[..., Dataset]:
    """Return the loader of a file by the longest suffix that fits."""
    for suffix in sorted(FILE_LOADERS, key=len, reverse=True):
        if name.lower().endswith(suffix):
            if not Path(name).is_file():
                what = "which is a folder" if Path(name).is_dir() else "which does not exist"
                msg = f"`source` must name a file; got {name}, {what}."
                raise DataNotFoundError(msg)
            return FILE_LOADERS[suffix]
    msg = (
        f"`source` must be a data set ({', '.join(DATASETS)}) or a file ending in {', '.join(FILE_LOADERS)}; "
        f"got {name!r}."
    )
    raise InvalidValueError(msg)
