# SPDX-License-Identifier: BSD-3-Clause
"""Scores of many heads on the samples that their folds left out.

Accuracy and log loss of all strengths of a fold come from one product with its samples; for any other scorer of
scikit-learn each head is asked as an estimator.
"""

__all__ = ["HeadScorer"]

import inspect
from collections.abc import Callable, Sequence
from math import log
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import get_scorer, make_scorer

from softmax_xp.backend import array_namespace, to_host
from softmax_xp.data.rows import take_rows
from softmax_xp.data.sparse import is_sparse
from softmax_xp.errors import InvalidValueError
from softmax_xp.estimators.classifier import SoftmaxClassifier
from softmax_xp.estimators.coefficients import as_coefficients
from softmax_xp.estimators.heads import HeadFit
from softmax_xp.estimators.problem import FitProblem
from softmax_xp.ops.linear import chunk_rows, row_slices
from softmax_xp.ops.memory import Footprint, plan_chunks
from softmax_xp.ops.softmax import log_softmax
from softmax_xp.typing import Array

# Of the logits of all heads: with biases, logarithms, what these are made of, and what is compared.
_COPIES = 8


class HeadScorer:
    """Scores heads as scikit-learn's ``LogisticRegressionCV`` does.

    Parameters
    ----------
    problem : FitProblem
        Data and targets.
    scoring : str, callable or None
        One of scikit-learn's scorers; None is accuracy.
    sample_weight : array of shape (n_samples,) or None
        How much each sample counts.
    """

    def __init__(self, problem: FitProblem, scoring: Any, sample_weight: Any) -> None:
        self.problem, self.scoring = problem, "accuracy" if scoring is None else scoring
        self.sample_weight = None if sample_weight is None else to_host(sample_weight)
        targets = to_host(problem.targeted.targets)
        self.labels = targets if problem.targeted.is_soft else problem.classes[targets]
        if problem.targeted.is_soft and isinstance(self.scoring, str):
            msg = f"`scoring` must be a function of soft targets where `y` holds these; got {self.scoring!r}."
            raise InvalidValueError(msg)
        try:
            self.scorer = get_scorer(self.scoring)
        except ValueError as error:
            msg = f"`scoring` must be a scorer, or the name of one; got {self.scoring!r}: {error}"
            raise InvalidValueError(msg) from None
        self.quick = (
            _QUICK.get(self.scoring) if isinstance(self.scoring, str) and not problem.targeted.is_soft else None
        )

    def scores(
        self, heads: Sequence[HeadFit], params: Sequence[dict[str, Any]], test: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Score the heads of one fold.

        Parameters
        ----------
        heads : sequence of HeadFit
            One for each strength.
        params : sequence of dict
            The parameters that a classifier would need to become each of them.
        test : array of int, shape (n_test,)
            The samples that the fold left out.

        Returns
        -------
        array of shape (len(heads),)
            The higher, the better.
        """
        if self.quick is not None:
            return self._quickly(heads, test, self.quick)
        scorer, classes = self._with_labels(), self.problem.classes
        rows, y = self._rows(test), self.labels[test]
        rows = (rows.get() if hasattr(rows, "get") else rows) if is_sparse(rows) else to_host(rows)
        kwargs = {} if self.sample_weight is None else {"sample_weight": self.sample_weight[test]}
        return np.asarray([
            float(scorer(_estimator(head, own, classes), rows, y, **kwargs))
            for head, own in zip(heads, params, strict=True)
        ])

    def _rows(self, test: NDArray[np.int64]) -> Array:
        """Return the left-out samples, where the fit has them."""
        return take_rows(self.problem.linear.X, self.problem.backend.put(test))

    def _with_labels(self) -> Any:
        """Tell the scorer all classes, if it asks for them: a fold may lack some of them."""
        function = getattr(self.scorer, "_score_func", None)
        names = inspect.signature(function).parameters if function is not None else {}
        if "labels" not in names:
            return self.scorer
        known: dict[str, Any] = {"labels": self.problem.classes}
        if len(self.problem.classes) == 2 and "pos_label" in names:
            known["pos_label"] = self.problem.classes[-1]
        return make_scorer(
            function,
            greater_is_better=self.scorer._sign == 1,
            response_method=self.scorer._response_method,
            **known,
            **self.scorer._kwargs,
        )

    def _quickly(self, heads: Sequence[HeadFit], test: NDArray[np.int64], score: "_Quick") -> NDArray[np.float64]:
        """Score all heads of a fold by one product with its samples, chunk by chunk."""
        problem, backend = self.problem, self.problem.backend
        xp, n_features = backend.xp, problem.n_features
        n_columns = heads[0].params.weight.shape[1]
        # Class by class, head by head, so that what is compared lies along the first axis.
        weight = xp.stack([head.params.weight.T for head in heads], axis=1)
        weight = xp.reshape(weight, (n_columns * len(heads), n_features))
        zeros = xp.zeros_like(heads[0].params.weight[0, :])
        biases = [zeros if head.params.bias is None else head.params.bias for head in heads]
        bias = xp.reshape(xp.stack(biases, axis=1), (n_columns * len(heads), 1))
        itemsize = 8 if problem.dtype == getattr(xp, "float64", None) else 4
        step = chunk_rows(n_features, n_columns * len(heads), itemsize, backend)
        footprint = Footprint.of(2 * n_features, n_columns * len(heads), itemsize, copies=_COPIES, parts=0)
        step = plan_chunks(footprint, step, problem.linear.memory_budget).rows
        labels = problem.targeted.targets
        total, counted = np.zeros(len(heads)), 0.0
        with backend.scope():
            for part in row_slices(len(test), step):
                rows = problem.linear.rows(self._rows(test[part]))
                logits = (rows @ weight.T).T if is_sparse(rows) else weight @ rows.T
                logits = xp.reshape(logits + bias, (n_columns, -1))
                if n_columns == 1:
                    logits = xp.concat((xp.zeros_like(logits), logits), axis=0)
                truth = backend.put(np.tile(labels[test[part]], len(heads)))
                values = np.reshape(to_host(score(logits, truth)).astype(np.float64), (len(heads), -1))
                share = np.ones(values.shape[1]) if self.sample_weight is None else self.sample_weight[test[part]]
                total, counted = total + values @ share, counted + float(share.sum())
        return total / counted


def _hits(logits: Array, labels: Array) -> Array:
    """Return 1 where the largest of the logits, (n_classes, n_samples), is at the label."""
    xp = array_namespace(logits)
    return xp.astype(xp.argmax(logits, axis=0) == labels, logits.dtype)


def _log_likelihood(logits: Array, labels: Array) -> Array:
    """Return the logarithm of the label's probability, from (n_classes, n_samples), as scikit-learn limits it."""
    xp = array_namespace(logits)
    chosen = xp.take_along_axis(log_softmax(logits, axis=0), labels[None, :], axis=0)[0, :]
    return xp.clip(chosen, _LEAST, 0.0)


def _estimator(head: HeadFit, params: dict[str, Any], classes: NDArray[Any]) -> SoftmaxClassifier:
    """Return a head as a fitted classifier."""
    made = SoftmaxClassifier(**params)
    made.certificate_, made.status_, made.n_iter_ = head.certificate, str(head.status), np.asarray([head.n_iter])
    made.coef_, made.intercept_ = (to_host(part) for part in as_coefficients(head.params))
    made.classes_, made.n_features_in_ = classes, head.params.weight.shape[0]
    return made


_Quick: TypeAlias = Callable[[Array, Array], Array]
# scikit-learn's log loss takes no probability below the resolution of float64.
_LEAST = log(2.0**-52)
_QUICK: dict[str, _Quick] = {"accuracy": _hits, "neg_log_loss": _log_likelihood}
