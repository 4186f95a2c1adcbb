# SPDX-License-Identifier: BSD-3-Clause
"""The classifier that chooses its penalty by cross-validation."""

__all__ = ["SoftmaxClassifierCV"]

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv

from softmax_xp.backend import Backend, array_namespace, to_host
from softmax_xp.data.sparse import is_sparse
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.classifier import SoftmaxClassifier
from softmax_xp.estimators.coefficients import as_coefficients
from softmax_xp.estimators.folds import read_folds
from softmax_xp.estimators.heads import HeadFit, HeadFitter, mean_params, warn_of_heads
from softmax_xp.estimators.path import check_full_batch, read_strengths
from softmax_xp.estimators.predictions import LinearPredictions
from softmax_xp.estimators.problem import FitProblem, counting, prepare_fit
from softmax_xp.estimators.scores import HeadScorer
from softmax_xp.estimators.settings import FitSettings
from softmax_xp.estimators.targets import read_sample_weight
from softmax_xp.estimators.validation import check_fitted
from softmax_xp.solvers import Solver
from softmax_xp.training import History
from softmax_xp.typing import Array, LinearParams


class SoftmaxClassifierCV(LinearPredictions, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Softmax regression that chooses ``C`` and ``l1_ratio`` by cross-validation, as ``LogisticRegressionCV`` does.

    All folds and strengths are fitted as heads over the same rows: see :mod:`softmax_xp.estimators.stacked_path`.
    Splits, scores and the choice are scikit-learn's; each head ends with a certificate of its own.

    Parameters
    ----------
    Cs : int or array_like of float, default=10
        Inverse strengths of the penalty, ``math.inf`` for none; or how many between 1e-4 and 1e4, evenly spaced in
        their logarithms.
    cv : int, splitter or iterable, optional
        The folds, as scikit-learn's ``check_cv`` reads it: a number of stratified folds, by default 5, a splitter, or
        pairs of row numbers.
    l1_ratios : sequence of float, default=(0.0,)
        Shares of the L1 penalty, in [0, 1].
    fit_intercept : bool, default=True
        Whether there are intercepts.
    class_weight : dict or "balanced", optional
        As in :class:`softmax_xp.SoftmaxClassifier`; "balanced" counts all samples, not those of a fold.
    scoring : str, callable or None, optional
        One of scikit-learn's scorers, by its name or itself; None is accuracy.
    refit : bool, default=True
        Whether to fit all samples at the best strength on average. Otherwise the coefficients are the mean over the
        folds, each at its own best strength.
    solver : str or Solver, default="auto"
        "auto" and "newton-cg" fit stacks of heads wherever that is possible; any other full-batch solver one head at a
        time.
    tol : float, default=1e-4
        When a head stops: see `stopping`.
    max_iter : int, default=1000
        The most iterations of a head.
    stopping : {"certificate", "gradient"}, default="certificate"
        What `tol` bounds: the proven distance to the minimum in nats of the mean loss, or the largest entry of the
        gradient.
    random_state : int, RandomState or None, optional
        Nothing is drawn; for the likeness to scikit-learn.
    device : str, Backend or None, default="auto"
        Where to fit, as in :class:`softmax_xp.SoftmaxClassifier`.
    dtype : {"float32", "float64"}, optional
        The float in which to fit; by default that of ``X``. Certificates are computed in float64 where there is one.
    verbose : int, default=0
        Above 0 prints one line for each value of `l1_ratios`.
    memory_budget : int, optional
        As in :class:`softmax_xp.SoftmaxClassifier`. With one the heads are fitted one by one, as stacks of them hold a
        copy of the data.

    Attributes
    ----------
    C_, l1_ratio_ : float
        The best. Without `refit` the means over the folds.
    scores_ : array of shape (n_folds, n_l1_ratios, n_Cs)
        Of the left-out samples. This and all other arrays but `classes_` live where the ``X`` of the fit did.
    coefs_paths_ : array of shape (n_folds, n_l1_ratios, n_Cs, n_classes, n_features + fit_intercept)
        Coefficients, with the intercept last; for two classes n_classes is 1.
    certificates_ : list of list of list of Certificate
        How far each head can be from its minimum, proven: by fold, share and strength.
    bounds_ : array of shape (n_folds, n_l1_ratios, n_Cs)
        Their bounds, in nats.
    n_iter_ : array of int, shape (n_folds, n_l1_ratios, n_Cs)
        Iterations of each head, at least 1.
    Cs_, l1_ratios_ : array
        The grid.
    coef_, intercept_ : array
        Of the chosen model, as in :class:`softmax_xp.SoftmaxClassifier`.
    classes_ : numpy.ndarray of shape (n_classes,)
        The labels, sorted.
    certificate_ : Certificate or None
        Of the chosen model; None without `refit`.
    status_ : str
        Why its fit ended; "mean" without `refit`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : numpy.ndarray of str, shape (n_features_in_,)
        The columns of a data frame; absent for other data.

    See Also
    --------
    softmax_path : All coefficients along ``C``, without folds.

    Notes
    -----
    Dense data are copied once, sorted by fold, in the float of the fit, if there is no memory budget. Attributes have
    the shapes of scikit-learn's ``LogisticRegressionCV(use_legacy_attributes=False)``.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> X = np.arange(12.0)[:, None]
    >>> search = sx.SoftmaxClassifierCV(Cs=[0.1, 1.0], cv=3, device="cpu").fit(X, X[:, 0] > 5.5)
    >>> search.scores_.shape
    (3, 1, 2)
    >>> bool((search.bounds_ < 1e-4).all())
    True
    """

    def __init__(
        self,
        Cs: Any = 10,
        *,
        cv: Any = None,
        l1_ratios: Sequence[float] = (0.0,),
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        scoring: Any = None,
        refit: bool = True,
        solver: str | Solver = "auto",
        tol: float = 1e-4,
        max_iter: int = 1000,
        stopping: str = "certificate",
        random_state: Any = None,
        device: str | Backend | None = "auto",
        dtype: Any = None,
        verbose: int = 0,
        memory_budget: int | None = None,
    ) -> None:
        self.Cs = Cs
        self.cv = cv
        self.l1_ratios = l1_ratios
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.scoring = scoring
        self.refit = refit
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.stopping = stopping
        self.random_state = random_state
        self.device = device
        self.dtype = dtype
        self.verbose = verbose
        self.memory_budget = memory_budget

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> Self:
        """Fit all heads, score them, choose, and fit the chosen model.

        Parameters
        ----------
        X : array_like, data frame or sparse array of shape (n_samples, n_features)
            Real features.
        y : array_like of shape (n_samples,) or (n_samples, n_classes)
            Labels, or soft targets, for which only a scorer of one's own has a meaning.
        sample_weight : array_like of shape (n_samples,), optional
            How much each sample counts, in fits and scores.
        groups : array_like of shape (n_samples,), optional
            For splitters that keep groups together.

        Returns
        -------
        SoftmaxClassifierCV
            This one.

        Raises
        ------
        InvalidTypeError
            For data or parameters of a wrong kind.
        InvalidValueError
            For values that make no sense.
        """
        reader, settings, grid = self._read()
        problem = prepare_fit(reader, settings, X, y, sample_weight)
        n_samples = problem.linear.X.shape[0]
        folds = read_folds(self._splits(problem, groups), n_samples, problem.linear.targets.weight)
        scorer = HeadScorer(problem, self.scoring, read_sample_weight(sample_weight, n_samples))
        fitter = HeadFitter(counting(problem), folds, settings, grid.largest_C)
        for ratio in grid.l1_ratios:
            grid.fit(fitter, scorer, float(ratio))
            if settings.verbose:
                print(grid.line())  # noqa: T201 - `verbose` asks for it
        chosen = grid.best(fitter) if self.refit else grid.mean()
        warn_of_heads([*grid.all_heads(), *([] if chosen.head is None else [chosen.head])], fitter.notes)
        self._take(reader, problem, grid, chosen)
        return self

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the score that `scoring` names, of the chosen model.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Real features.
        y : array_like of shape (n_samples,), optional
            True labels. Only for a source that has labels may they be left out.
        sample_weight : array_like of shape (n_samples,), optional
            How much each sample counts.

        Returns
        -------
        float
            The higher, the better.
        """
        check_fitted(self)
        if self.scoring is None:
            return super().score(X, y, sample_weight)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return float(get_scorer(self.scoring)(self, X, y, **weights))

    def to_classifier(self) -> SoftmaxClassifier:
        """Return the chosen model as a classifier of one strength, which can be saved, moved and trained further.

        Returns
        -------
        SoftmaxClassifier
            Fitted, with the coefficients of this one.
        """
        check_fitted(self)
        made = SoftmaxClassifier(self.C_, l1_ratio=self.l1_ratio_, **{name: getattr(self, name) for name in _SHARED})
        for name in ("coef_", "intercept_", "classes_", "certificate_", "status_", "solver_", "n_features_in_"):
            setattr(made, name, getattr(self, name))
        if hasattr(self, "feature_names_in_"):
            made.feature_names_in_ = self.feature_names_in_
        made.n_iter_, made.history_ = self._n_iter, History()
        made._total_weight = self._total_weight
        return made

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what is supported."""
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.sparse = True
        return tags

    def _read(self) -> tuple[SoftmaxClassifier, FitSettings, "_Grid"]:
        """Check the parameters; also return what reads the data in this one's place: a failure leaves no trace."""
        reader = SoftmaxClassifier(**{name: getattr(self, name) for name in _SHARED})
        reader.random_state, reader.verbose = self.random_state, self.verbose
        settings = FitSettings.of(reader)
        check_full_batch(settings)
        if isinstance(self.l1_ratios, str) or not isinstance(self.l1_ratios, Iterable):
            msg = f"`l1_ratios` must be a sequence of numbers between 0 and 1; got {self.l1_ratios!r}. Pass (0.0,)."
            raise InvalidTypeError(msg)
        if not isinstance(self.refit, bool | np.bool_):
            msg = f"`refit` must be True or False; got {self.refit!r}."
            raise InvalidTypeError(msg)
        ratios = [replace(settings, l1_ratio=ratio).l1_ratio for ratio in self.l1_ratios]
        if not ratios:
            msg = "`l1_ratios` must hold at least one number between 0 and 1; got none. Pass (0.0,) for an L2 penalty."
            raise InvalidValueError(msg)
        return reader, settings, _Grid(read_strengths(self.Cs), np.asarray(ratios))

    def _splits(self, problem: FitProblem, groups: Any) -> Any:
        """Return scikit-learn's splits of the samples."""
        X, targeted = problem.linear.X, problem.targeted
        rows = X if is_sparse(X) or isinstance(X, np.ndarray) else np.empty((X.shape[0], 1))
        labels = to_host(targeted.targets)
        try:
            return list(check_cv(self.cv, labels, classifier=not targeted.is_soft).split(rows, labels, groups))
        except (TypeError, ValueError) as error:
            msg = f"`cv` must split the samples, with `groups` if it needs them; got {self.cv!r}: {error}"
            raise InvalidValueError(msg) from None

    def _take(self, reader: SoftmaxClassifier, problem: FitProblem, grid: "_Grid", chosen: "_Chosen") -> None:
        """Make attributes of what was found, where the data came from."""
        self.n_features_in_ = reader.n_features_in_
        self.__dict__.pop("feature_names_in_", None)
        if hasattr(reader, "feature_names_in_"):
            self.feature_names_in_ = reader.feature_names_in_
        coef, intercept = as_coefficients(chosen.params)
        self.coef_, self.intercept_ = problem.home.put(coef), problem.home.put(intercept)
        self.classes_, self.C_, self.l1_ratio_ = problem.classes, chosen.C, chosen.l1_ratio
        self.Cs_, self.l1_ratios_ = problem.home.put(grid.Cs), problem.home.put(grid.l1_ratios)
        self.scores_ = problem.home.put(grid.scores())
        self.coefs_paths_ = problem.home.put(grid.paths(fit_intercept=self.fit_intercept))
        self.certificates_ = grid.table(lambda head: head.certificate, object).tolist()
        self.bounds_ = problem.home.put(grid.table(lambda head: head.certificate.bound, np.float64))
        # A head that begins near enough is evaluated all the same.
        self.n_iter_ = problem.home.put(grid.table(lambda head: max(head.n_iter, 1), np.int32))
        self.certificate_ = None if chosen.head is None else chosen.head.certificate
        self.status_ = "mean" if chosen.head is None else str(chosen.head.status)
        self.solver_ = self.solver if isinstance(self.solver, str) else type(self.solver).__name__
        self._n_iter = problem.home.put(np.asarray([0 if chosen.head is None else chosen.head.n_iter], dtype=np.int32))
        self._total_weight = 1.0 / problem.reciprocal_total


class _Chosen(NamedTuple):
    """The model that a grid ends with."""

    params: LinearParams
    C: float
    l1_ratio: float
    head: HeadFit | None  # None for a mean of heads


class _Grid:
    """The heads of all folds, shares and strengths, and their scores."""

    def __init__(self, Cs: NDArray[np.float64], l1_ratios: NDArray[np.float64]) -> None:
        self.Cs, self.l1_ratios = Cs, l1_ratios
        distinct, place = np.unique(Cs, return_inverse=True)
        self.distinct, self.place = [float(C) for C in distinct], place.reshape(-1)
        self.largest_C = max([C for C in self.distinct if not math.isinf(C)], default=1.0)
        self._heads: list[list[list[HeadFit]]] = []  # by share, strength in `distinct`, and fold
        self._scores: list[NDArray[np.float64]] = []  # by share: (n_folds, n_Cs)

    def fit(self, fitter: HeadFitter, scorer: HeadScorer, l1_ratio: float) -> None:
        """Fit and score all folds and strengths at one share of the L1 penalty."""
        tests = fitter.folds.tests
        heads = fitter.path(range(len(tests)), self.distinct, l1_ratio)
        self._heads.append(heads)
        shared = {name: getattr(fitter.settings, name) for name in _SHARED}
        params = [{"C": C, "l1_ratio": l1_ratio, **shared} for C in self.distinct]
        scores = [scorer.scores([by_fold[fold] for by_fold in heads], params, test) for fold, test in enumerate(tests)]
        self._scores.append(np.stack(scores)[:, self.place])

    def line(self) -> str:
        """Say what the last fit brought."""
        heads, scores = [head for by_fold in self._heads[-1] for head in by_fold], self._scores[-1].mean(axis=0)
        best, bound = int(np.argmax(scores)), max(head.certificate.bound for head in heads)
        where = f"l1_ratio {self.l1_ratios[len(self._heads) - 1]:g}: {len(heads)} fits"
        return f"{where}, largest bound {bound:.3g}, best mean score {scores[best]:.6g} at C {self.Cs[best]:.6g}"

    def all_heads(self) -> list[HeadFit]:
        """Return every head once."""
        return [head for heads in self._heads for by_fold in heads for head in by_fold]

    def scores(self) -> NDArray[np.float64]:
        """Return the scores, of shape (n_folds, n_l1_ratios, n_Cs)."""
        return np.stack(self._scores, axis=1)

    def table(self, value: Callable[[HeadFit], Any], dtype: Any) -> NDArray[Any]:
        """Return something of every head, of shape (n_folds, n_l1_ratios, n_Cs)."""
        n_folds = len(self._heads[0][0])
        found = np.empty((n_folds, len(self._heads), len(self.distinct)), dtype=dtype)
        for share, heads in enumerate(self._heads):
            for number, by_fold in enumerate(heads):
                for fold, head in enumerate(by_fold):
                    found[fold, share, number] = value(head)
        return found[:, :, self.place]

    def paths(self, *, fit_intercept: bool) -> Array:
        """Return all coefficients, with the intercept last: (n_folds, n_l1_ratios, n_Cs, n_columns, n_dof)."""
        weights = self.table(lambda head: head.params.weight.T, object)
        xp = array_namespace(weights.flat[0])
        flat = xp.stack(list(weights.flat))
        if fit_intercept:
            biases = xp.stack(list(self.table(lambda head: head.params.bias, object).flat))
            flat = xp.concat((flat, biases[:, :, None]), axis=2)
        return xp.reshape(flat, (*weights.shape, *flat.shape[1:]))

    def best(self, fitter: HeadFitter) -> _Chosen:
        """Fit all samples at the strengths of the best mean score; ties go to the smaller number of the strength."""
        place = int(np.argmax(self.scores().sum(axis=0).T))
        number, share = divmod(place, len(self.l1_ratios))
        C, l1_ratio = float(self.Cs[number]), float(self.l1_ratios[share])
        head = fitter.whole(C, l1_ratio, self._heads[share][self.place[number]])
        return _Chosen(head.params, C, l1_ratio, head)

    def mean(self) -> _Chosen:
        """Return the mean over the folds, each at its own best strengths."""
        chosen = [divmod(int(np.argmax(scores.T)), len(self.l1_ratios)) for scores in self.scores()]
        heads = [self._heads[share][self.place[number]][fold] for fold, (number, share) in enumerate(chosen)]
        C = float(np.mean([self.Cs[number] for number, _ in chosen]))
        return _Chosen(mean_params(heads), C, float(np.mean([self.l1_ratios[share] for _, share in chosen])), None)


# The parameters that are those of the classifier.
_SHARED = ("fit_intercept", "class_weight", "solver", "tol", "max_iter", "stopping", "device", "dtype", "memory_budget")
