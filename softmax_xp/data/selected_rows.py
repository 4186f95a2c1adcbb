# SPDX-License-Identifier: BSD-3-Clause
"""A part of the rows of another source."""

__all__ = ["SelectedRows"]

from dataclasses import dataclass, field
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.source import Source, SparseSource, entries_at, is_sparse_source, rows_at, runs_of
from softmax_xp.errors import InvalidValueError


@final
@dataclass(frozen=True, slots=True, eq=False)
class SelectedRows:
    """Some rows of another source, in the order of the storage.

    Parameters
    ----------
    source : Source
        The other.
    index : numpy.ndarray of int64, shape (some,)
        Row numbers, ascending.

    Raises
    ------
    InvalidValueError
        If there is no row, or the rows are not ascending numbers of the source.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.data.source import ArraySource
    >>> some = SelectedRows(ArraySource(np.arange(6.0).reshape(3, 2)), np.asarray([0, 2]))
    >>> some.shape
    (2, 2)
    """

    source: Source
    index: NDArray[np.int64] = field(repr=False)
    limits: NDArray[np.int64] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the rows; those of a sparse source have limits."""
        index, n_samples = self.index, self.source.shape[0]
        if index.size == 0 or index[0] < 0 or index[-1] >= n_samples or (index[1:] <= index[:-1]).any():
            msg = f"`index` must hold ascending row numbers below {n_samples}, at least one; got {index!r}."
            raise InvalidValueError(msg)
        if is_sparse_source(self.source):
            lengths = np.diff(self.source.limits)[index]  # type: ignore[attr-defined]
            object.__setattr__(self, "limits", np.concatenate(([0], np.cumsum(lengths))))

    @property
    def name(self) -> str:
        """That of the other."""
        return self.source.name

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_samples, n_features)``."""
        return self.index.shape[0], self.source.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the other."""
        return self.source.dtype

    @property
    def runs(self) -> NDArray[np.int64] | None:
        """Those of the other, as far as they hold such rows."""
        runs = runs_of(self.source)
        return None if runs is None else np.unique(np.searchsorted(self.index, runs[runs <= self.index[-1]]))

    @property
    def labels(self) -> NDArray[Any] | None:
        """Those of these rows."""
        labels = self.source.labels
        return None if labels is None else labels[self.index]

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Those of the other."""
        return self.source.feature_names

    @property
    def target_name(self) -> str | None:
        """That of the other."""
        return self.source.target_name

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Read the rows from ``start`` on into ``out``."""
        rows_at(self.source, self.index[start : start + out.shape[0]], out)

    def read_entries(self, start: int, stop: int, columns: NDArray[Any], values: NDArray[Any]) -> None:
        """Read the entries of the rows from ``start`` to ``stop``, of a sparse source."""
        entries_at(cast("SparseSource", self.source), self.index[start:stop], columns, values)
