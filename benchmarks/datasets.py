# SPDX-License-Identifier: BSD-3-Clause
"""The data sets that the solvers are compared on: real ones, as they come, unscaled where they come unscaled.

What is not installed and cannot be fetched raises DataNotFoundError, whose text the tables print as the reason.
"""

__all__ = ["DATA_DIR_VARIABLE", "LOADERS", "Data", "load"]

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

import numpy as np

from softmax_xp.data import load_dataset
from softmax_xp.errors import DataNotFoundError, InvalidValueError

DATA_DIR_VARIABLE = "SOFTMAX_XP_BENCHMARK_DATA"
_EMBEDDINGS_FILE = "wordnet_minilm.npz"
# Where the Debian packages r-cran-mlbench and wordnet-base put their files.
_MLBENCH = Path("/usr/lib/R/site-library/mlbench/data")
_WORDNET = Path("/usr/share/wordnet")
_PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")


@final
@dataclass(frozen=True, slots=True)
class Data:
    """Samples and their classes.

    Parameters
    ----------
    name : str
        As on the command line.
    X : array or scipy.sparse array of shape (n_samples, n_features)
        In the floating-point type in which it is stored or was computed.
    y : array of shape (n_samples,)
        Class numbers from 0.
    is_badly_scaled : bool, default: False
        Whether the features' own units spoil plain methods; the target is higher there.
    """

    name: str
    X: Any
    y: Any
    is_badly_scaled: bool = False

    @property
    def n_classes(self) -> int:
        """The number of classes that occur."""
        return int(self.y.max()) + 1

    @property
    def shape(self) -> str:
        """``n_samples x n_features x n_classes``, as tables print it."""
        return f"{self.X.shape[0]} x {self.X.shape[1]} x {self.n_classes}"

    def astype(self, dtype: str) -> "Data":
        """Return the same samples in another floating-point type."""
        return Data(self.name, self.X.astype(dtype), self.y, self.is_badly_scaled)


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Data:
    """Load one of the data sets of ``LOADERS``.

    Parameters
    ----------
    name : str
        Which.
    data_dir : path-like, optional
        The folder of the embeddings; by default what the environment variable ``SOFTMAX_XP_BENCHMARK_DATA`` says.

    Returns
    -------
    Data
        Its `y` counts the classes from 0, in their sorted order.

    Raises
    ------
    DataNotFoundError
        If the data are neither installed nor within reach.
    InvalidValueError
        If there is no data set of that name.
    """
    if name not in LOADERS:
        msg = f"`name` must be one of {', '.join(LOADERS)}; got {name!r}."
        raise InvalidValueError(msg)
    folder = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    X, labels, is_badly_scaled = LOADERS[name](None if folder is None else Path(folder))
    return Data(name, X, np.unique(labels, return_inverse=True)[1], is_badly_scaled)


def _bundled(loader: str, is_badly_scaled: bool, _folder: Path | None) -> tuple[Any, Any, bool]:  # noqa: FBT001
    """Load what scikit-learn brings along."""
    import sklearn.datasets

    return *getattr(sklearn.datasets, loader)(return_X_y=True), is_badly_scaled


def _mlbench(file: str, label: str, openml_name: str, is_badly_scaled: bool, _folder: Path | None) -> Any:  # noqa: FBT001
    """Load a set of UCI's from the Debian package, or else from OpenML."""
    path = _MLBENCH / f"{file}.rda"
    try:
        import pyreadr
    except ImportError:
        reason = "pyreadr, which reads the Debian package r-cran-mlbench, is not installed"
    else:
        if path.is_file():
            frame = pyreadr.read_r(str(path))[file]
            return frame.drop(columns=label).to_numpy(np.float64), frame[label].to_numpy(), is_badly_scaled
        reason = "the Debian package r-cran-mlbench is not installed"
    return *_openml(openml_name, reason), is_badly_scaled


def _openml(name: str, reason: str) -> tuple[Any, Any]:
    """Fetch from OpenML, or from scikit-learn's cache of it; `reason` says why nothing nearer was used."""
    from sklearn.datasets import fetch_openml

    try:
        bunch = fetch_openml(name, version=1, as_frame=False, parser="liac-arff", n_retries=1)
    except OSError as error:  # URLError and time-outs are OSErrors
        msg = f"{name}: {reason}, and OpenML cannot be reached ({error})"
        raise DataNotFoundError(msg) from error
    return np.asarray(bunch.data, dtype=np.float64), np.asarray(bunch.target)


def _fashion_mnist(_folder: Path | None) -> tuple[Any, Any, bool]:
    """Load the official training images, as brightnesses in 0 .. 1."""
    loaded: Any = load_dataset("fashion-mnist")
    return np.multiply(loaded.X, np.float32(1 / 255), dtype=np.float32), loaded.y, False


def _embeddings(column: str, folder: Path | None) -> tuple[Any, Any, bool]:
    """Load sentence embeddings of WordNet's nouns with one of their labels, for classes of at least two rows."""
    path = None if folder is None else folder / _EMBEDDINGS_FILE
    if path is None or not path.is_file():
        where = "no folder is named" if folder is None else f"{folder} has no {_EMBEDDINGS_FILE}"
        msg = f"embeddings: {where}; pass --data-dir or set {DATA_DIR_VARIABLE}"
        raise DataNotFoundError(msg)
    with np.load(path, allow_pickle=False) as file:
        X, labels = file["embeddings"].astype(np.float32), file[column]
    _, y, counts = np.unique(labels, return_inverse=True, return_counts=True)
    is_kept = counts[y] >= 2
    return X[is_kept], labels[is_kept], False


def _glosses(_folder: Path | None) -> tuple[Any, Any, bool]:
    """Compute TF-IDF of WordNet's definitions, labelled with the lexicographer's file that each stands in."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    paths = [_WORDNET / f"data.{part}" for part in _PARTS_OF_SPEECH]
    if not all(path.is_file() for path in paths):
        msg = "glosses: the Debian package wordnet-base is not installed"
        raise DataNotFoundError(msg)
    # wndb(5WN): the licence's lines start with a space; columns 9 and 10 of the others are the file's number.
    lines = [
        line for path in paths for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(" ")
    ]
    # The same four fifths as everybody's random 80/20 split with this seed would train on.
    chosen = np.random.default_rng(0).permutation(len(lines))[: int(0.8 * len(lines))]
    texts = [lines[index].split("|", 1)[1] for index in chosen]
    labels = np.array([int(lines[index][9:11]) for index in chosen])
    return TfidfVectorizer(min_df=2).fit_transform(texts), labels, False


# Name -> the loader, given the folder of the embeddings or None; it returns X, labels, and whether X is badly scaled.
LOADERS: Mapping[str, Callable[[Path | None], tuple[Any, Any, bool]]] = MappingProxyType({
    "digits": partial(_bundled, "load_digits", True),
    "wine": partial(_bundled, "load_wine", True),
    "letter": partial(_mlbench, "LetterRecognition", "lettr", "letter", False),
    "shuttle": partial(_mlbench, "Shuttle", "Class", "shuttle", True),
    "fashion-mnist": _fashion_mnist,
    "embeddings-26": partial(_embeddings, "category"),
    "embeddings-1500": partial(_embeddings, "hypernym"),
    "glosses": _glosses,
})
