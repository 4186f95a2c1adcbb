# SPDX-License-Identifier: BSD-3-Clause
"""What a fitted linear classifier says of new samples, chunk by chunk."""

__all__ = ["LinearPredictions", "TopK"]

from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import Backend, array_namespace, as_array, backend_of, to_host
from softmax_xp.data.sparse import is_sparse, place_of, row_slice
from softmax_xp.data.validation import check_lengths
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.targets import read_sample_weight
from softmax_xp.estimators.validation import as_matrix, check_features, check_fitted, check_same_place, put_rows
from softmax_xp.ops.linear import linear_logits
from softmax_xp.ops.memory import check_memory_budget
from softmax_xp.ops.predicted import predicted_rows
from softmax_xp.ops.softmax import log_softmax, softmax
from softmax_xp.typing import Array, LinearParams

# Up to this many likeliest classes are found one after the other; sorting all classes costs more.
_FEW = 16


class TopK(NamedTuple):
    """The likeliest classes of each sample, the best first."""

    labels: Array  # (n_samples, k)
    probabilities: Array  # (n_samples, k), or their logarithms


class LinearPredictions:
    """The predicting methods of a classifier with ``coef_``, ``intercept_`` and ``classes_``.

    Samples are brought to the coefficients in chunks of rows; answers go back to where the samples live.
    """

    coef_: Array
    intercept_: Array
    classes_: NDArray[Any]
    memory_budget: int | None

    def decision_function(self, X: Any) -> Array:
        """Return the scores of the classes.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.

        Returns
        -------
        array of shape (n_samples, n_classes), or (n_samples,) for two classes
            The logits; for two classes that of the second.
        """
        one = len(self._fitted_classes()) == 2
        (scores,) = self._by_chunks(X, "decision_function", lambda logits: (logits[:, 0] if one else logits,))
        return scores

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
        (probabilities,) = self._by_chunks(X, "predict_proba", lambda logits: (softmax(_for_each_class(logits)),))
        return probabilities

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
        (logarithms,) = self._by_chunks(X, "predict_log_proba", lambda logits: (log_softmax(_for_each_class(logits)),))
        return logarithms

    def predict(self, X: Any) -> Array:
        """Return the label of the likeliest class; a tie goes to the first of ``classes_``.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.

        Returns
        -------
        array of shape (n_samples,)
            Numeric labels in the library and on the device of ``X``, other labels on the host.
        """
        (codes,) = self._by_chunks(
            X, "predict", lambda logits: (array_namespace(logits).argmax(_for_each_class(logits), axis=1),)
        )
        return self._labels(codes)

    def predict_top_k(self, X: Any, k: int | None = None, *, log: bool = False) -> TopK:
        """Return the likeliest classes and their probabilities, without ever holding those of all classes.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.
        k : int, optional
            How many, at most the number of classes. By default 5, or all where there are fewer.
        log : bool, default=False
            Whether to return the logarithms of the probabilities, in nats.

        Returns
        -------
        TopK
            Labels and probabilities of shape (n_samples, k), the likeliest first; ties in the order of ``classes_``.

        Raises
        ------
        InvalidTypeError
            If `k` is no integer.
        InvalidValueError
            If `k` is not between 1 and the number of classes.
        """
        n_classes = len(self._fitted_classes())
        k = min(5, n_classes) if k is None else k
        if isinstance(k, bool) or not isinstance(k, Integral):
            msg = f"`k` must be an integer; got {k!r}."
            raise InvalidTypeError(msg)
        if not 1 <= k <= n_classes:
            msg = f"`k` must be between 1 and the {n_classes} classes; got {k}."
            raise InvalidValueError(msg)

        def largest(logits: Array) -> tuple[Array, Array]:
            logits = _for_each_class(logits)
            xp = array_namespace(logits)
            places = _largest(logits, int(k))
            values = xp.take_along_axis(log_softmax(logits), places, axis=1)
            return places, values if log else xp.exp(values)

        places, values = self._by_chunks(X, "predict_top_k", largest)
        return TopK(self._labels(places), values)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.
        y : array_like of shape (n_samples,)
            True labels; one that is no class is never right.
        sample_weight : array_like of shape (n_samples,), optional
            How much each sample counts.

        Returns
        -------
        float
            The weighted share of samples whose prediction equals their label.

        Raises
        ------
        InvalidValueError
            If `y` has another shape.
        """
        predicted: Any = to_host(self.predict(X))
        truth: NDArray[Any] = _as_truth(y)
        check_lengths(predicted, truth)
        if truth.ndim != 1:
            msg = f"`y` must have shape {predicted.shape}, one label for each row of `X`; got {truth.shape}."
            raise InvalidValueError(msg)
        hits = np.asarray(predicted == truth, dtype=np.float64)
        weight = read_sample_weight(sample_weight, len(hits))
        return float(hits.mean() if weight is None else np.average(hits, weights=to_host(weight)))

    def _fitted_classes(self) -> NDArray[Any]:
        """Return the classes, or say that there are none yet."""
        check_fitted(self)
        return self.classes_

    def _labels(self, codes: Array) -> Array:
        """Turn class numbers into labels, where the numbers are if that is possible."""
        labels = self.classes_[to_host(codes)]  # labels may be strings, which only the host has
        return backend_of(codes).put(labels) if labels.dtype.kind in "biuf" else labels

    def _by_chunks(self, X: Any, method: str, finish: Callable[[Array], tuple[Array, ...]]) -> tuple[Array, ...]:
        """Apply ``finish`` to the logits of one row chunk after the other; return the wholes where ``X`` lives."""
        check_fitted(self)
        matrix = as_matrix(X)
        check_features(self, X, matrix, reset=False)
        check_same_place(self, matrix, method)
        backend = backend_of(self.coef_)
        dtype = _common_float(self.coef_, matrix, backend)
        params = LinearParams(backend.put(self.coef_, dtype).T, backend.put(self.intercept_, dtype))
        itemsize = 8 if dtype == getattr(backend.xp, "float64", None) else 4
        rows = put_rows(matrix, backend, dtype) if is_sparse(matrix) else matrix
        stored = 1 if is_sparse(matrix) else matrix.shape[1]  # of a sparse row the entries are few

        def predict(part: slice) -> tuple[Array, ...]:
            return finish(linear_logits(params, _chunk(rows, part, backend, dtype)))

        shape, n_columns = (matrix.shape[0], stored), params.weight.shape[1]
        wholes = predicted_rows(predict, shape, n_columns, itemsize, backend, check_memory_budget(self.memory_budget))
        home = place_of(matrix)
        return tuple(home.put(whole) for whole in wholes)


def _as_truth(y: Any) -> NDArray[Any]:
    """Return true labels on the host, as they are: NumPy would turn the numbers of a mixed list into strings."""
    if isinstance(y, list | tuple) and not any(isinstance(row, list | tuple) for row in y[:1]):
        labels = np.empty(len(y), dtype=object)
        labels[:] = y
        return labels
    truth: NDArray[Any] = to_host(as_array(y))
    return truth[:, 0] if truth.ndim == 2 and truth.shape[1] == 1 else truth


def _chunk(rows: Array, part: slice, backend: Backend, dtype: Any) -> Array:
    """Return some rows on the device of the computation."""
    return row_slice(rows, part) if is_sparse(rows) else backend.put(rows[part, :], dtype)


def _common_float(coef: Array, matrix: Array, backend: Backend) -> Any:
    """Return float64 where coefficients or samples have it, as far as the device does; else float32."""
    is_wide = matrix.dtype == getattr(place_of(matrix).xp, "float64", None) and backend.capabilities.float64
    return backend.xp.float64 if is_wide else coef.dtype


def _for_each_class(logits: Array) -> Array:
    """Give the first of two classes its logit, 0, beside the one of the second."""
    if logits.shape[1] > 1:
        return logits
    xp = array_namespace(logits)
    return xp.concat((xp.zeros_like(logits), logits), axis=1)


def _largest(logits: Array, k: int) -> Array:
    """Return where the k largest logits of each row are, in falling order; ties in rising order of the place."""
    xp = array_namespace(logits)
    if k > _FEW:
        return xp.argsort(-logits, axis=1, stable=True)[:, :k]
    numbers = xp.arange(logits.shape[1], device=backend_of(logits).device)[None, :]
    found = []
    for _ in range(k):
        place = xp.argmax(logits, axis=1, keepdims=True)
        found.append(place)
        logits = xp.where(numbers == place, xp.full_like(logits, -np.inf), logits)
    return xp.concat(found, axis=1)
