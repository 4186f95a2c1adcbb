# SPDX-License-Identifier: BSD-3-Clause
"""Dask arrays and data frames as sources; nothing here imports Dask, as whoever has such an array has done so."""

__all__ = ["DaskSource", "is_dask", "on_host"]

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.source import check_storage
from softmax_xp.data.sparse import is_sparse
from softmax_xp.errors import InvalidTypeError, InvalidValueError


def is_dask(item: Any) -> bool:
    """Tell whether an object is a Dask array, data frame or series."""
    return hasattr(item, "__dask_graph__") and hasattr(item, "compute") and hasattr(item, "ndim")


def on_host(item: Any) -> Any:
    """Return what a Dask array of labels or weights holds; other objects as they are."""
    return np.asarray(item.compute()) if is_dask(item) else item


@final
@dataclass(frozen=True, slots=True, eq=False)
class DaskSource:
    """A Dask array, whose blocks stay where the cluster has them.

    Parameters
    ----------
    X : dask.array.Array of shape (n_samples, n_features)
        With blocks of known sizes, each of whole rows: see :meth:`of`.
    feature_names : tuple of str, optional
        One for each column.

    Raises
    ------
    InvalidTypeError
        If it holds no real numbers.
    InvalidValueError
        If it is no matrix, or empty.
    """

    X: Any = field(repr=False)
    feature_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check the array."""
        check_storage(tuple(self.X.shape), np.dtype(self.X.dtype), self.name)

    @classmethod
    def of(cls, item: Any) -> "DaskSource":
        """Return the source of a Dask array or data frame.

        Parameters
        ----------
        item : dask.array.Array or dask.dataframe.DataFrame
            The rows of a data frame are counted, which computes it once.

        Returns
        -------
        DaskSource
            Cut between rows only.
        """
        if item.ndim != 2:
            msg = f"`X` must have shape (n_samples, n_features); got a Dask array of {item.ndim} dimensions."
            raise InvalidValueError(msg)
        names = None
        if hasattr(item, "to_dask_array"):
            names = tuple(str(name) for name in item.columns)
            item = item.to_dask_array(lengths=True)
        if is_sparse(getattr(item, "_meta", None)):
            msg = "`X` must be a Dask array of dense blocks; got sparse ones. Pass a folder from write_csr."
            raise InvalidTypeError(msg)
        if any(size != size for size in item.chunks[0]):  # noqa: PLR0124 - NaN stands for an unknown size
            item = item.compute_chunk_sizes()
        return cls(item if len(item.chunks[1]) == 1 else item.rechunk({1: -1}), names)

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return "a Dask array"

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_samples, n_features)``."""
        return int(self.X.shape[0]), int(self.X.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array, in the byte order of this machine."""
        dtype: np.dtype[Any] = np.dtype(self.X.dtype)
        return dtype.newbyteorder("=")

    @property
    def labels(self) -> NDArray[Any] | None:
        """None: labels are another array."""
        return None

    @property
    def target_name(self) -> str | None:
        """None."""
        return None

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Compute the rows from ``start`` on, and bring them here."""
        out[...] = self.X[start : start + out.shape[0]].compute()

    def gather_rows(self, index: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Compute rows here and there, all at once, and bring them here."""
        order = np.argsort(index, kind="stable")
        out[order] = self.X[index[order]].compute()
