# SPDX-License-Identifier: BSD-3-Clause
"""The types that every layer shares.

The Array API standard has no static type yet, so :data:`Array` and :data:`Namespace` are names for
the reader; the type checker sees ``Any``.
"""

__all__ = ["Array", "LinearParams", "Namespace", "Params"]

from typing import Any, NamedTuple, TypeAlias

Array: TypeAlias = Any
Namespace: TypeAlias = Any


class LinearParams(NamedTuple):
    """The parameters of a linear model: ``logits = X @ weight + bias``."""

    weight: Array  # shape (n_features, n_classes)
    bias: Array | None = None  # shape (n_classes,); None for a model without intercept


# What an optimizer updates: one array, or a (named) tuple whose members are arrays or None.
Params: TypeAlias = Any
