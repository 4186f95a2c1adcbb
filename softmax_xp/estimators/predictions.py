# SPDX-License-Identifier: BSD-3-Clause
"""What a fitted linear classifier says of new samples, chunk by chunk."""

__all__ = ["LinearPredictions", "TopK"]

import os
from collections.abc import Callable
from contextlib import ExitStack
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import Backend, array_namespace, as_array, backend_of, to_host
from softmax_xp.data.npy_source import npy_writer
from softmax_xp.data.open_source import source_and_labels, source_of
from softmax_xp.data.rows import entry_count, place_of, row_chunks, row_slice
from softmax_xp.data.sparse import in_float, is_sparse
from softmax_xp.data.streamed import loaded, stream_matrix
from softmax_xp.data.validation import check_lengths
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.streamed_input import check_source_features
from softmax_xp.estimators.targets import read_sample_weight
from softmax_xp.estimators.validation import as_matrix, check_features, check_fitted, check_same_place, put_rows
from softmax_xp.ops.linear import chunk_rows, linear_logits, row_slices
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

    Samples are brought to the coefficients in chunks of rows; answers go back to where the samples live. Samples may
    also be a path or a :class:`~softmax_xp.data.Source`, see :func:`softmax_xp.open_source`, and answers go to a file:
    then neither need fit in memory.
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

    def predict_proba(self, X: Any, *, output: str | os.PathLike[str] | None = None) -> Array:
        """Return the probability of each class.

        Parameters
        ----------
        X : array_like, Source or path, of shape (n_samples, n_features)
            Real features.
        output : path-like, optional
            An ``.npy`` file to write them to as they are computed; it gets its name when it is whole.

        Returns
        -------
        array of shape (n_samples, n_classes)
            Rows sum to 1. With `output` a read-only memory map of it.
        """
        if output is not None:
            return self._to_file(output, X, "predict_proba", _probabilities)
        (probabilities,) = self._by_chunks(X, "predict_proba", _probabilities)
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

    def predict(self, X: Any, *, output: str | os.PathLike[str] | None = None) -> Array:
        """Return the label of the likeliest class; a tie goes to the first of ``classes_``.

        Parameters
        ----------
        X : array_like, Source or path, of shape (n_samples, n_features)
            Real features.
        output : path-like, optional
            An ``.npy`` file to write the labels to as they are computed; it gets its name when it is whole.

        Returns
        -------
        array of shape (n_samples,)
            Numeric labels in the library and on the device of ``X``, other labels on the host. With `output` a
            read-only memory map of it.
        """
        if output is not None:
            return self._to_file(output, X, "predict", _likeliest, self._fitted_classes())
        (codes,) = self._by_chunks(X, "predict", _likeliest)
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

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the accuracy.

        Parameters
        ----------
        X : array_like, Source or path, of shape (n_samples, n_features)
            Real features.
        y : array_like of shape (n_samples,), optional
            True labels; one that is no class is never right. None for those of a source.
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
        check_fitted(self)
        source, y = source_and_labels(X, y)
        predicted: Any = to_host(self.predict(X if source is None else source))
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
        asked = self._asked(X, method)
        backend = asked.backend

        def predict(part: slice) -> tuple[Array, ...]:
            return finish(asked.logits(row_slice(asked.rows, part)))

        n_columns, budget = asked.params.weight.shape[1], check_memory_budget(self.memory_budget)
        wholes = predicted_rows(predict, asked.shape, n_columns, asked.itemsize, backend, budget)
        home = place_of(asked.matrix)
        return tuple(home.put(whole) for whole in wholes)

    def _to_file(
        self,
        output: str | os.PathLike[str],
        X: Any,
        method: str,
        finish: Callable[[Array], tuple[Array, ...]],
        classes: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Write the answers, or the classes of these numbers, to an ``.npy`` file; return a memory map of it."""
        asked = self._asked(X, method)
        if classes is not None and classes.dtype.kind == "O":
            classes = classes.astype(str)  # NumPy would pickle labels of mixed kinds
        n_samples, backend = asked.shape[0], asked.backend
        step = chunk_rows(asked.shape[1], asked.params.weight.shape[1], asked.itemsize, backend)
        chunks = row_chunks(asked.rows, list(row_slices(n_samples, step)))
        with ExitStack() as stack:
            stack.enter_context(backend.scope())
            write = None
            for (part,) in backend.map_chunks(lambda chunk: finish(asked.logits(chunk)), chunks):
                rows = to_host(part) if classes is None else classes[to_host(part)]
                if write is None:
                    write = stack.enter_context(npy_writer(output, (n_samples, *rows.shape[1:]), rows.dtype))
                write(rows)
        return np.load(output, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def _asked(self, X: Any, method: str) -> "_Asked":
        """Check the samples, and bring coefficients and samples together."""
        check_fitted(self)
        source = source_of(X, feature_names=getattr(self, "feature_names_in_", None), n_features=self.coef_.shape[1])
        matrix = as_matrix(X) if source is None else stream_matrix(source)
        if source is None:
            check_features(self, X, matrix, reset=False)
        else:
            check_source_features(self, source, reset=False)
        check_same_place(self, matrix, method)
        backend = backend_of(self.coef_)
        dtype = _common_float(self.coef_, matrix, backend)
        params = LinearParams(backend.put(self.coef_, dtype).T, backend.put(self.intercept_, dtype))
        rows = matrix if source is None else stream_matrix(source, backend)
        return _Asked(matrix, put_rows(matrix, backend, dtype) if is_sparse(matrix) else rows, params, backend, dtype)


class _Asked(NamedTuple):
    """Samples of which something is to be said, and the coefficients, on one device."""

    matrix: Any  # where the user has it
    rows: Any  # streamed, sparse and on the device, or the matrix
    params: LinearParams
    backend: Backend
    dtype: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and numbers of a row; of a sparse row in memory the entries are few."""
        rows: Any = self.rows
        if is_sparse(rows):
            return rows.shape[0], 1
        return rows.shape[0], max(entry_count(rows) // rows.shape[0], 1)

    @property
    def itemsize(self) -> int:
        """Bytes of a number of the computation."""
        return 8 if self.dtype == getattr(self.backend.xp, "float64", None) else 4

    def logits(self, chunk: Any) -> Array:
        """Return those of some rows, wherever they are."""
        chunk = loaded(chunk)
        return linear_logits(
            self.params, in_float(chunk, self.dtype) if is_sparse(chunk) else self.backend.put(chunk, self.dtype)
        )


def _probabilities(logits: Array) -> tuple[Array]:
    return (softmax(_for_each_class(logits)),)


def _likeliest(logits: Array) -> tuple[Array]:
    return (array_namespace(logits).argmax(_for_each_class(logits), axis=1),)


def _as_truth(y: Any) -> NDArray[Any]:
    """Return true labels on the host, as they are: NumPy would turn the numbers of a mixed list into strings."""
    if isinstance(y, list | tuple) and not any(isinstance(row, list | tuple) for row in y[:1]):
        labels = np.empty(len(y), dtype=object)
        labels[:] = y
        return labels
    truth: NDArray[Any] = to_host(as_array(y))
    return truth[:, 0] if truth.ndim == 2 and truth.shape[1] == 1 else truth


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
