# SPDX-License-Identifier: BSD-3-Clause
"""A run of rows of a source."""

__all__ = ["RowSpan"]

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.source import Source


class RowSpan(NamedTuple):
    """A run of rows of another source.

    Parameters
    ----------
    source : Source
        The other.
    first : int
        The row with which the run begins.
    n_samples : int
        How many rows it has.
    """

    source: Source
    first: int
    n_samples: int

    @property
    def name(self) -> str:
        """That of the other."""
        return self.source.name

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_samples, n_features)``."""
        return self.n_samples, self.source.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the other."""
        return self.source.dtype

    @property
    def labels(self) -> NDArray[Any] | None:
        """Those of these rows."""
        labels = self.source.labels
        return None if labels is None else labels[self.first : self.first + self.n_samples]

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
        self.source.read_into(self.first + start, out)

    def read(self) -> NDArray[Any]:
        """Return all rows.

        Returns
        -------
        numpy.ndarray of shape (n_samples, n_features)
            Fresh.
        """
        rows = np.empty(self.shape, dtype=self.dtype)
        self.read_into(0, rows)
        return rows
