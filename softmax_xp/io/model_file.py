# SPDX-License-Identifier: BSD-3-Clause
"""The model file: named arrays, classes and text settings in one safetensors file.

Metadata of format 1: ``format`` (the number 1), ``kind`` (which model), ``softmax_xp`` and ``numpy`` (versions that
wrote it), ``classes`` (JSON, where the labels are no numbers), ``settings`` (JSON object of strings) and the
``sha256`` that :mod:`softmax_xp.io.safetensors_file` adds.
"""

__all__ = ["FORMAT", "read_model", "write_model"]

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softmax_xp.errors import InvalidTypeError, ModelFileError
from softmax_xp.io.safetensors_file import read_tensors, write_tensors
from softmax_xp.version import __version__

FORMAT = 1


def write_model(
    path: Path, kind: str, tensors: Mapping[str, NDArray[Any]], classes: NDArray[Any], settings: Mapping[str, str]
) -> Path:
    """Write a model, whole or not at all.

    Parameters
    ----------
    path : Path
        Where.
    kind : str
        The name under which :func:`softmax_xp.load` finds how to rebuild it.
    tensors : mapping of str to array
        Host arrays; the name "classes" is taken.
    classes : array of shape (n_classes,)
        Numbers, strings, or a mix of both.
    settings : mapping of str to str
        Anything else.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InvalidTypeError
        For labels that are neither numbers nor strings.
    """
    metadata = {
        "format": str(FORMAT),
        "kind": kind,
        "softmax_xp": __version__,
        "numpy": np.__version__,
        "settings": json.dumps(dict(settings)),
    }
    arrays = dict(tensors)
    if classes.dtype.kind in "biuf":
        arrays["classes"] = classes
    else:
        labels = [label.item() if isinstance(label, np.generic) else label for label in classes.tolist()]
        if not all(isinstance(label, str | int | float | bool) for label in labels):
            msg = f"`classes` must be numbers or strings to be saved; got {classes.dtype}."
            raise InvalidTypeError(msg)
        metadata["classes"] = json.dumps(labels)
    write_tensors(path, arrays, metadata)
    return path


def read_model(path: Path) -> tuple[str, dict[str, NDArray[Any]], NDArray[Any], dict[str, str]]:
    """Read what :func:`write_model` wrote.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    kind : str
        Which model it is.
    tensors : dict of str to array
        Without the classes.
    classes : array of shape (n_classes,)
        As they were, strings as strings.
    settings : dict of str to str
        As they were.

    Raises
    ------
    DataNotFoundError
        When there is no such file.
    ModelFileError
        When it is damaged, of a newer format, or holds no model.
    """
    tensors, metadata = read_tensors(path)
    tensors = dict(tensors)
    try:
        version = int(metadata["format"])
        if version > FORMAT:
            writer = metadata.get("softmax_xp", "of an unknown version")
            msg = (
                f"`path` must hold a model of format {FORMAT} or older; got format {version} in {path}, written by "
                f"softmax_xp {writer}. Install that version or a newer one."
            )
            raise ModelFileError(msg)
        kind, settings = metadata["kind"], json.loads(metadata["settings"])
        classes = _decode_classes(metadata["classes"]) if "classes" in metadata else tensors.pop("classes")
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        msg = f"`path` must hold a model of this package; got {path}, in which {error!r} is missing or wrong."
        raise ModelFileError(msg) from None
    return kind, tensors, classes, settings


def _decode_classes(text: str) -> NDArray[Any]:
    """Turn a JSON list of labels back into an array that keeps numbers and strings apart."""
    labels = json.loads(text)
    if all(isinstance(label, str) for label in labels):
        return np.asarray(labels)
    classes = np.empty(len(labels), dtype=object)
    classes[:] = labels
    return classes
