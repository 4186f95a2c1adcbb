# SPDX-License-Identifier: BSD-3-Clause
"""Split samples into training, validation and test parts."""

__all__ = ["Split", "stratified_split"]

import math
import warnings
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.labels import encode_labels
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SoftmaxXPWarning


@final
@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Hold the row numbers of three disjoint parts that together are all samples.

    Parameters
    ----------
    train, validation, test : int64 array of shape (n_part,)
        Row numbers in ascending order; empty for a part of fraction 0.

    Examples
    --------
    >>> import numpy as np
    >>> Split(train=np.asarray([0, 2]), validation=np.asarray([1]), test=np.asarray([3])).train
    array([0, 2])
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def stratified_split(y: Any, *, validation: float = 0.1, test: float = 0.2, seed: int = 0) -> Split:
    """Split the samples so that each part has the classes in the proportions of the whole.

    Row numbers come back in ascending order, which keeps reads from disk sequential; shuffling is
    the trainer's task. Where a class is too small to stand in both parts of a split, that split is
    plainly random and a warning says so.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        The labels, of any kind that :func:`softmax_xp.data.encode_labels` takes.
    validation : float, default=0.1
        Fraction of all samples, in [0, 1). The count is rounded, to at least one sample for a positive fraction.
    test : float, default=0.2
        Fraction of all samples, likewise; both together are below 1.
    seed : int, default=0
        Seed of the random choice.

    Returns
    -------
    Split
        The row numbers of the parts.

    Raises
    ------
    InvalidValueError
        If a fraction is out of range or no training sample would be left.

    Examples
    --------
    >>> split = stratified_split([0, 1] * 10, validation=0.1, test=0.2)
    >>> split.train.shape, split.validation.shape, split.test.shape
    ((14,), (2,), (4,))
    """
    for name, fraction in (("validation", validation), ("test", test)):
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)):
            msg = f"`{name}` must be a number; got {fraction!r}."
            raise InvalidTypeError(msg)
        if not 0 <= fraction < 1:
            msg = f"`{name}` must be a fraction in [0, 1); got {fraction!r}."
            raise InvalidValueError(msg)
    codes, _ = encode_labels(y)
    n_samples = codes.shape[0]
    n_validation, n_test = _count(validation, n_samples), _count(test, n_samples)
    if n_samples - n_validation - n_test < 1 or validation + test >= 1:
        msg = (
            f"`validation` and `test` must leave samples to train on; got {validation} and {test} "
            f"of {n_samples} samples."
        )
        raise InvalidValueError(msg)
    rest, test_rows = _split_off(np.arange(n_samples), codes, n_test, seed, "test")
    train_rows, validation_rows = _split_off(rest, codes, n_validation, seed, "validation")
    return Split(train_rows, validation_rows, test_rows)


def _count(fraction: float, n_samples: int) -> int:
    """Return the number of samples that a fraction stands for."""
    return 0 if fraction == 0 else max(1, math.floor(fraction * n_samples + 0.5))


def _split_off(
    rows: NDArray[np.int64], codes: NDArray[np.int64], n_part: int, seed: int, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take `n_part` of the rows away; return what is left and what was taken, both ascending."""
    if n_part == 0:
        return rows, np.zeros(0, dtype=np.int64)
    from sklearn.model_selection import train_test_split

    counts = np.bincount(codes[rows])
    present = counts[counts > 0]
    stratify: NDArray[np.int64] | None = codes[rows]
    # scikit-learn's own conditions for stratifying, checked here so that the fallback is no guess
    # about the text of its errors.
    if present.min() < 2 or min(n_part, rows.shape[0] - n_part) < present.shape[0]:
        stratify = None
        msg = (
            f"The {name} part of {n_part} samples cannot keep the proportions of {present.shape[0]} classes, the "
            f"smallest of {present.min()} samples; it is chosen at random without stratification."
        )
        warnings.warn(msg, SoftmaxXPWarning, stacklevel=3)
    left, taken = train_test_split(rows, test_size=n_part, random_state=seed, stratify=stratify)
    return np.sort(left), np.sort(taken)
