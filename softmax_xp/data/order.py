# SPDX-License-Identifier: BSD-3-Clause
"""Randomness: one counter-based host generator, so that every device sees the same batches and initial weights."""

__all__ = ["epoch_order", "initial_weight", "philox"]

import numpy as np
from numpy.typing import NDArray

from softmax_xp.errors import InvalidValueError

_WEIGHTS, _FIRST_EPOCH = 1, 2  # stream numbers; 0 is the default, for users


def philox(seed: int, stream: int = 0) -> np.random.Generator:
    """Return a generator whose numbers depend on ``seed`` and ``stream`` alone.

    Parameters
    ----------
    seed : int
        Not negative.
    stream : int, default: 0
        Streams of one seed are independent.

    Returns
    -------
    numpy.random.Generator
        Over Philox-4x64, which is counter-based.

    Raises
    ------
    InvalidValueError
        For a seed that is no integer >= 0.

    References
    ----------
    .. [1] J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.

    Examples
    --------
    >>> from softmax_xp.data.order import philox
    >>> philox(0).permutation(5)
    array([0, 3, 4, 2, 1])
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        msg = f"`seed` must be an integer >= 0; got {seed!r}."
        raise InvalidValueError(msg)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([int(seed), stream])))


def epoch_order(seed: int, epoch: int, n_samples: int) -> NDArray[np.int64]:
    """Return the order in which an epoch visits the samples.

    Each epoch has a generator of its own, so the order of epoch 7 is the same whether or not epochs 0 to 6 ran.

    Parameters
    ----------
    seed : int
        Of the fit.
    epoch : int
        Counted from 0.
    n_samples : int
        How many samples there are.

    Returns
    -------
    array of int64, shape (n_samples,)
        A permutation of ``0 .. n_samples - 1``.
    """
    return philox(seed, _FIRST_EPOCH + epoch).permutation(n_samples)


def initial_weight(seed: int, n_features: int, n_classes: int, scale: float) -> NDArray[np.float64]:
    """Draw initial weights from a normal distribution.

    Parameters
    ----------
    seed : int
        Of the fit.
    n_features, n_classes : int
        The shape.
    scale : float
        Standard deviation.

    Returns
    -------
    array of float64, shape (n_features, n_classes)
        The same on every device; drawn in float64 and rounded afterwards.
    """
    return philox(seed, _WEIGHTS).standard_normal((n_features, n_classes)) * scale
