# SPDX-License-Identifier: BSD-3-Clause
"""Read svmlight (LIBSVM) files into a dense matrix."""

__all__ = ["load_svmlight"]

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from softmax_xp.data.columns import check_feature_count
from softmax_xp.data.dataset import Dataset
from softmax_xp.errors import DataNotFoundError, InvalidValueError

_MAX_DENSE_BYTES = 4 * 2**30


def load_svmlight(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    feature_names: Sequence[str] | None = None,
    require_labels: bool = True,  # noqa: ARG001 (the signature of all file loaders)
) -> Dataset:
    """Load a file of lines ``label index:value index:value ...``, plain, ``.gz`` or ``.bz2``.

    Parameters
    ----------
    path : path-like
        The file.
    target : None
        Must be None; the label stands first in each line.
    feature_names : sequence of str, optional
        Names of all features. Their number widens a file whose last features are all zero.
    require_labels : bool, default=True
        Has no effect; each line has a label.

    Returns
    -------
    Dataset
        `X` is dense float32.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    InvalidValueError
        If the file is damaged, is of another format, or would take more than 4 GiB as a dense matrix.
    """
    path = Path(path)
    if target is not None:
        msg = f"`target` must be None for svmlight files, where the label stands first; got {target!r}."
        raise InvalidValueError(msg)
    from sklearn.datasets import load_svmlight_file

    try:
        sparse, y = load_svmlight_file(str(path), dtype=np.float32)
    except FileNotFoundError as error:
        msg = f"`path` must name an svmlight file; got {path}, which does not exist."
        raise DataNotFoundError(msg) from error
    except (ValueError, OverflowError, OSError, EOFError, zlib.error) as error:
        msg = f"`path` must name an intact svmlight file; got {path}: {error}."
        raise InvalidValueError(msg) from error
    n_samples, n_features = sparse.shape
    if n_samples == 0 or n_features == 0:
        msg = f"{path.name} must have at least one sample with one feature; got shape {(n_samples, n_features)}."
        raise InvalidValueError(msg)
    if feature_names is not None and n_features < len(feature_names):
        n_features = len(feature_names)
        sparse.resize(n_samples, n_features)
    check_feature_count(n_features, feature_names, path.name)
    n_bytes = 4 * n_samples * n_features
    if n_bytes > _MAX_DENSE_BYTES:
        msg = (
            f"{path.name} must fit in {_MAX_DENSE_BYTES / 2**30:g} GiB as a dense matrix; got {n_samples} samples x "
            f"{n_features} features, {n_bytes / 2**30:.1f} GiB as float32. Select features or reduce them first."
        )
        raise InvalidValueError(msg)
    names = None if feature_names is None else tuple(feature_names)
    return Dataset(sparse.toarray(), y, name=path.name, feature_names=names)
