# SPDX-License-Identifier: BSD-3-Clause
"""The classifier, as scikit-learn means classifiers."""

__all__ = ["SoftmaxClassifier"]

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from softmax_xp.backend import Backend
from softmax_xp.errors import InvalidValueError
from softmax_xp.estimators.attributes import unchanged_on_failure
from softmax_xp.estimators.cluster_fit import check_client, spread
from softmax_xp.estimators.coefficients import as_coefficients, columns_of_classes, one_column, regrouped
from softmax_xp.estimators.convex_fit import fit_convex
from softmax_xp.estimators.interchange import Portable
from softmax_xp.estimators.minibatch_fit import fit_minibatch
from softmax_xp.estimators.predictions import LinearPredictions
from softmax_xp.estimators.problem import FitProblem, FittedParts, prepare_fit
from softmax_xp.estimators.reporting import as_shown, check_functions
from softmax_xp.estimators.settings import FitSettings, minibatch_name, seed_of
from softmax_xp.estimators.streaming import Stream, begin_stream, begin_stream_at_zero, stream_over
from softmax_xp.optimizers import OPTIMIZERS, Optimizer
from softmax_xp.solvers import Solver
from softmax_xp.training import Checkpoint, History
from softmax_xp.typing import LinearParams

if TYPE_CHECKING:
    from softmax_xp.estimators.summary_table import Summary

# The status after `partial_fit`, which has no tolerance to meet.
_STREAMED = "partial"


