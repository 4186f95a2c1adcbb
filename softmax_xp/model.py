# SPDX-License-Identifier: BSD-3-Clause
"""A trained linear softmax model: predict, move between devices, save."""

__all__ = ["SoftmaxModel"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, final

from softmax_xp.backend import Backend, array_namespace, as_array, backend_of, to_host
from softmax_xp.data.standardize import Standardization
from softmax_xp.data.validation import check_matrix
from softmax_xp.devices import get_backend
from softmax_xp.errors import InvalidValueError
from softmax_xp.io.model_file import write_model
from softmax_xp.ops.linear import linear_logits
from softmax_xp.ops.predicted import predicted_rows
from softmax_xp.ops.softmax import log_softmax, softmax
from softmax_xp.typing import Array, LinearParams


@final
@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxModel:
    """A linear softmax classifier with its classes and its preprocessing.

        logits        = (standardization(X) @ weight + bias) / temperature
        probabilities = softmax(logits)

    ``X`` may be an array of any library on any device, or a data frame: rows are brought to the model's device in
    chunks, and the answer comes back to where ``X`` lives.

    Parameters
    ----------
    params : LinearParams
        Weight of shape (n_features, n_classes) and bias of shape (n_classes,) or None.
    classes : host array of shape (n_classes,)
        The label of each column.
    standardization : Standardization, optional
        What was done to the features before training.
    temperature : float, default: 1.0
        What logits are divided by, as in training.
    metadata : mapping of str to str, optional
        Whatever should be saved beside the model, such as feature names.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> from softmax_xp.typing import LinearParams
    >>> model = sx.SoftmaxModel(LinearParams(np.eye(2)), np.array(["cat", "dog"]))
    >>> model
    SoftmaxModel(n_features=2, n_classes=2, device='cpu')
    >>> model.predict(np.array([[0.0, 3.0]])).tolist()
    ['dog']
    """

    params: LinearParams
    classes: Any
    standardization: Standardization | None = None
    temperature: float = 1.0
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts fit one another."""
        weight, bias = self.params
        n_features, n_classes = weight.shape if weight.ndim == 2 else (0, 0)
        if n_features == 0 or n_classes == 0 or (bias is not None and bias.shape != (n_classes,)):
            shapes = (tuple(weight.shape), None if bias is None else tuple(bias.shape))
            msg = f"`params` must have shapes (n_features, n_classes) and (n_classes,) or None; got {shapes}."
            raise InvalidValueError(msg)
        object.__setattr__(self, "classes", as_array(self.classes))
        if tuple(self.classes.shape) != (n_classes,):
            msg = f"`classes` must name the {n_classes} columns of the weight; got {self.classes!r}."
            raise InvalidValueError(msg)
        if self.standardization is not None and self.standardization.mean.shape != (n_features,):
            got = self.standardization.mean.shape[0]
            msg = f"`standardization` must be that of the {n_features} features of the weight; got {got} features."
            raise InvalidValueError(msg)
        if not 0.0 < self.temperature < inf:
            msg = f"`temperature` must be positive and finite; got {self.temperature}."
            raise InvalidValueError(msg)
        if "temperature" in self.metadata:
            msg = "`metadata` must not hold 'temperature', which the file keeps for the model's own; got it."
            raise InvalidValueError(msg)

    def __repr__(self) -> str:
        """Show the shape and the device, not the numbers."""
        n_features, n_classes = self.params.weight.shape
        return f"SoftmaxModel(n_features={n_features}, n_classes={n_classes}, device={self.backend.name!r})"

    @property
    def backend(self) -> Backend:
        """Where the parameters live."""
        return backend_of(self.params.weight)

    def decision_function(self, X: Any) -> Array:
        """Return the logits.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.

        Returns
        -------
        array of shape (n_samples, n_classes)
            Whose softmax are the probabilities.
        """
        return self._by_chunks(X, lambda logits: logits)

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.

        Returns
        -------
        array of shape (n_samples, n_classes)
            Rows sum to 1.
        """
        return self._by_chunks(X, softmax)

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of each probability, finite where the probability itself underflows.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.

        Returns
        -------
        array of shape (n_samples, n_classes)
            In nats.
        """
        return self._by_chunks(X, log_softmax)

    def predict(self, X: Any) -> Array:
        """Return the label of the likeliest class; a tie goes to the first of :attr:`classes`.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.

        Returns
        -------
        array of shape (n_samples,)
            Numeric labels in the library and on the device of ``X``, other labels on the host.
        """
        codes = self._by_chunks(X, lambda logits: array_namespace(logits).argmax(logits, axis=-1))
        labels = self.classes[to_host(codes)]  # host: labels may be strings, which only the host has
        return backend_of(codes).put(labels) if labels.dtype.kind in "biuf" else labels

    def score(self, X: Any, y: Any) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.
        y : array_like of shape (n_samples,)
            True labels.

        Returns
        -------
        float
            The share of samples whose prediction equals their label.
        """
        truth = to_host(y)
        if truth.ndim == 1 and isinstance(y, list | tuple):
            truth = truth.astype(object)
            truth[:] = y  # as they are: NumPy would turn the numbers of a mixed list into strings
        predicted = to_host(self.predict(X))
        if truth.shape != predicted.shape:
            msg = f"`y` must have shape {predicted.shape}, one label for each row of `X`; got {truth.shape}."
            raise InvalidValueError(msg)
        return float((predicted == truth).mean())

    def to(self, device: str | Backend | None) -> "SoftmaxModel":
        """Return the same model on another device.

        Parameters
        ----------
        device : str or Backend
            See :mod:`softmax_xp.devices`.

        Returns
        -------
        SoftmaxModel
            The parameters are copied only where they must move.
        """
        weight, bias = self.params
        backend = get_backend(device, like=weight)
        return replace(self, params=LinearParams(backend.put(weight), None if bias is None else backend.put(bias)))

    def save(self, path: str | Path) -> Path:
        """Write the model to a safetensors file: arrays, classes, preprocessing, versions and a SHA-256; no pickle.

        Parameters
        ----------
        path : str or Path
            Where. A file that is there is replaced in one step.

        Returns
        -------
        Path
            Where it went.
        """
        weight, bias = self.params
        tensors = {"weight": to_host(weight)}
        if bias is not None:
            tensors["bias"] = to_host(bias)
        if self.standardization is not None:
            tensors["standardization.mean"] = self.standardization.mean
            tensors["standardization.scale"] = self.standardization.scale
        settings = {"temperature": repr(self.temperature), **self.metadata}
        return write_model(Path(path), "SoftmaxModel", tensors, self.classes, settings)

    @classmethod
    def from_file_parts(
        cls, tensors: Mapping[str, Any], classes: Any, settings: Mapping[str, str], backend: Backend
    ) -> "SoftmaxModel":
        """Rebuild a model from what :func:`softmax_xp.io.model_file.read_model` returns.

        Parameters
        ----------
        tensors : mapping of str to host array
            As :meth:`save` wrote them.
        classes : host array of shape (n_classes,)
            The label of each column.
        settings : mapping of str to str
            Temperature and metadata.
        backend : Backend
            Where the model should live.

        Returns
        -------
        SoftmaxModel
            Equal to the one that was saved.
        """
        weight, bias = tensors["weight"], tensors.get("bias")
        dtype = backend.float_dtype(weight.dtype if backend.capabilities.float64 else "float32")
        standardization = None
        if "standardization.mean" in tensors:
            standardization = Standardization(tensors["standardization.mean"], tensors["standardization.scale"])
        return cls(
            LinearParams(backend.put(weight, dtype), None if bias is None else backend.put(bias, dtype)),
            classes,
            standardization,
            float(settings["temperature"]),
            {name: value for name, value in settings.items() if name != "temperature"},
        )

    def _by_chunks(self, X: Any, finish: Callable[[Array], Array]) -> Array:
        """Apply ``finish`` to the logits of one row chunk after the other; return the whole where ``X`` lives."""
        X = as_array(X)
        check_matrix(X)
        n_features = self.params.weight.shape[0]
        if X.shape[1] != n_features:
            msg = f"`X` must have shape (n_samples, {n_features}), the features of the model; got {tuple(X.shape)}."
            raise InvalidValueError(msg)
        backend = self.backend
        n_classes = len(self.classes)
        itemsize = 8 if self.params.weight.dtype == backend.xp.float64 else 4

        def predict(rows: slice) -> tuple[Array]:
            return (finish(self._logits(backend.put(X[rows, :], self.params.weight.dtype))),)

        (whole,) = predicted_rows(predict, (X.shape[0], n_features), n_classes, itemsize, backend)
        return backend_of(X).put(whole)

    def _logits(self, chunk: Array) -> Array:
        """Return the logits of some rows on the model's device."""
        if self.standardization is not None:
            chunk = self.standardization.apply(chunk)
        logits = linear_logits(self.params, chunk)
        return logits if self.temperature == 1.0 else logits / self.temperature
