# SPDX-License-Identifier: BSD-3-Clause
"""Which entries of a chunk of samples no fit can use."""

__all__ = ["check_entries", "check_rows"]

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from softmax_xp.errors import InvalidValueError


def check_rows(
    rows: NDArray[Any], numbers: Sequence[int] | NDArray[np.int64], name: str, largest: float = np.inf
) -> None:
    """Refuse entries that are not finite, or too large.

    Parameters
    ----------
    rows : numpy.ndarray of shape (some, n_features)
        Floats.
    numbers : sequence of int
        The number of each row, for the message.
    name : str
        Of the source.
    largest : float, default: inf
        The largest size that an entry may have.

    Raises
    ------
    InvalidValueError
        Naming the first row and column.
    """
    allowed = np.isfinite(rows)
    if largest < np.inf:
        allowed &= np.abs(rows) <= largest
    if allowed.all():
        return
    place = int(np.argmin(allowed.all(axis=1)))
    column = int(np.argmin(allowed[place]))
    count = int(rows.size - np.count_nonzero(allowed))
    _refuse(float(rows[place, column]), count, (place, column), numbers, name)


def check_entries(rows: Any, numbers: Sequence[int] | NDArray[np.int64], name: str, largest: float = np.inf) -> None:
    """Refuse entries that are not finite, or too large.

    Parameters
    ----------
    rows : scipy.sparse.csr_array of shape (some, n_features)
        Canonical.
    numbers : sequence of int
        The number of each row, for the message.
    name : str
        Of the source.
    largest : float, default: inf
        The largest size that an entry may have.

    Raises
    ------
    InvalidValueError
        Naming the first row and column.
    """
    if rows.dtype.kind != "f":
        return
    allowed = np.isfinite(rows.data)
    if largest < np.inf:
        allowed &= np.abs(rows.data) <= largest
    if allowed.all():
        return
    first = int(np.argmin(allowed))
    row, column = int(np.searchsorted(rows.indptr, first, side="right")) - 1, int(rows.indices[first])
    value, count = float(rows.data[first]), int(np.count_nonzero(~allowed))
    _refuse(value, count, (row, column), numbers, name)


def _refuse(
    value: float, count: int, place: tuple[int, int], numbers: Sequence[int] | NDArray[np.int64], name: str
) -> NoReturn:
    """Raise the error of an entry that no fit can use: the first of ``count``, at this row of the chunk and column."""
    row, column = place
    where = f"row {numbers[row]}, column {column} of {name} (in the chunk of rows {numbers[0]} to {numbers[-1]})"
    if np.isfinite(value):
        msg = f"`X` must fit float32; got {value:g} at {where}. Scale it, or pass dtype='float64'."
        raise InvalidValueError(msg)
    advice = "Remove these samples or fill in the values" if np.isnan(value) else "Scale the features"
    got = "NaN" if np.isnan(value) else f"{value:g}"
    msg = f"`X` must be finite; got {got} at {where}, {count} such values in this chunk. {advice} first."
    raise InvalidValueError(msg)
