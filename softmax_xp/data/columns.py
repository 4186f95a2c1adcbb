# SPDX-License-Identifier: BSD-3-Clause
"""Decide which columns of a table are features and which one is the target."""

__all__ = ["TARGET_NAMES", "check_feature_count", "choose_columns", "parse_labels"]

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from softmax_xp.errors import InvalidValueError

# A column of one of these names is the target when none is asked for.
TARGET_NAMES = ("target", "label", "class", "y")


def choose_columns(
    names: Sequence[str],
    *,
    target: str | None = None,
    feature_names: Sequence[str] | None = None,
    require_labels: bool = True,
    source: str = "the table",
) -> tuple[tuple[int, ...], int | None]:
    """Return the positions of the feature columns and of the target column.

    Parameters
    ----------
    names : sequence of str
        The columns of the table.
    target : str, optional
        The target column. By default the column called "target", "label", "class" or "y".
    feature_names : sequence of str, optional
        The features to select, in this order. By default all columns but the target.
    require_labels : bool, default=True
        Whether a table without a target column is an error.
    source : str
        What to call the table in messages.

    Returns
    -------
    features : tuple of int
        Positions in `names`.
    target : int or None
        Position in `names`; None when there is no target column and none is required.

    Raises
    ------
    InvalidValueError
        If a column is missing, appears twice, or the choice of the target is not clear.

    Examples
    --------
    >>> choose_columns(["width", "label", "height"])
    ((0, 2), 1)
    >>> choose_columns(["width", "label", "height"], feature_names=["height", "width"])
    ((2, 0), 1)
    """
    positions = {name: position for position, name in enumerate(names)}
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        msg = f"The columns of {source} must have different names; got {twice[0]!r} more than once."
        raise InvalidValueError(msg)
    if target is None:
        target_position = _default_target(names, feature_names, require_labels=require_labels, source=source)
    elif target in positions:
        target_position = positions[target]
    elif feature_names is not None and not require_labels:
        target_position = None  # new samples to predict need not carry the target of the training table
    else:
        msg = f"`target` must be a column of {source}; got {target!r}. The columns are {_listing(names)}."
        raise InvalidValueError(msg)
    if feature_names is None:
        features = tuple(position for position in range(len(names)) if position != target_position)
        if not features:
            msg = f"{source} must have a feature column beside the target; got the columns {_listing(names)}."
            raise InvalidValueError(msg)
        return features, target_position
    missing = [name for name in feature_names if name not in positions]
    if missing:
        msg = (
            f"{source} must have every feature of the model; got no column {_listing(missing)} among {_listing(names)}."
        )
        raise InvalidValueError(msg)
    return tuple(positions[name] for name in feature_names), target_position


def check_feature_count(n_features: int, feature_names: Sequence[str] | None, source: str) -> None:
    """Check the width of a file without column names against the names that were asked for."""
    if feature_names is not None and len(feature_names) != n_features:
        msg = f"{source} must have {len(feature_names)} features like the model; got {n_features}."
        raise InvalidValueError(msg)


def parse_labels(cells: Sequence[str], source: str) -> NDArray[Any]:
    """Return text labels as integers or floats where every one of them reads as such, else as strings."""
    missing = next((row for row, cell in enumerate(cells) if not cell.strip()), None)
    if missing is not None:
        msg = f"{source} must have a label in each row; got an empty one at row {missing}."
        raise InvalidValueError(msg)
    stripped = [cell.strip() for cell in cells]
    try:
        integers = [int(cell) for cell in stripped]
    except ValueError:
        try:
            # Underscores are part of a name, not of a number.
            if not any("_" in cell for cell in stripped):
                return np.asarray([float(cell) for cell in stripped])
        except ValueError:
            pass
        return np.asarray(stripped, dtype=str)
    # NB: "007" and "7" are different labels, so only numbers in their usual spelling become numbers.
    if all(str(integer) == cell for integer, cell in zip(integers, stripped, strict=True)):
        return np.asarray(integers)
    return np.asarray(stripped, dtype=str)


def _default_target(
    names: Sequence[str], feature_names: Sequence[str] | None, *, require_labels: bool, source: str
) -> int | None:
    """Return the position of the one column with a usual target name."""
    taken = set(feature_names or ())
    found = [position for position, name in enumerate(names) if name.lower() in TARGET_NAMES and name not in taken]
    if len(found) == 1:
        return found[0]
    if not found and not require_labels:
        return None
    if found and feature_names is not None and not require_labels:
        return None  # the features are named, so nothing is mistaken for one
    what = f"got {_listing([names[position] for position in found])}" if found else "got none"
    msg = (
        f"{source} must have exactly one column called {', '.join(TARGET_NAMES)}; {what}. "
        f"Pass `target` (on the command line: --target). The columns are {_listing(names)}."
    )
    raise InvalidValueError(msg)


def _listing(names: Sequence[str]) -> str:
    """List at most twenty names."""
    shown = ", ".join(map(repr, names[:20]))
    return shown if len(names) <= 20 else f"{shown}, ... ({len(names)} in all)"
