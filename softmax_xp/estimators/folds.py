# SPDX-License-Identifier: BSD-3-Clause
"""Cross-validation splits as the stacked objectives want them: rows sorted by the folds that train on them."""

__all__ = ["Folds", "fold_targets", "read_folds"]

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import Backend, to_host
from softmax_xp.errors import InvalidValueError
from softmax_xp.losses.contract import Targets
from softmax_xp.objectives.stacked_data import FoldPlan, Segment

# Rows that the folds cut into more segments than this many times their number are not sorted: all heads see all rows.
_SEGMENTS_FOR_A_FOLD = 3


class Folds(NamedTuple):
    """The folds of a cross-validation; the last one more trains on all samples."""

    counts: NDArray[np.int64]  # (n_folds + 1, n_counting) how often each trains on each sample of positive weight
    tests: tuple[NDArray[np.int64], ...]  # the samples, of all, on which each fold is scored

    @property
    def whole(self) -> int:
        """The number of the fold that trains on all samples."""
        return len(self.counts) - 1

    def plan(self, backend: Backend, dtype: Any) -> FoldPlan:
        """Sort the rows, so that each segment of them trains the same folds.

        Parameters
        ----------
        backend : Backend
            Where the fit runs.
        dtype : dtype
            Its float.

        Returns
        -------
        FoldPlan
            With weights instead of segments where these would be too many, or a fold repeats samples.
        """
        patterns, which = np.unique(self.counts.T, axis=0, return_inverse=True)
        which = which.reshape(-1)
        if len(patterns) > _SEGMENTS_FOR_A_FOLD * len(self.counts) or self.counts.max() > 1:
            everyone = tuple(range(len(self.counts)))
            masks = backend.put(self.counts.astype(np.float64), dtype)
            return FoldPlan(len(self.counts), (Segment(0, len(which), everyone),), None, masks)
        order = np.argsort(which, kind="stable")
        ends = np.cumsum(np.bincount(which, minlength=len(patterns)))
        segments = tuple(
            Segment(int(end - count), int(end), tuple(int(fold) for fold in np.flatnonzero(pattern)))
            for pattern, end, count in zip(patterns, ends, np.bincount(which, minlength=len(patterns)), strict=True)
        )
        is_sorted = bool((order[1:] > order[:-1]).all())
        return FoldPlan(len(self.counts), segments, None if is_sorted else backend.put(order))


def read_folds(splits: Iterable[tuple[Any, Any]], n_samples: int, weight: Any = None) -> Folds:
    """Read what a splitter yields.

    Parameters
    ----------
    splits : iterable of (train, test)
        Row numbers, or truth values of all rows.
    n_samples : int
        How many rows there are.
    weight : array of shape (n_samples,), optional
        Of the rows. The folds are those of :func:`softmax_xp.estimators.problem.counting`.

    Returns
    -------
    Folds
        At least one.

    Raises
    ------
    InvalidValueError
        Without a fold, or where one trains or tests on nothing.
    """
    counted = np.ones(n_samples, dtype=bool) if weight is None else to_host(weight) > 0
    rows, counts, tests = np.arange(n_samples), list[NDArray[np.int64]](), list[NDArray[np.int64]]()
    for train, test in splits:
        try:
            trained, tested = rows[np.asarray(train)], rows[np.asarray(test)]
        except IndexError as error:
            msg = f"`cv` must yield numbers of the {n_samples} samples, or one truth value for each; got {error}."
            raise InvalidValueError(msg) from None
        training, testing = int(counted[trained].sum()), int(counted[tested].sum())
        if not (training and testing):
            got = f"{training} and {testing} of them"
            msg = f"`cv` must yield folds that train and test on samples of positive weight; got {got}."
            raise InvalidValueError(msg)
        counts.append(np.bincount(trained, minlength=n_samples)[counted])
        tests.append(tested)
    if not counts:
        msg = "`cv` must yield at least one fold; got none. Pass a number of folds, such as 5."
        raise InvalidValueError(msg)
    return Folds(np.stack([*counts, np.ones_like(counts[0])]), tuple(tests))


def fold_targets(targets: Targets, counts: Sequence[int] | NDArray[np.int64], backend: Backend, dtype: Any) -> Targets:
    """Return targets whose weights are those of one fold: 0 for the samples on which it does not train.

    Parameters
    ----------
    targets : Targets
        Of all samples.
    counts : array of int, shape (n_samples,)
        How often the fold trains on each.
    backend : Backend
        Where the targets live.
    dtype : dtype
        The float of the fit.

    Returns
    -------
    Targets
        Of all samples.
    """
    times = backend.put(np.asarray(counts, dtype=np.float64), dtype)
    labels, distribution, weight, sample_weight, class_weight = targets
    weight = times if weight is None else weight * times
    sample_weight = times if sample_weight is None else sample_weight * times
    return Targets(labels, distribution, weight, sample_weight, class_weight)
