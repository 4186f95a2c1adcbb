# SPDX-License-Identifier: BSD-3-Clause
"""The value that every loader returns."""

from __future__ import annotations

__all__ = ["Dataset"]

from dataclasses import dataclass
from typing import final

from softmax_xp.errors import InvalidValueError
from softmax_xp.typing import Array


# eq=False: arrays have no single truth value, so a generated __eq__ would raise.
@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dataset:
    """Hold samples, their labels and what is known about them, on the host.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        The samples, in the dtype in which they are stored (it may be a read-only memory map).
    y : array of shape (n_samples,), optional
        The labels as they stand in the source, not yet encoded.
    name : str, default="data"
        What the data set is called in messages.
    feature_names : tuple of str, optional
        One name per column of `X`.
    target_name : str, optional
        What the labels are called.
    test : Dataset, optional
        The official test split, where the data set has one.

    Raises
    ------
    InvalidValueError
        If the shapes disagree.

    Examples
    --------
    >>> import numpy as np
    >>> Dataset(np.zeros((3, 2)), np.asarray(["a", "b", "a"]), name="toy")
    Dataset(name='toy', n_samples=3, n_features=2)
    """

    X: Array
    y: Array | None = None
    name: str = "data"
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None
    test: Dataset | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit one another."""
        if self.X.ndim != 2:
            msg = f"`X` must have shape (n_samples, n_features); got shape {tuple(self.X.shape)} in {self.name}."
            raise InvalidValueError(msg)
        if self.y is not None and (self.y.ndim == 0 or self.y.shape[0] != self.n_samples):
            msg = (
                f"`y` must have one label per sample; got shape {tuple(self.y.shape)} "
                f"for {self.n_samples} samples in {self.name}."
            )
            raise InvalidValueError(msg)
        if self.feature_names is not None and len(self.feature_names) != self.n_features:
            msg = (
                f"`feature_names` must name each of the {self.n_features} columns of `X`; "
                f"got {len(self.feature_names)} names in {self.name}."
            )
            raise InvalidValueError(msg)
        if self.test is not None and self.test.n_features != self.n_features:
            msg = (
                f"`test` must have the {self.n_features} features of the training split; "
                f"got {self.test.n_features} in {self.name}."
            )
            raise InvalidValueError(msg)

    @property
    def n_samples(self) -> int:
        """Count the rows of `X`."""
        return int(self.X.shape[0])

    @property
    def n_features(self) -> int:
        """Count the columns of `X`."""
        return int(self.X.shape[1])

    def __repr__(self) -> str:
        """Show the sizes, never the arrays."""
        test = "" if self.test is None else f", test={self.test.n_samples} samples"
        return f"Dataset(name={self.name!r}, n_samples={self.n_samples}, n_features={self.n_features}{test})"
