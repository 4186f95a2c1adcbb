# SPDX-License-Identifier: BSD-3-Clause
"""What the estimators make of ``y``, ``sample_weight`` and ``class_weight``."""

__all__ = ["Targeted", "read_class_weight", "read_sample_weight", "read_targets", "sorted_classes"]

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import DataConversionWarning

from softmax_xp.backend import array_namespace, as_array, to_host
from softmax_xp.data.labels import encode_labels
from softmax_xp.data.validation import check_lengths, check_sample_weight, check_soft_targets, refuse_masked
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.estimators.validation import as_numbers, without_graph
from softmax_xp.typing import Array


class Targeted(NamedTuple):
    """The targets of a fit, and the classes that they speak of."""

    targets: Array  # class numbers of shape (n_samples,) on the host, or soft targets (n_samples, n_classes)
    classes: NDArray[Any]  # (n_classes,), sorted

    @property
    def is_soft(self) -> bool:
        """Whether the targets are distributions."""
        return bool(self.targets.ndim == 2)


def sorted_classes(*groups: Iterable[Any] | None) -> NDArray[Any]:
    """Return the distinct labels of all groups, sorted; in a mix, numbers come before strings."""
    labels = [label for group in groups if group is not None for label in _as_list(group)]
    return _encode(labels, None)[1]


def _as_list(labels: Any) -> list[Any]:
    """Return labels as Python's own values."""
    return list(to_host(labels).tolist()) if hasattr(labels, "dtype") else list(labels)


def _distinct(labels: Any) -> list[Any]:
    """Return the distinct labels, or all of what is no label at all, for the encoder to refuse."""
    values = _as_list(labels)
    try:
        return list(set(values))
    except TypeError:
        return values


