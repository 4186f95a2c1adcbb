# SPDX-License-Identifier: BSD-3-Clause
"""Files, devices and scikit-learn: how a fitted classifier gets there and back."""

__all__ = ["Portable"]

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np

from softmax_xp.backend import Backend, to_host
from softmax_xp.devices import get_backend
from softmax_xp.errors import InvalidValueError, ModelFileError
from softmax_xp.estimators.coefficients import columns_of_classes
from softmax_xp.estimators.sklearn_peer import as_logistic_regression, parts_of_logistic_regression
from softmax_xp.estimators.validation import check_fitted
from softmax_xp.io.model_file import read_model, write_model
from softmax_xp.model import SoftmaxModel
from softmax_xp.solvers import Certificate, Status
from softmax_xp.training import History
from softmax_xp.typing import LinearParams

_PLAIN = (bool, int, float, str)
# Attributes that are arrays, and live where the coefficients do.
_MOVED = ("coef_", "intercept_", "n_iter_")
# The status of a fit that others made.
_UNKNOWN = "unknown"


class Portable:
    """The methods that move, save, load and translate a classifier with ``coef_``, ``intercept_`` and ``classes_``."""

    coef_: Any
    intercept_: Any
    classes_: Any
    _total_weight: float

    def to(self, device: str | Backend | None) -> Self:
        """Return the same classifier on another device, where its predictions then run.

        Parameters
        ----------
        device : str, Backend or None
            See :mod:`softmax_xp.devices`; None means the CPU.

        Returns
        -------
        SoftmaxClassifier
            A copy; this one stays where it is. What `partial_fit` keeps for the optimizer moves when it is next needed.
        """
        check_fitted(self)
        backend, moved = get_backend(device), copy.copy(self)
        for name in _MOVED:
            setattr(moved, name, backend.put(getattr(self, name)))
        return moved

    def to_model(self) -> SoftmaxModel:
        """Return the fitted model alone, with one column for each class.

        Returns
        -------
        SoftmaxModel
            Of equal probabilities, on the device of the coefficients.
        """
        check_fitted(self)
        params = columns_of_classes(LinearParams(self.coef_.T, self.intercept_))
        names = getattr(self, "feature_names_in_", None)
        metadata = {} if names is None else {"feature_names": json.dumps([str(name) for name in names])}
        return SoftmaxModel(params, self.classes_, metadata=metadata)

    def save(self, path: str | Path) -> Path:
        """Write the classifier to a safetensors file: coefficients, classes, parameters and a SHA-256; no pickle.

        What is no number and no text is left out: callbacks, a ``RandomState``, a function for the learning rate, and
        what `partial_fit` keeps for the optimizer.

        Parameters
        ----------
        path : str or Path
            Where. A file that is there is replaced in one step.

        Returns
        -------
        Path
            Where it went.
        """
        check_fitted(self)
        settings = {"params": json.dumps(_plain_params(self)), "fitted": json.dumps(_plain_results(self))}
        tensors = {"coef": to_host(self.coef_), "intercept": to_host(self.intercept_)}
        return write_model(Path(path), "SoftmaxClassifier", tensors, self.classes_, settings)

    @classmethod
    def load(cls, path: str | Path, device: str | Backend | None = "auto") -> Self:
        """Read a classifier that :meth:`save` wrote, onto any device.

        Parameters
        ----------
        path : str or Path
            The file.
        device : str, Backend or None, default="auto"
            Where the coefficients should live and predictions run; None means the CPU.

        Returns
        -------
        SoftmaxClassifier
            Ready to predict, or to go on with `partial_fit` or a warm start.

        Raises
        ------
        DataNotFoundError
            When there is no such file.
        ModelFileError
            When it is damaged or holds something else.
        """
        kind, tensors, classes, settings = read_model(Path(path))
        if kind != "SoftmaxClassifier":
            msg = f"`path` must be a SoftmaxClassifier; got a {kind} in {path}. Use softmax_xp.load."
            raise ModelFileError(msg)
        backend = get_backend(device)
        try:
            return cls.from_file_parts(tensors, classes, settings, backend)
        except (KeyError, ValueError, TypeError) as error:
            msg = f"`path` must be a SoftmaxClassifier; got {path}, in which {error!r} is wrong."
            raise ModelFileError(msg) from None

    @classmethod
    def from_file_parts(
        cls, tensors: Mapping[str, Any], classes: Any, settings: Mapping[str, str], backend: Backend
    ) -> Self:
        """Rebuild a classifier from what :func:`softmax_xp.io.model_file.read_model` returns.

        Parameters
        ----------
        tensors : mapping of str to host array
            As :meth:`save` wrote them.
        classes : host array of shape (n_classes,)
            The labels.
        settings : mapping of str to str
            Parameters and results, as JSON.
        backend : Backend
            Where the coefficients should live.

        Returns
        -------
        SoftmaxClassifier
            Equal to the one that was saved.
        """
        coef, intercept, fitted = tensors["coef"], tensors["intercept"], json.loads(settings["fitted"])
        n_rows = 1 if len(classes) == 2 else len(classes)
        if coef.ndim != 2 or coef.shape[0] != n_rows or coef.shape[1] == 0 or intercept.shape != (n_rows,):
            msg = f"`coef` and `intercept` must fit {len(classes)} classes; got {coef.shape} and {intercept.shape}."
            raise InvalidValueError(msg)
        params = json.loads(settings["params"])
        if isinstance(params.get("class_weight"), list):
            params["class_weight"] = dict(params["class_weight"])
        made = cls(**params)
        dtype = backend.float_dtype(coef.dtype if backend.capabilities.float64 else "float32")
        made.coef_, made.intercept_ = backend.put(coef, dtype), backend.put(intercept, dtype)
        made.classes_ = classes
        made.__dict__ |= _results(fitted, coef.shape[1], backend)
        return made

    @classmethod
    def from_sklearn(cls, peer: Any) -> Self:
        """Return a classifier with the parameters, and the results if there are any, of scikit-learn's.

        Parameters
        ----------
        peer : sklearn.linear_model.LogisticRegression
            Fitted or not.

        Returns
        -------
        SoftmaxClassifier
            Of equal predictions. `tol` bounds the gradient, as there.
        """
        params, attributes = parts_of_logistic_regression(peer)
        made = cls(**params)
        if attributes:
            made.__dict__ |= attributes
            made.__dict__ |= {"status_": _UNKNOWN, "solver_": peer.solver, "certificate_": None, "history_": History()}
            made._total_weight = 0.0
        return made

    def to_sklearn(self) -> Any:
        """Return scikit-learn's ``LogisticRegression`` of equal predictions.

        Returns
        -------
        sklearn.linear_model.LogisticRegression
            On NumPy arrays, fitted if this one is.
        """
        return as_logistic_regression(self)


