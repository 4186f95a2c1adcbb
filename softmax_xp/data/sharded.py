# SPDX-License-Identifier: BSD-3-Clause
"""Several sources, such as the files of a folder, as one."""

__all__ = ["ShardedSource", "natural_order"]

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.source import Source, SparseSource, is_sparse_source, runs_of
from softmax_xp.errors import InvalidValueError


@final
@dataclass(frozen=True, slots=True, eq=False)
class ShardedSource:
    """The rows of several sources, one source after the other.

    Parameters
    ----------
    shards : sequence of Source
        At least one; all of one width, of one dtype and with the same columns.
    name : str, default: "shards"
        What to call the whole in messages.
    labels : numpy.ndarray of shape (n_samples,), optional
        One for each row of the whole. By default those of the shards, one after the other.

    Raises
    ------
    InvalidValueError
        If there is none, or two do not fit each other; the message names both.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.data.source import ArraySource
    >>> whole = ShardedSource([ArraySource(np.zeros((2, 3))), ArraySource(np.ones((4, 3)))])
    >>> whole.shape
    (6, 3)
    """

    shards: Sequence[Source]
    name: str = "shards"
    labels: NDArray[Any] | None = field(default=None, repr=False)
    starts: tuple[int, ...] = field(init=False, repr=False)
    limits: NDArray[np.int64] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Compare the shards, and put their labels together."""
        if not self.shards:
            msg = f"{self.name} must hold at least one shard; got none."
            raise InvalidValueError(msg)
        first, *others = self.shards
        for other in others:
            _check_fit(first, other, self.name)
        object.__setattr__(self, "starts", (0, *accumulate(shard.shape[0] for shard in self.shards)))
        if is_sparse_source(first):
            lengths = [np.diff(cast("SparseSource", shard).limits) for shard in self.shards]
            object.__setattr__(self, "limits", np.concatenate([[0], *lengths]).cumsum(dtype=np.int64))
        if self.labels is not None:
            return
        labels = [shard.labels for shard in self.shards]
        present = [part for part in labels if part is not None]
        if present and len(present) < len(labels):
            with_labels, without = (
                next(shard.name for shard, part in zip(self.shards, labels, strict=True) if (part is None) is missing)
                for missing in (False, True)
            )
            msg = (
                f"{self.name} must have labels in each shard or in none; got some in {with_labels}, none in {without}."
            )
            raise InvalidValueError(msg)
        object.__setattr__(self, "labels", _joined(present, self.name) if present else None)

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_samples, n_features)``."""
        return self.starts[-1], self.shards[0].shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of each shard."""
        return self.shards[0].dtype

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Those of each shard."""
        return self.shards[0].feature_names

    @property
    def target_name(self) -> str | None:
        """That of each shard."""
        return self.shards[0].target_name

    @property
    def runs(self) -> NDArray[np.int64] | None:
        """Those of the shards; one without any is a single run beside others that have some."""
        found = [runs_of(shard) for shard in self.shards]
        if all(runs is None for runs in found):
            return None
        firsts = zip(self.starts, found, strict=False)
        return np.concatenate([start + (np.zeros(1, np.int64) if runs is None else runs) for start, runs in firsts])

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Read the rows from ``start`` on into ``out``, from as many shards as they lie in."""
        number, filled = bisect_right(self.starts, start) - 1, 0
        while filled < out.shape[0]:
            within = start + filled - self.starts[number]
            count = min(self.shards[number].shape[0] - within, out.shape[0] - filled)
            self.shards[number].read_into(within, out[filled : filled + count])
            filled, number = filled + count, number + 1

    def read_entries(self, start: int, stop: int, columns: NDArray[Any], values: NDArray[Any]) -> None:
        """Read the entries of the rows from ``start`` to ``stop``, of sparse shards."""
        number, filled = bisect_right(self.starts, start) - 1, 0
        while start < stop:
            shard, before = cast("SparseSource", self.shards[number]), self.starts[number]
            end = min(stop, self.starts[number + 1])
            count = int(shard.limits[end - before] - shard.limits[start - before])
            part = slice(filled, filled + count)
            shard.read_entries(start - before, end - before, columns[part], values[part])
            start, filled, number = end, filled + count, number + 1


def _check_fit(first: Source, other: Source, name: str) -> None:
    """Raise unless two shards have the same columns."""
    for what, ours, theirs in (
        ("features", first.shape[1], other.shape[1]),
        ("dtype", first.dtype, other.dtype),
        ("feature names", first.feature_names, other.feature_names),
        ("kind", *("sparse" if is_sparse_source(shard) else "dense" for shard in (first, other))),
    ):
        if ours != theirs:
            msg = (
                f"The shards of {name} must agree in their {what}; got {ours} in {first.name} and {theirs} in "
                f"{other.name}. Write one of them anew, or move it elsewhere."
            )
            raise InvalidValueError(msg)


def _joined(labels: list[NDArray[Any]], name: str) -> NDArray[Any]:
    """Return the labels of all shards; numbers and strings in one array would all become strings."""
    kinds = {
        "string" if part.dtype.kind in "UST" else "number" if part.dtype.kind in "biuf" else "o" for part in labels
    }
    if len(kinds) > 1:
        msg = f"The shards of {name} must have labels of one kind; got {sorted({str(part.dtype) for part in labels})}."
        raise InvalidValueError(msg)
    return np.concatenate(labels)


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths by name so that ``part-10`` comes after ``part-9``.

    Parameters
    ----------
    paths : iterable of path
        In any order.

    Returns
    -------
    list of path
        The same on every system.

    Examples
    --------
    >>> [path.name for path in natural_order([Path("part-10.npy"), Path("part-9.npy")])]
    ['part-9.npy', 'part-10.npy']
    """

    def key(path: Path) -> list[tuple[int, str]]:
        return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", path.name)]

    return sorted(paths, key=lambda path: (key(path), path.name))