class SoftmaxClassifier(LinearPredictions, Portable, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Softmax (multinomial logistic) regression that ends with a proof of how close to the optimum it is.

    The objective is that of scikit-learn's ``LogisticRegression``,

        C * sum(sample_weight * class_weight[y] * log_loss) + (1 - l1_ratio) / 2 * sum(coef ** 2)
                                                            + l1_ratio * sum(abs(coef))

    with free intercepts, and so are the names and the coefficients. Internally it is divided by ``C`` and by the total
    weight, so that values, gradients and `tol` are those of the mean loss per sample, in nats.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty; ``math.inf`` is no penalty.
    l1_ratio : float, default=0.0
        Share of the L1 penalty, in [0, 1].
    fit_intercept : bool, default=True
        Whether there are intercepts.
    class_weight : dict or "balanced", optional
        Weights of the classes; those that a dict lacks have weight 1. "balanced" is
        ``n_samples / (n_classes * count)``, where samples count by their weights.
    solver : str, Solver or Optimizer, default="auto"
        A full-batch solver: "lbfgs", "newton-cg", "newton-cholesky", "proximal" (for L1), or "auto", which takes the
        one that suits the data. Or an optimizer, such as "adam" or "sgd", which trains on minibatches. Or an instance
        of either.
    tol : float, default=1e-4
        When to stop: see `stopping`. A minibatch fit stops when 10 epochs, and 100 steps, have not lowered the
        objective by `tol`.
    max_iter : int, default=1000
        The most iterations; of minibatch solvers the most epochs.
    warm_start : bool, default=False
        Whether `fit` begins at the coefficients that are there. Classes are matched by their labels.
    random_state : int, RandomState or None, optional
        For the order of minibatches. Full-batch solvers draw nothing.
    device : str, Backend or None, default="auto"
        Where to fit, see :mod:`softmax_xp.devices`. None is where ``X`` lives; so is "auto", except that NumPy
        arrays and data frames go to a GPU where there is one.
    dtype : {"float32", "float64"}, optional
        The float in which to fit; by default that of ``X``, float32 for float16.
    verbose : int, default=0
        Above 0 prints one line for each iteration or epoch.
    callbacks : sequence of callable, optional
        Each is shown every row of the history, a mapping of str to float; a true answer ends the fit. Minibatch solvers
        take :class:`softmax_xp.Callback` objects as well.
    stopping : {"certificate", "gradient"}, default="certificate"
        What `tol` bounds: the proven distance to the minimum in nats of the mean loss, or the largest absolute entry of
        the gradient, which is scikit-learn's meaning. Without a penalty there is no such proof, and it is the gradient.
    learning_rate : float or callable, optional
        Of minibatch solvers and `partial_fit`; by default that of the optimizer.
    batch_size : int, default=256
        Of minibatch solvers and `partial_fit`; never more than there are samples.
    compute : {"float32", "tf32", "bfloat16"}, default="float32"
        How exactly GPUs multiply matrices of float32: see :mod:`softmax_xp.kernels.precision`. A full-batch solver that
        has come as far as the rougher products let it goes on with exact ones.
    memory_budget : int, optional
        The most bytes that one evaluation of the loss and its gradient may allocate, beside the data, the coefficients
        and what the solver keeps of them; also what a chunk of predictions may, beside the answer. The less it is, the
        fewer rows are computed at once; the model is as good. None is no budget. A certificate with intercepts needs
        ``n_classes ** 2`` numbers beside it.
    checkpoint : path-like or Checkpoint, optional
        A folder in which `fit` is saved as it goes, and goes on from: see :class:`softmax_xp.Checkpoint`.

    Attributes
    ----------
    coef_ : array of shape (n_classes, n_features), or (1, n_features) for two classes
        The weights. They live where the ``X`` of the fit did, as does every array but `classes_`.
    intercept_ : array of shape (n_classes,) or (1,)
        Zeros without an intercept.
    classes_ : numpy.ndarray of shape (n_classes,)
        The labels, sorted; numbers before strings.
    n_iter_ : array of int, shape (1,)
        Iterations, epochs, or calls of `partial_fit`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : numpy.ndarray of str, shape (n_features_in_,)
        The columns of a data frame; absent for other data.
    history_ : History
        One row for each iteration, epoch, or call of `partial_fit`.
    certificate_ : Certificate or None
        How far the fit can be from the minimum, proven; None after `partial_fit`.
    status_ : str
        "certified", "gradient", "floor", "max_iter", "stopped", "interrupted"; "plateau" where a minibatch fit made no
        further progress; "partial" after `partial_fit`.
    solver_ : str
        The solver that ran.

    See Also
    --------
    softmax_xp.Trainer : Minibatches with schedules, clipping, averaging and validation data.

    Notes
    -----
    A fit that fails or is refused leaves the classifier as it was. Ctrl-C ends a fit with the coefficients of its last
    full iteration and a warning. Models are pickled as usual; :meth:`save` writes files that run no code when loaded.

    References
    ----------
    .. [1] D. R. Cox, "The regression analysis of binary sequences", 1958.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> classifier = sx.SoftmaxClassifier(device="cpu").fit(X, ["low", "low", "high", "high"])
    >>> classifier.predict(X).tolist()
    ['low', 'low', 'high', 'high']
    >>> classifier.certificate_.bound < 1e-4
    True
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        solver: str | Solver | Optimizer = "auto",
        tol: float = 1e-4,
        max_iter: int = 1000,
        warm_start: bool = False,
        random_state: Any = None,
        device: str | Backend | None = "auto",
        dtype: Any = None,
        verbose: int = 0,
        callbacks: Sequence[Any] | None = None,
        stopping: str = "certificate",
        learning_rate: float | Callable[[int], float] | None = None,
        batch_size: int = 256,
        compute: str = "float32",
        memory_budget: int | None = None,
        checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.dtype = dtype
        self.verbose = verbose
        self.callbacks = callbacks
        self.stopping = stopping
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.compute = compute
        self.memory_budget = memory_budget
        self.checkpoint = checkpoint

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        classes: Any = None,
        target: str | None = None,
        client: Any = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array_like, data frame, sparse array, Source, path or Dask array, of shape (n_samples, n_features)
            Real features, of any library and on any device. Sparse ones, for full-batch solvers, are never densified.
            Those of a path, see :func:`softmax_xp.open_source`, need not fit in memory: each pass reads them anew.
        y : array_like of shape (n_samples,) or (n_samples, n_classes), or path, optional
            Labels: numbers, strings or both. Or soft targets: floats whose rows sum to 1; a data frame of these names
            the classes by its columns, otherwise they are 0, 1, .... None for a source that has labels.
        sample_weight : array_like of shape (n_samples,), optional
            How much each sample counts, at least 0. Weight 2 is the same as the sample twice, 0 as without it; for
            minibatch solvers exactly so only where a batch holds all samples.
        classes : array_like of shape (n_classes,), optional
            All classes, where `y` may lack some; for soft targets the names of their columns.
        target : str, optional
            The column of the labels, where `X` is the path of a table.
        client : distributed.Client, optional
            Whose workers make the passes over a source, path or Dask array; for the latter by default the current one.

        Returns
        -------
        SoftmaxClassifier
            This one.

        Raises
        ------
        InvalidTypeError
            For data or parameters of a wrong kind.
        InvalidValueError
            For values that make no sense.
        ShardError, WorkerLostError
            When a cluster cannot load the data, or has no worker left.
        TrainingDivergedError
            When the loss of a minibatch solver stops being finite.
        """
        with unchanged_on_failure(self):
            settings = FitSettings.of(self)
            problem = prepare_fit(self, settings, X, y, sample_weight, classes=classes, target=target, may_stream=True)
            check_client(problem, settings, client)
            show = as_shown(settings)
            with problem.backend.scope():
                start = self._start(problem) if settings.warm_start and hasattr(self, "classes_") else None
                if settings.is_minibatch:
                    parts = fit_minibatch(problem, settings, start, show)
                else:
                    check_functions(settings)
                    with spread(problem, client) as placed:
                        parts = fit_convex(placed, settings, start, show)
                self._take(problem, parts)
            self._total_weight = 1.0 / problem.reciprocal_total
            self.__dict__.pop("_stream", None)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from some rows: one pass of minibatch steps over them, in a random order.

        The optimizer is that of `solver`, or Adam where `solver` is a full-batch one; its state is kept from call to
        call. After `fit` the coefficients go on from where they are. The penalty is that of `fit` for all samples seen
        so far.

        *New classes* may come with any call, in `y` or in `classes`. A new class begins with zero weights and the
        intercept that gives it a probability of 0.1 % at the rows' mean log-partition, so that the probabilities of the
        others change by as little (without intercepts it begins with the logit 0). ``classes_`` stays sorted.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.
        y : array_like of shape (n_samples,) or (n_samples, n_classes)
            Labels or soft targets.
        classes : array_like of shape (n_classes,), optional
            Further classes. Needed in the first call only where its `y` has a single one.
        sample_weight : array_like of shape (n_samples,), optional
            How much each sample counts, at least 0.

        Returns
        -------
        SoftmaxClassifier
            This one.

        Raises
        ------
        InvalidTypeError
            For data or parameters of a wrong kind.
        InvalidValueError
            For values that make no sense, and for ``class_weight="balanced"``, which needs all data at once.
        TrainingDivergedError
            When the loss stops being finite; the classifier is then as it was.
        """
        with unchanged_on_failure(self):
            settings = FitSettings.of(self)
            if settings.class_weight == "balanced":
                msg = "`class_weight` must be a dict or None in partial_fit; got 'balanced', which needs all data."
                raise InvalidValueError(msg)
            is_first = not hasattr(self, "classes_")
            known = () if is_first else self.classes_
            problem = prepare_fit(self, settings, X, y, sample_weight, classes=classes, known=known, reset=is_first)
            with problem.backend.scope():
                before: Stream = getattr(self, "_stream", None) or self._begin(problem, settings)
                stream, row = stream_over(problem, settings, before)
                rows = self.history_.rows if before.calls else []
                history = History([*rows, row])  # a new one: a copy of this classifier may hold the old
                name = minibatch_name(settings)
                parts = FittedParts(one_column(stream.params), stream.calls, _STREAMED, None, history, name)
                self._take(problem, parts)
            self._stream, self._total_weight = stream, stream.total
            as_shown(settings)(row)
        return self

    def summary(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        covariance: Literal["model", "sandwich"] = "model",
        confidence: float = 0.95,
        reference: Any = None,
        classes: Any = None,
    ) -> "Summary":
        """Return the coefficients against a reference class, with standard errors, Wald tests and intervals.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            The samples of the fit.
        y : array_like of shape (n_samples,) or (n_samples, n_classes)
            Their labels or soft targets.
        sample_weight : array_like of shape (n_samples,), optional
            As in the fit.
        covariance : {"model", "sandwich"}, default="model"
            Which one: see :func:`softmax_xp.estimators.summary.coefficient_summary`.
        confidence : float, default=0.95
            Of the intervals.
        reference : object, optional
            The class to compare with; by default the first.
        classes : array_like of shape (n_classes,), optional
            The names of the columns of soft targets, as in the fit; by default those of a data frame, or else the
            sorted classes.

        Returns
        -------
        Summary
            Prints as a table.
        """
        from softmax_xp.estimators.fitted_summary import summary_of

        return summary_of(
            self,
            X,
            y,
            sample_weight,
            covariance=covariance,
            confidence=confidence,
            reference=reference,
            classes=classes,
        )

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what is supported."""
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        # The trainer gathers dense rows.
        tags.input_tags.sparse = isinstance(self.solver, str) and self.solver not in OPTIMIZERS
        return tags

    def _params(self) -> LinearParams:
        """Return the coefficients with a column for each class."""
        return columns_of_classes(LinearParams(self.coef_.T, self.intercept_ if self.fit_intercept else None))

    def _start(self, problem: FitProblem) -> LinearParams:
        """Return where a warm start begins."""
        if self.coef_.shape[1] != problem.n_features:
            msg = (
                f"`X` must have the {self.coef_.shape[1]} features of the coefficients for a warm start; got "
                f"{problem.n_features}. Pass warm_start=False."
            )
            raise InvalidValueError(msg)
        return one_column(regrouped(self._params(), self.classes_.tolist(), problem.classes.tolist()))

    def _begin(self, problem: FitProblem, settings: FitSettings) -> Stream:
        """Return the stream before its first rows."""
        seed = seed_of(settings.random_state)
        if hasattr(self, "classes_"):
            return begin_stream(self._params(), self.classes_, self._total_weight, seed)
        return begin_stream_at_zero(problem, settings, seed)

    def _take(self, problem: FitProblem, parts: FittedParts) -> None:
        """Make attributes of what a fit left, where the data came from."""
        coef, intercept = as_coefficients(parts.params)
        self.coef_, self.intercept_ = problem.home.put(coef), problem.home.put(intercept)
        self.classes_ = problem.classes
        self.n_iter_ = problem.home.put(np.asarray([parts.n_iter], dtype=np.int32))
        self.history_, self.certificate_ = parts.history, parts.certificate
        self.status_, self.solver_ = parts.status, parts.solver