def _plain_params(estimator: Any) -> dict[str, Any]:
    """Return the parameters that JSON can hold and that differ from the defaults."""
    defaults = type(estimator)().get_params()
    plain: dict[str, Any] = {
        name: value
        for name, value in estimator.get_params().items()
        # A folder of this machine is none on another.
        if isinstance(value, _PLAIN) and value != defaults[name] and name != "checkpoint"
    }
    for name, value in estimator.get_params().items():
        if isinstance(value, np.generic):  # what a grid of numpy.logspace holds
            plain[name] = value.item()
    weight = estimator.class_weight
    if isinstance(weight, Mapping):  # whose keys JSON would turn into text
        plain["class_weight"] = [[_item(label), float(value)] for label, value in weight.items()]
    if estimator.dtype is not None and "dtype" not in plain:
        plain["dtype"] = "float32" if "32" in str(estimator.dtype) else "float64"
    return plain


def _item(label: Any) -> Any:
    """Return a NumPy scalar as Python's own value."""
    return label.item() if isinstance(label, np.generic) else label


def _plain_results(estimator: Any) -> dict[str, Any]:
    """Return what a fit found besides the coefficients."""
    certificate, history = estimator.certificate_, estimator.history_
    names = getattr(estimator, "feature_names_in_", None)
    return {
        "n_iter": to_host(estimator.n_iter_).tolist(),
        "status": str(estimator.status_),
        "solver": estimator.solver_,
        "certificate": None if certificate is None else asdict(certificate),
        "history": history.rows,
        "history_status": history.status,
        "feature_names": None if names is None else list(names),
        "total_weight": estimator._total_weight,
    }


def _results(fitted: Mapping[str, Any], n_features: int, backend: Backend) -> dict[str, Any]:
    """Turn the saved results back into attributes."""
    history = History(fitted["history"])
    history.status = fitted["history_status"]
    status = fitted["status"]
    attributes = {
        "n_features_in_": n_features,
        "n_iter_": backend.put(np.asarray(fitted["n_iter"], dtype=np.int32)),
        "status_": Status(status) if status in set(Status) else status,
        "solver_": fitted["solver"],
        "certificate_": None if fitted["certificate"] is None else Certificate(**fitted["certificate"]),
        "history_": history,
        "_total_weight": fitted["total_weight"],
    }
    if fitted["feature_names"] is not None:
        attributes["feature_names_in_"] = np.asarray(fitted["feature_names"], dtype=object)
    return attributes
