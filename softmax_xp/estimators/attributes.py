# SPDX-License-Identifier: BSD-3-Clause
"""The attributes of an estimator over a call that may fail."""

__all__ = ["unchanged_on_failure"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def unchanged_on_failure(estimator: Any) -> Iterator[None]:
    """Give an estimator its attributes back when a fit raises.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise
