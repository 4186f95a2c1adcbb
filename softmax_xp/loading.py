# SPDX-License-Identifier: BSD-3-Clause
"""Read any model of this package back from its file, on any device."""

__all__ = ["KINDS", "load"]

from importlib import import_module
from pathlib import Path
from typing import Any

from softmax_xp.backend import Backend
from softmax_xp.devices import get_backend
from softmax_xp.errors import ModelFileError
from softmax_xp.io.model_file import read_model

# What a file calls itself -> the module of the class whose `from_file_parts` makes it a model again. The modules are
# imported when such a file is read: the estimators' brings scikit-learn.
KINDS: dict[str, str] = {
    "SoftmaxClassifier": "softmax_xp.estimators",
    "SoftmaxModel": "softmax_xp.model",
}


def load(path: str | Path, device: str | Backend | None = "auto") -> Any:
    """Load a model that ``save`` wrote, onto any device.

    Nothing in the file is executed: it holds arrays and text, checked against a SHA-256.

    Parameters
    ----------
    path : str or Path
        The file.
    device : str, Backend or None, default: "auto"
        Where the model should live, see :mod:`softmax_xp.devices`; None means the CPU.

    Returns
    -------
    SoftmaxModel or SoftmaxClassifier
        Whichever was saved, ready to predict.

    Raises
    ------
    DataNotFoundError
        When there is no such file.
    ModelFileError
        When it is damaged or holds no model of this package.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> from softmax_xp.typing import LinearParams
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = sx.SoftmaxModel(LinearParams(np.eye(2)), np.array([3, 5])).save(f"{folder}/model.safetensors")
    ...     sx.load(path, device="cpu").predict(np.array([[1.0, 0.0]]))
    array([3])
    """
    kind, tensors, classes, settings = read_model(Path(path))
    if kind not in KINDS:
        msg = (
            f"`path` must be a model of this package; got a file of kind {kind!r} in {path}. Known are {sorted(KINDS)}."
        )
        raise ModelFileError(msg)
    backend = get_backend(device)
    try:
        return getattr(import_module(KINDS[kind]), kind).from_file_parts(tensors, classes, settings, backend)
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        # The checksum held, so the file is as it was written, but not by this package.
        msg = f"`path` must be a model of this package; got {path}, in which {error!r} is wrong."
        raise ModelFileError(msg) from None
