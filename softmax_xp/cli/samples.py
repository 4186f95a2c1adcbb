# SPDX-License-Identifier: BSD-3-Clause
"""Which samples a command works on: the parts to train with, or those that a model understands."""

__all__ = ["load_for_model", "load_model", "open_dataset", "parts_of"]

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data import Dataset, check_matrix, load_dataset, stratified_split
from softmax_xp.data.load import DATASETS, FILE_LOADERS
from softmax_xp.data.open_source import SOURCE_OPENERS, open_source
from softmax_xp.data.rows import select_rows
from softmax_xp.data.streamed import is_streamed, stream_matrix
from softmax_xp.errors import InvalidValueError, ModelFileError
from softmax_xp.loading import load
from softmax_xp.model import SoftmaxModel
from softmax_xp.typing import Array

_DEFAULT_TEST = 0.2
_TABLES = (".csv", ".tsv", ".parquet", ".arrow", ".feather")
# Larger files stay on the disk; smaller ones are faster in memory.
_LARGE_BYTES = 1 << 28
# But these are read as sparse rows from the disk, which no Trainer takes, and as dense ones into memory.
_SPARSE = frozenset({".libsvm", ".npz", ".svm", ".svmlight"})


def open_dataset(
    data: str,
    *,
    labels: Path | None = None,
    target: str | None = None,
    data_dir: Path | None = None,
    feature_names: list[str] | None = None,
    require_labels: bool = True,
) -> Dataset:
    """Load a data set; of a folder, and of a large file, only the labels: the samples are read as they are needed."""
    path = Path(data)
    if data in DATASETS or not _stays_on_disk(path):
        return load_dataset(
            data,
            labels=labels,
            target=target,
            data_dir=data_dir,
            feature_names=feature_names,
            require_labels=require_labels,
        )
    source = open_source(path, labels=labels, target=target, feature_names=feature_names)
    if require_labels and source.labels is None:
        msg = (
            f"{source.name} holds samples only. Pass `labels` (on the command line: --labels) with an .npy file or a "
            "text file of one label per line, or the `target` column of a table."
        )
        raise InvalidValueError(msg)
    return Dataset(
        stream_matrix(source),
        source.labels,
        name=source.name,
        feature_names=source.feature_names,
        target_name=source.target_name,
    )


def _stays_on_disk(path: Path) -> bool:
    """Tell whether samples are read as they are needed."""
    if path.is_dir():
        return True
    if not path.is_file() or path.suffix.lower() not in SOURCE_OPENERS.keys() - _SPARSE:
        return False
    can_be_loaded = any(path.name.lower().endswith(suffix) for suffix in FILE_LOADERS)
    return not can_be_loaded or path.stat().st_size >= _LARGE_BYTES


def parts_of(dataset: Dataset, *, validation: float, test: float | None, seed: int) -> dict[str, tuple[Array, Array]]:
    """Split labelled samples by class into "train", "validation" and "test"; empty parts are left out.

    An official test split is the test part, and then `test` must be None.
    """
    if dataset.test is not None and test is not None:
        msg = f"`test` must be left out for {dataset.name}, which has a test split of its own; got {test:g}."
        raise InvalidValueError(msg)
    fraction = test if test is not None else 0.0 if dataset.test is not None else _DEFAULT_TEST
    split = stratified_split(dataset.y, validation=validation, test=fraction, seed=seed)
    rows = {"train": split.train, "validation": split.validation, "test": split.test}
    y = np.asarray(dataset.y)
    parts: dict[str, tuple[Array, Array]] = {
        name: (_part(dataset.X, some), y[some]) for name, some in rows.items() if some.size
    }
    if dataset.test is not None:
        parts["test"] = (dataset.test.X, dataset.test.y)
    return parts


def _part(X: Array, rows: NDArray[np.int64]) -> Array:
    """Return some rows, which are ascending; streamed ones stay where they are."""
    return select_rows(X, rows) if is_streamed(X) else X[rows]


def load_model(path: Path, device: str) -> SoftmaxModel:
    """Load a model, or the model in an estimator."""
    loaded = load(path, device)
    if isinstance(loaded, SoftmaxModel):
        return loaded
    model: SoftmaxModel = loaded.to_model()
    return model


def load_for_model(
    model: SoftmaxModel,
    data: str,
    *,
    data_dir: Path | None,
    labels: Path | None = None,
    target: str | None = None,
    require_labels: bool,
) -> Dataset:
    """Load samples with the features of a model, in its order; of a data set with a test split, that split."""
    feature_names = _feature_names(model)
    if require_labels and labels is None and target is None and feature_names is not None:
        # A model that was fitted on a table knows what its target was called.
        target = model.metadata.get("target_name") if data.lower().endswith(_TABLES) else None
    dataset = open_dataset(
        data,
        labels=labels,
        target=target,
        data_dir=data_dir,
        feature_names=feature_names,
        require_labels=require_labels,
    )
    if dataset.test is not None:
        dataset = dataset.test
    n_features = model.params.weight.shape[0]
    if dataset.n_features != n_features:
        msg = f"{dataset.name} must have the {n_features} features of the model; got {dataset.n_features}."
        raise InvalidValueError(msg)
    if not is_streamed(dataset.X):  # whose rows are checked as they are read
        check_matrix(dataset.X)
    return dataset


def _feature_names(model: SoftmaxModel) -> list[str] | None:
    """Read the names of the features from the metadata of a model."""
    text = model.metadata.get("feature_names")
    if text is None:
        return None
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        msg = f"The model's `feature_names` must be a JSON list of strings; got {text[:60]!r}."
        raise ModelFileError(msg)
    return names
