# SPDX-License-Identifier: BSD-3-Clause
"""Sources whose samples are sparse: what those of every format have in common, and those made of others."""

__all__ = ["CsrArraySource", "SelectedColumns", "check_columns", "write_out"]

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from softmax_xp.data.source import SparseSource, check_storage
from softmax_xp.data.sparse_input import as_rows, as_sparse
from softmax_xp.errors import InvalidValueError


def write_out(source: SparseSource, start: int, out: NDArray[Any]) -> None:
    """Write out the zeros of some rows.

    Parameters
    ----------
    source : SparseSource
        The samples.
    start : int
        The first row.
    out : numpy.ndarray of shape (some, n_features)
        Is filled. Entries that stand twice are added.
    """
    stop = start + out.shape[0]
    limits = source.limits[start : stop + 1]
    count = int(limits[-1] - limits[0])
    columns, values = np.empty(count, dtype=np.int64), np.empty(count, dtype=source.dtype)
    source.read_entries(start, stop, columns, values)
    out[...] = 0
    np.add.at(out, (np.repeat(np.arange(out.shape[0]), np.diff(limits)), columns), values)


def check_columns(columns: NDArray[Any], n_features: int, name: str) -> None:
    """Refuse columns that are not those of a matrix: a product would follow them anywhere in memory.

    Parameters
    ----------
    columns : numpy.ndarray of int, shape (some,)
        As they were read.
    n_features : int
        All must be below.
    name : str
        Of the source.

    Raises
    ------
    InvalidValueError
        Naming the first that is not.
    """
    if columns.size == 0 or (columns.min() >= 0 and columns.max() < n_features):
        return
    wrong = columns[(columns < 0) | (columns >= n_features)][0]
    msg = (
        f"The columns in {name} must be at least 0 and below its {n_features} features; got {wrong}. The file is "
        "damaged, or its shape is: write it again."
    )
    raise InvalidValueError(msg)


@final
@dataclass(frozen=True, slots=True, eq=False)
class CsrArraySource:
    """A sparse matrix in memory as a source.

    Parameters
    ----------
    rows : sparse array of shape (n_samples, n_features)
        From :meth:`of`.
    labels : numpy.ndarray of shape (n_samples,), optional
        One for each row.
    name : str, default: "a sparse matrix"
        What to call it in messages.
    feature_names : tuple of str, optional
        One for each column.
    target_name : str, optional
        What the labels are called.

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> source = CsrArraySource.of(scipy.sparse.csc_array(np.eye(3)))
    >>> source.limits.tolist()
    [0, 1, 2, 3]
    """

    rows: Any = field(repr=False)
    labels: NDArray[Any] | None = field(default=None, repr=False)
    name: str = "a sparse matrix"
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None

    @classmethod
    def of(cls, X: Any) -> "CsrArraySource":
        """Return the source of a matrix of SciPy or CuPy, in any form.

        Parameters
        ----------
        X : sparse matrix or array of shape (n_samples, n_features)
            Real and finite. Not written to.

        Returns
        -------
        CsrArraySource
            On the host, with sorted columns and no duplicates.
        """
        X = as_sparse(X.get() if hasattr(X, "get") and not hasattr(X, "tolil") else X)
        check_storage(tuple(X.shape), np.dtype(X.dtype), "a sparse matrix")
        return cls(as_rows(X))

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_samples, n_features)``."""
        return self.rows.shape[0], self.rows.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the matrix."""
        dtype: np.dtype[Any] = np.dtype(self.rows.dtype)
        return dtype

    @property
    def limits(self) -> NDArray[np.int64]:
        """Where the rows begin among the entries."""
        return self.rows.indptr.astype(np.int64, copy=False)  # type: ignore[no-any-return]

    def read_entries(self, start: int, stop: int, columns: NDArray[Any], values: NDArray[Any]) -> None:
        """Copy the entries of the rows from ``start`` to ``stop``."""
        part = slice(self.rows.indptr[start], self.rows.indptr[stop])
        columns[...], values[...] = self.rows.indices[part], self.rows.data[part]

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Write out the rows from ``start`` on."""
        write_out(self, start, out)


@final
@dataclass(frozen=True, slots=True, eq=False)
class SelectedColumns:
    """The samples of another sparse source without features that never occur in it.

    Parameters
    ----------
    source : SparseSource
        The other.
    columns : numpy.ndarray of int64, shape (n_occurring,)
        Those that occur, ascending.
    """

    source: SparseSource
    columns: NDArray[np.int64] = field(repr=False)
    places: NDArray[Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Note where each column goes."""
        places = np.zeros(self.source.shape[1], dtype=np.int64 if self.columns.shape[0] > 2**31 - 1 else np.int32)
        places[self.columns] = np.arange(self.columns.shape[0])
        object.__setattr__(self, "places", places)

    @property
    def name(self) -> str:
        """That of the other."""
        return self.source.name

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_samples, n_occurring)``."""
        return self.source.shape[0], self.columns.shape[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the other."""
        return self.source.dtype

    @property
    def labels(self) -> NDArray[Any] | None:
        """Those of the other."""
        return self.source.labels

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Those of these columns."""
        names = self.source.feature_names
        return None if names is None else tuple(names[column] for column in self.columns)

    @property
    def target_name(self) -> str | None:
        """That of the other."""
        return self.source.target_name

    @property
    def limits(self) -> NDArray[np.int64]:
        """Those of the other."""
        return self.source.limits

    def read_entries(self, start: int, stop: int, columns: NDArray[Any], values: NDArray[Any]) -> None:
        """Read the entries of the rows from ``start`` to ``stop``."""
        self.source.read_entries(start, stop, columns, values)
        columns[...] = self.places[columns]

    def read_into(self, start: int, out: NDArray[Any]) -> None:
        """Write out the rows from ``start`` on."""
        write_out(self, start, out)
