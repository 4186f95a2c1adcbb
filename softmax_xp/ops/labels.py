# SPDX-License-Identifier: BSD-3-Clause
"""Integer labels against arrays of scores: where they are, what to subtract there, and as one-hot.

``axis`` is the axis of the classes: -1 for ``(n_samples, n_classes)``, 0 for the class-major ``(n_classes,
n_samples)``. Labels must be valid class numbers; out of range they wrap silently on CuPy and raise on NumPy, so
they are checked once, before any of these is called, in the dtype that :func:`as_index` gives.
"""

__all__ = ["as_index", "check_labels", "one_hot", "places", "subtract_at"]

from typing import Any

from array_api_compat import device

from softmax_xp.backend import array_namespace, backend_of, scalar
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.typing import Array


def as_index(labels: Array) -> Array:
    """Return integer labels in the dtype that indexes; others as they are, for :func:`check_labels` to refuse.

    The narrow labels of image files cannot hold the sample numbers that they are paired with: 300 samples under
    uint8 labels would count from 0 to 255 and from 0 again. PyTorch even takes uint8 for a mask.

    Parameters
    ----------
    labels : array of shape (n_samples,)
        Class numbers of any width.

    Returns
    -------
    array of the shape of ``labels``
        Of the namespace's indexing dtype, int64 nearly everywhere.
    """
    xp = array_namespace(labels)
    if not xp.isdtype(labels.dtype, "integral"):
        return labels
    return xp.astype(labels, xp.__array_namespace_info__().default_dtypes()["indexing"], copy=False)


def check_labels(labels: Array, n_samples: int, n_classes: int, *, ignore_index: int | None = None) -> None:
    """Raise unless ``labels`` are class numbers, one for each sample. One host read.

    Parameters
    ----------
    labels : array of int, shape (n_samples,)
        What to check.
    n_samples : int
        How many there must be.
    n_classes : int
        Labels must lie in ``0 .. n_classes - 1``.
    ignore_index : int, optional
        A value that is allowed besides.

    Raises
    ------
    InvalidTypeError
        For labels that are not integers.
    InvalidValueError
        For a wrong shape, or a label out of range; the message names the smallest and the largest.
    """
    xp = array_namespace(labels)
    if not xp.isdtype(labels.dtype, "integral"):
        msg = f"`y` must hold integer class numbers; got {labels.dtype}. Pass y.astype(int), or encode the labels."
        raise InvalidTypeError(msg)
    if labels.ndim != 1 or labels.shape[0] != n_samples:
        msg = f"`y` must have shape ({n_samples},), one label for each row of `X`; got {tuple(labels.shape)}."
        raise InvalidValueError(msg)
    if n_samples == 0:
        return
    inside = labels if ignore_index is None else xp.where(labels == ignore_index, 0, labels)
    low, high = int(scalar(xp.min(inside))), int(scalar(xp.max(inside)))  # host: labels are checked once
    if low < 0 or high >= n_classes:
        msg = (
            f"`y` must lie in 0 .. {n_classes - 1}; got labels from {low} to {high}. "
            f"Pass class numbers, or a `W` with {high + 1} columns."
        )
        raise InvalidValueError(msg)


def one_hot(labels: Array, n_classes: int, *, dtype: Any, axis: int = -1) -> Array:
    """Return 1 at each sample's label and 0 elsewhere.

    Parameters
    ----------
    labels : array of int, shape (n_samples,)
        Class numbers. One that is no class gives a row of zeros.
    n_classes : int
        How many classes there are.
    dtype : dtype
        Of the result.
    axis : {-1, 0}, default: -1
        Where the classes go.

    Returns
    -------
    array of shape (n_samples, n_classes) or (n_classes, n_samples)
        In the namespace and on the device of ``labels``.
    """
    xp = array_namespace(labels)
    classes = xp.arange(n_classes, dtype=labels.dtype, device=device(labels))
    hits = labels[None, :] == classes[:, None] if axis == 0 else labels[:, None] == classes[None, :]
    return xp.astype(hits, dtype)


def places(labels: Array, *, axis: int = -1) -> tuple[Array, Array]:
    """Return the index of each sample's own label: ``values[places(labels)]`` picks one value for each sample.

    Parameters
    ----------
    labels : array of int, shape (n_samples,)
        Class numbers.
    axis : {-1, 0}, default: -1
        Where the classes are.

    Returns
    -------
    tuple of two arrays of int, shape (n_samples,)
        Sample numbers and labels, or the other way round with ``axis=0``.
    """
    samples = array_namespace(labels).arange(labels.shape[0], dtype=labels.dtype, device=device(labels))
    return (labels, samples) if axis == 0 else (samples, labels)


def subtract_at(values: Array, place: tuple[Array, Array], amount: Array | float, *, axis: int = -1) -> Array:
    """Subtract ``amount`` from each sample's value at its own label, in ``values`` itself where that is possible.

    Parameters
    ----------
    values : array of shape (n_samples, n_classes) or (n_classes, n_samples)
        An array that the caller made and gives up.
    place : tuple of two arrays of int
        From :func:`places`, with the same ``axis``.
    amount : array of shape (n_samples,) or (), or float
        What to subtract.
    axis : {-1, 0}, default: -1
        Where the classes are.

    Returns
    -------
    array of the shape of ``values``
        Use this one: it may or may not be ``values``.
    """
    if backend_of(values).capabilities.scatter:
        # Each sample has one label, so no place is named twice and the result does not depend on any order.
        values[place] -= amount
        return values
    # In both layouts the labels stand in the place's member number `axis`.
    hits = one_hot(place[axis], values.shape[axis], dtype=values.dtype, axis=axis)
    if not isinstance(amount, float) and amount.ndim:
        amount = amount[None, :] if axis == 0 else amount[:, None]
    hits *= amount
    return values - hits