def _encode(labels: Any, classes: Any) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Encode labels; an error about a single class has the words "one class", for which scikit-learn looks."""
    try:
        return encode_labels(labels, classes=classes)
    except InvalidValueError as error:
        raise InvalidValueError(str(error).replace("got only the class", "got one class,")) from None


def read_targets(
    y: Any, matrix: Array, *, classes: Any = None, known: Iterable[Any] | None = None, name: str = "SoftmaxClassifier"
) -> Targeted:
    """Tell labels from soft targets, and encode the labels.

    Parameters
    ----------
    y : array_like of shape (n_samples,) or (n_samples, n_classes)
        Labels of any kind, or floats whose rows are distributions over the classes. A data frame of these names the
        classes by its columns.
    matrix : array of shape (n_samples, n_features)
        Only its length matters.
    classes : array_like of shape (n_classes,), optional
        All classes, where labels may lack some; for soft targets the names of the columns.
    known : iterable, optional
        Classes that were there before `y`. With them, even with none of them, `y` may bring new ones.
    name : str, default="SoftmaxClassifier"
        Of the estimator, for messages.

    Returns
    -------
    Targeted
        With sorted classes.

    Raises
    ------
    InvalidTypeError
        For labels that are neither numbers nor strings.
    InvalidValueError
        For continuous or missing labels, a single class, a wrong length, or rows that are no distributions.
    """
    if y is None:
        msg = f"`y` must hold one label for each sample: {name} requires y to be passed, but the target y is None."
        raise InvalidValueError(msg)
    refuse_masked(y, "y")
    _check_classes(classes)
    flat = isinstance(y, list | tuple) and not any(isinstance(row, list | tuple | np.ndarray) for row in y[:1])
    # A flat list goes on as it is: NumPy would turn the numbers of a mixed one into strings.
    labels = y if flat else without_graph(as_array(y))
    if not flat and labels.ndim == 2 and labels.shape[1] == 1:
        msg = "A column-vector y was passed when a 1d array was expected. Pass y of shape (n_samples,), e.g. y.ravel()."
        warnings.warn(msg, DataConversionWarning, stacklevel=4)
        labels = to_host(labels)[:, 0]
    if not flat and labels.ndim == 2:
        names = list(y.columns) if classes is None and hasattr(y, "columns") else classes
        names = _names_of_known(labels, known) if names is None and known is not None else names
        targeted = _soft(labels, matrix, names)
        return targeted if known is None else _widened(targeted, sorted_classes(known, targeted.classes))
    check_lengths(matrix, np.empty(len(labels)) if flat else labels)
    labels = labels if flat else to_host(labels)
    if known is not None and (flat or labels.ndim == 1):
        classes = sorted_classes(known, classes, _distinct(labels))
    elif classes is not None:
        classes = sorted_classes(classes)
    return Targeted(*_encode(labels, classes))


def _check_classes(classes: Any) -> None:
    """Refuse what is no list of classes."""
    if classes is not None and (isinstance(classes, str) or not isinstance(classes, Iterable)):
        msg = f"`classes` must be a sequence of labels; got {classes!r}. Pass a list of them."
        raise InvalidTypeError(msg)


def _names_of_known(targets: Array, known: Iterable[Any]) -> Any:
    """Name the columns of soft targets that come without names, in a stream: those of its classes, if as many."""
    before, n_columns = sorted_classes(known).tolist() if list(known) else [], targets.shape[1]
    if len(before) == n_columns:
        return before
    if all(label in range(n_columns) for label in before):
        return None  # 0, 1, ... go on
    msg = f"`classes` must name the {n_columns} columns of the soft targets where other classes came before; got None."
    raise InvalidValueError(msg)


def _widened(targeted: Targeted, classes: NDArray[Any]) -> Targeted:
    """Give soft targets a column of zeros for each class that they do not speak of."""
    if len(classes) == len(targeted.classes):
        return targeted
    xp, targets = array_namespace(targeted.targets), targeted.targets
    place = {label: column for column, label in enumerate(targeted.classes.tolist())}
    nothing = xp.zeros_like(targets[:, 0])
    columns = [targets[:, place[label]] if label in place else nothing for label in classes.tolist()]
    return Targeted(xp.stack(columns, axis=1), classes)


def _soft(targets: Array, matrix: Array, classes: Any) -> Targeted:
    """Check soft targets, and order their columns by the sorted names."""
    xp = array_namespace(targets)
    if not xp.isdtype(targets.dtype, "real floating"):
        msg = (
            f"`y` must have shape (n_samples,), or be soft targets: floats whose rows sum to 1; got shape "
            f"{tuple(targets.shape)} of {targets.dtype}. Pass y.argmax(axis=1) for one-hot labels, or y.astype(float)."
        )
        raise InvalidValueError(msg)
    check_lengths(matrix, targets)
    check_soft_targets(targets, matrix.shape[0], "y")
    n_classes = targets.shape[1]
    if classes is None:
        return Targeted(targets, np.arange(n_classes))
    names = classes.tolist() if hasattr(classes, "tolist") else list(classes)
    codes, known = _encode(names, None)
    if len(names) != n_classes or len(known) != n_classes:
        msg = f"`classes` must name the {n_classes} columns of the soft targets, all differently; got {names}."
        raise InvalidValueError(msg)
    if (codes[1:] > codes[:-1]).all():
        return Targeted(targets, known)
    if isinstance(targets, np.ndarray):
        return Targeted(targets[:, np.argsort(codes)], known)
    columns = [int(code) for code in np.argsort(codes)]
    return Targeted(xp.stack([targets[:, column] for column in columns], axis=1), known)


def read_sample_weight(sample_weight: Any, n_samples: int) -> Array | None:
    """Check the sample weights: one real number >= 0 for each sample, not all of them 0."""
    if sample_weight is None:
        return None
    refuse_masked(sample_weight, "sample_weight")
    weight = without_graph(as_array(sample_weight))
    if isinstance(weight, np.ndarray) and weight.dtype.kind == "O":
        weight = as_numbers(weight, "sample_weight")
    xp = array_namespace(weight)
    if xp.isdtype(weight.dtype, "bool"):
        weight = xp.astype(weight, xp.float32)
    check_sample_weight(weight, n_samples)
    return weight


def read_class_weight(
    class_weight: Any, targeted: Targeted, sample_weight: Array | None, *, more_to_come: bool = False
) -> tuple[float, ...] | None:
    """Return one weight for each class, or None.

    Parameters
    ----------
    class_weight : dict of class to float, "balanced" or None
        Classes that a dict lacks have weight 1. "balanced" is ``n_samples / (n_classes * count)``, where samples
        count by their weights.
    targeted : Targeted
        Targets and classes.
    sample_weight : array of shape (n_samples,) or None
        As checked.
    more_to_come : bool, default=False
        Whether a dict may name classes that no sample so far belongs to.

    Returns
    -------
    tuple of float or None
        In the order of the classes.

    Raises
    ------
    InvalidValueError
        For a dict that names unknown classes while known ones lack a weight.
    """
    if class_weight is None:
        return None
    classes = targeted.classes.tolist()
    if isinstance(class_weight, Mapping):
        missing = [label for label in classes if label not in class_weight]
        unknown = [label for label in class_weight if label not in classes]
        # scikit-learn's rule: a dict for more classes than there are is right, a mistyped class is not.
        if missing and unknown and not more_to_come:
            msg = f"`class_weight` must name classes of `y`; got {unknown}, while {missing} have no weight."
            raise InvalidValueError(msg)
        return tuple(class_weight.get(label, 1.0) for label in classes)
    counts = _class_counts(targeted, sample_weight)
    share = counts.sum() / len(classes)
    # A class without any sample has no weight to give.
    return tuple(float(share / count) if count > 0 else 0.0 for count in counts)


def _class_counts(targeted: Targeted, sample_weight: Array | None) -> NDArray[np.float64]:
    """Return the total weight of each class, on the host."""
    weight = None if sample_weight is None else to_host(sample_weight).astype(np.float64)
    if not targeted.is_soft:
        return np.bincount(targeted.targets, weights=weight, minlength=len(targeted.classes)).astype(np.float64)
    targets = to_host(targeted.targets)
    if weight is None:
        return np.asarray(targets.sum(axis=0, dtype=np.float64))
    return np.asarray(weight @ targets)
