# SPDX-License-Identifier: BSD-3-Clause
"""Turn labels of any kind into the codes 0, ..., n_classes - 1."""

__all__ = ["encode_labels"]

import warnings
from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softmax_xp.errors import InvalidTypeError, InvalidValueError, SoftmaxXPWarning

# Up to this many table entries a lookup table beats a sort whatever the number of labels.
_SMALL_RANGE = 1 << 16
# Above 2**53 neighbouring integers share one float64, so such floats are not taken for integers.
_EXACT_FLOAT = 2.0**53


def encode_labels(
    y: Any, *, classes: Any = None, ignore_index: int | None = None
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Encode labels as integers: ``y[i] == classes[codes[i]]``.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels on the host: strings, integers from any start, booleans, floats with integral values,
        or Python objects that mix numbers and strings.
    classes : array-like of shape (n_classes,), optional
        The classes in the order of their codes. Classes that `y` lacks keep their code. By default the
        sorted distinct labels; in a mix, numbers come before strings.
    ignore_index : int, optional
        A label that is no class: its rows keep `ignore_index` as their code.

    Returns
    -------
    codes : int64 array of shape (n_samples,)
        The code of each label.
    classes : array of shape (n_classes,)
        The classes, in the order of their codes.

    Raises
    ------
    InvalidValueError
        If `y` is empty, two-dimensional, continuous, holds NaN or a label outside `classes`, or has only one class.
    InvalidTypeError
        If the labels are neither numbers nor strings.

    Examples
    --------
    >>> codes, classes = encode_labels(["cat", "dog", "cat"])
    >>> codes.tolist(), classes.tolist()
    ([0, 1, 0], ['cat', 'dog'])
    >>> encode_labels([7, 5, -1], classes=[5, 6, 7], ignore_index=-1)[0].tolist()
    [2, 0, -1]
    """
    labels = _as_labels(_as_vector(y), "y")
    kept = None if ignore_index is None else _differs(labels, ignore_index)
    some = labels if kept is None or kept.all() else labels[kept]
    if classes is None:
        if some.size == 0:
            msg = f"`y` must hold at least two classes; got only rows that equal ignore_index={ignore_index}."
            raise InvalidValueError(msg)
        codes, known = _encode_sorted(some)
        if known.shape[0] < 2:
            msg = (
                f"`y` must hold at least two classes; got only the class {known.tolist()[0]!r}. "
                "Pass `classes` if the other classes merely have no sample here."
            )
            raise InvalidValueError(msg)
    else:
        known = _check_classes(classes)
        codes = _encode_known(some, known, kept)
    if ignore_index is not None:
        _check_ignore_index(ignore_index, known)
    if some is labels:
        return codes, known
    scattered = np.full(labels.shape[0], ignore_index, dtype=np.int64)
    scattered[kept] = codes
    return scattered, known


def _as_vector(y: Any) -> NDArray[Any]:
    """Return `y` as a one-dimensional host array that is not empty."""
    labels = _as_array(y, "y")
    if labels.ndim == 2 and labels.shape[1] == 1:
        msg = "`y` must have shape (n_samples,); got a column of shape (n_samples, 1), which is taken as y.ravel()."
        warnings.warn(msg, SoftmaxXPWarning, stacklevel=3)
        labels = labels.ravel()
    if labels.ndim == 2:
        msg = (
            f"`y` must have shape (n_samples,); got shape {labels.shape}. Pass `y.argmax(axis=1)` for one-hot labels, "
            "or probabilities over the classes as soft targets."
        )
        raise InvalidValueError(msg)
    if labels.ndim != 1:
        msg = f"`y` must have shape (n_samples,); got shape {labels.shape}."
        raise InvalidValueError(msg)
    if labels.size == 0:
        msg = "`y` must hold at least one label; got an empty array."
        raise InvalidValueError(msg)
    return labels


def _as_array(values: Any, name: str) -> NDArray[Any]:
    """Convert to a host array without turning the numbers of a mixed list into strings."""
    try:
        array = np.asarray(values)
        # NB: np.asarray([1, "a"]) is ["1", "a"], which would merge the classes 1 and "1".
        became_text = array.dtype.kind in "US" and array.ndim == 1 and isinstance(values, (list, tuple))
        if became_text and not all(isinstance(value, (str, bytes)) for value in values):
            array = np.asarray(values, dtype=object)
    except (TypeError, ValueError) as error:
        msg = f"`{name}` must be labels on the host, one per sample; got {type(values).__name__} ({error})."
        raise InvalidTypeError(msg) from error
    return array


def _as_labels(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Return labels of kind bool, integer, float, string, or an object array of a mix; all of them valid."""
    kind = labels.dtype.kind
    if kind in "biuUS":
        return labels
    if kind == "f":
        return _check_floats(labels, name)
    if kind in "OT":
        return _from_objects(labels.tolist(), name)
    msg = f"`{name}` must hold numbers or strings; got dtype {labels.dtype}."
    raise InvalidTypeError(msg)


def _check_floats(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Refuse NaN and continuous values."""
    missing = np.isnan(labels)
    if missing.any():
        msg = f"`{name}` must hold no missing label; got NaN at row {missing.argmax()} ({missing.sum()} such rows)."
        raise InvalidValueError(msg)
    continuous = labels != np.trunc(labels)
    continuous |= np.isinf(labels)
    if continuous.any():
        row = continuous.argmax()
        msg = (
            f"Unknown label type: continuous. `{name}` must hold discrete classes; got {labels[row].item()!r} "
            f"at row {row}. Bin a regression target into classes first."
        )
        raise InvalidValueError(msg)
    return labels


def _from_objects(values: list[Any], name: str) -> NDArray[Any]:
    """Return Python objects in the narrowest dtype that keeps them apart."""
    kinds = set(map(type, values))
    for kind in kinds:
        if not issubclass(kind, (str, bytes, bool, int, float, np.number, np.bool_)) or issubclass(
            kind, np.complexfloating
        ):
            row = next(index for index, value in enumerate(values) if type(value) is kind)
            # None, pandas.NA and NaT mark a missing label; anything else is no label at all.
            if values[row] is None or kind.__name__ in {"NAType", "NaTType"}:
                msg = f"`{name}` must hold no missing label; got {values[row]!r} at row {row}."
                raise InvalidValueError(msg)
            msg = f"`{name}` must hold numbers or strings; got {kind.__name__} at row {row}."
            raise InvalidTypeError(msg)
    if all(issubclass(kind, str) for kind in kinds) or all(issubclass(kind, bytes) for kind in kinds):
        return np.asarray(values)
    if not any(issubclass(kind, (str, bytes)) for kind in kinds):
        numbers = np.asarray(values)
        # Integers beyond uint64 stay Python objects; they can neither be NaN nor continuous.
        return _check_floats(numbers, name) if numbers.dtype.kind == "f" else numbers
    for row, value in enumerate(values):
        if isinstance(value, (float, np.floating)) and value != np.trunc(value):
            what = "no missing label" if np.isnan(value) else "discrete classes"
            msg = f"`{name}` must hold {what}; got {value!r} at row {row}."
            raise InvalidValueError(msg)
    mixed = np.empty(len(values), dtype=object)
    mixed[:] = values
    return mixed


def _differs(labels: NDArray[Any], ignore_index: int) -> NDArray[np.bool_]:
    """Mark the rows whose label is not `ignore_index`."""
    if labels.dtype.kind in "biuf":
        return np.asarray(labels != ignore_index)
    if labels.dtype.kind == "O":
        return np.asarray([value != ignore_index for value in labels.tolist()], dtype=np.bool_)
    return np.ones(labels.shape[0], dtype=np.bool_)


def _check_ignore_index(ignore_index: int, known: NDArray[Any]) -> None:
    """Refuse an ignored label that is a class or reads like the code of one."""
    if not _differs(known, ignore_index).all():
        msg = f"`ignore_index` must not be one of `classes`; got {ignore_index}."
        raise InvalidValueError(msg)
    if 0 <= ignore_index < known.shape[0]:
        msg = (
            f"`ignore_index` must lie outside the codes 0..{known.shape[0] - 1} of the {known.shape[0]} classes; "
            f"got {ignore_index}. Use a negative label such as -1."
        )
        raise InvalidValueError(msg)


def _encode_sorted(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Encode labels by their own sorted distinct values."""
    native = labels.dtype.newbyteorder("=")
    kind = native.kind
    if kind in "biu":
        codes, values = _encode_integers(labels.astype(np.uint8) if kind == "b" else labels)
        return codes, values.astype(native)
    if kind == "f" and float(np.max(np.abs(labels))) < _EXACT_FLOAT:
        codes, values = _encode_integers(labels.astype(np.int64))
        return codes, values.astype(native)
    if kind == "O":
        ordered = sorted(set(labels.tolist()), key=_number_before_string)
        table = {value: code for code, value in enumerate(ordered)}
        codes = np.fromiter(map(table.__getitem__, labels.tolist()), dtype=np.int64, count=labels.shape[0])
        known = np.empty(len(ordered), dtype=object)
        known[:] = ordered
        return codes, known
    known, inverse = np.unique(labels.astype(native, copy=False), return_inverse=True)
    return inverse.astype(np.int64, copy=False).reshape(-1), known


def _number_before_string(value: Any) -> tuple[int, Any]:
    """Give a sort key that orders numbers, then strings, then bytes."""
    return (2 if isinstance(value, bytes) else 1 if isinstance(value, str) else 0, value)


def _encode_integers(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Encode integers with a lookup table while their range is small, else by a sort."""
    low, high = int(labels.min()), int(labels.max())
    n_values = high - low + 1  # Python integers: the range of int64 labels may exceed int64
    if n_values > max(_SMALL_RANGE, 2 * labels.shape[0]):
        values, inverse = np.unique(labels, return_inverse=True)
        return inverse.astype(np.int64, copy=False), values
    offsets = _offsets(labels, low)
    present = np.bincount(offsets, minlength=n_values) > 0
    # The values may not fit int64 (uint64 labels), so they are built in the labels' own dtype.
    values = (np.flatnonzero(present).astype(object) + low).astype(labels.dtype)
    if values.shape[0] == n_values:
        return offsets, values
    table = np.cumsum(present, dtype=np.int64) - 1
    return table[offsets], values


def _offsets(labels: NDArray[Any], low: int) -> NDArray[np.int64]:
    """Return ``labels - low`` as int64 without wrapping narrow or unsigned integers."""
    if labels.dtype == np.uint64:
        return (labels - np.uint64(low)).astype(np.int64)
    return labels.astype(np.int64, copy=False) - low


def _check_classes(classes: Any) -> NDArray[Any]:
    """Return the given classes as an array: one-dimensional, at least two, all different."""
    known = _as_array(classes, "classes")
    if known.ndim != 1 or known.shape[0] < 2:
        msg = f"`classes` must be a sequence of at least two classes; got shape {known.shape}."
        raise InvalidValueError(msg)
    known = _as_labels(known, "classes")
    seen: set[Hashable] = set()
    for value in known.tolist():
        if value in seen:
            msg = f"`classes` must all be different; got {value!r} more than once."
            raise InvalidValueError(msg)
        seen.add(value)
    return known


def _encode_known(labels: NDArray[Any], known: NDArray[Any], kept: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Encode labels by the position of each in `known`."""
    if labels.size == 0:
        return np.zeros(0, dtype=np.int64)
    # Sorting the distinct labels first leaves only a handful of lookups, whatever the kinds of both sides.
    positions, distinct = _encode_sorted(labels)
    table = {value: code for code, value in enumerate(known.tolist())}
    codes = np.asarray([table.get(value, -1) for value in distinct.tolist()], dtype=np.int64)
    unknown = codes < 0
    if unknown.any():
        first = int(unknown[positions].argmax())
        row = first if kept is None else int(np.flatnonzero(kept)[first])
        label = distinct.tolist()[int(positions[first])]
        hint = ""
        if isinstance(label, str) != isinstance(known.tolist()[0], str):
            hint = f" The label is of type {type(label).__name__}, the classes are {type(known.tolist()[0]).__name__}."
        msg = f"`y` must hold only known classes; got the unknown label {label!r} at row {row}.{hint} "
        msg += f"Known are {_some_of(known)}."
        raise InvalidValueError(msg)
    return np.asarray(codes[positions])


def _some_of(known: NDArray[Any]) -> str:
    """List at most ten classes."""
    shown = ", ".join(map(repr, known[:10].tolist()))
    return shown if known.shape[0] <= 10 else f"{shown}, ... ({known.shape[0]} classes)"
