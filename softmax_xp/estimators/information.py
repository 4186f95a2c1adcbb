# SPDX-License-Identifier: BSD-3-Clause
"""What data say about the contrasts of a softmax model: gradient, Hessian and the scores' second moments, in one pass.

Everything is summed on the host in float64, over chunks of rows, whatever ``X`` is and wherever it lives. The features
are centred (where there is an intercept) and scaled first, so that a feature such as a year, or one of size 1e30,
costs no digits; :class:`Coordinates` leads back.
"""

__all__ = ["Coordinates", "Floats", "Information", "gather_information", "measure_coordinates", "mirror_lower"]

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmax_xp.backend import to_host
from softmax_xp.typing import Array

Floats = NDArray[np.float64]

# A chunk and what is derived from it take at most this many float64: 16 MB (a single longer row aside).
_CHUNK_ELEMENTS = 1 << 21


class Coordinates(NamedTuple):
    """The terms of the model, the intercept first, in units in which each has about size one."""

    centre: Floats  # (n_terms,), 0 for the intercept, and everywhere where there is none
    scale: Floats  # (n_terms,), 1 for the intercept
    has_intercept: bool

    def design(self, rows: Floats) -> Floats:
        """Return the scaled terms, shape (n_rows, n_terms), of rows of features."""
        first = int(self.has_intercept)
        terms = np.ones((rows.shape[0], self.scale.shape[0]))
        terms[:, first:] = (rows - self.centre[first:]) / self.scale[first:]
        return terms

    def restore(self, values: Floats, axis: int) -> Floats:
        """Turn scaled parameters along ``axis`` into those of the features as they are, in place."""
        moved = np.moveaxis(values, axis, 0)
        moved /= self.scale.reshape((-1,) + (1,) * (moved.ndim - 1))
        if self.has_intercept:
            moved[0] -= np.tensordot(self.centre[1:], moved[1:], axes=1)
        return values


class Information(NamedTuple):
    """Sums over the samples, in scaled coordinates; matrices over (contrast, term), the contrast varying slowest."""

    hessian: Floats  # of the penalised sum of the losses, (n_contrasts * n_terms,) * 2
    gradient: Floats  # of the same, (n_contrasts, n_terms)
    meat: Floats | None  # sum of the outer products of the samples' scores, of the shape of the Hessian
    gram: Floats  # (n_terms, n_terms): sum of weight * x x', and the penalty of one contrast
    class_weight: Floats  # (n_classes,): what the classes weigh in all, the reference first
    n_samples: int  # of positive weight
    is_separated: bool  # the coefficients give each sample's own class the largest logit


def measure_coordinates(X: Array, kept: NDArray[np.bool_], *, has_intercept: bool, strength: float) -> Coordinates:
    """Measure the features over the ``kept`` rows; ``strength`` is that of the penalty, see :func:`gather_information`.

    The scale is ``hypot(largest deviation, sqrt(strength))``: then neither the Hessian of the losses nor that of the
    penalty leaves float64's range, however small or large the features are.
    """
    n_features = X.shape[1]
    low, high, total = np.full(n_features, np.inf), np.full(n_features, -np.inf), np.zeros(n_features)
    for _, rows in _row_chunks(X, kept, n_features):
        low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
        total += rows.sum(axis=0)
    centre = np.clip(total / np.count_nonzero(kept), low, high) if has_intercept else np.zeros(n_features)
    scale = np.hypot(np.maximum(high - centre, centre - low), np.sqrt(strength))
    scale[scale == 0.0] = 1.0
    intercept = int(has_intercept)
    return Coordinates(np.r_[[0.0] * intercept, centre], np.r_[[1.0] * intercept, scale], has_intercept)


def gather_information(
    X: Array,
    targets: Array,
    contrasts: Floats,
    sample_weight: Floats,
    coordinates: Coordinates,
    *,
    order: NDArray[np.int64],
    penalty: Floats,
    with_meat: bool = False,
    floor: float = 0.0,
) -> Information:
    """Sum gradient and Hessian of ``sum_i w_i loss_i + tr(G' penalty G) / 2`` over the rows of positive weight.

    Parameters
    ----------
    X : array or sparse array of shape (n_samples, n_features)
        On any device. Sparse ones must be able to slice rows.
    targets : array of shape (n_samples,) or (n_samples, n_classes)
        Class numbers, or how much each class weighs in each sample.
    contrasts : array of shape (n_contrasts, n_terms)
        G: each class's coefficients less the reference's, in the features as they are; the intercept first.
    sample_weight : array of shape (n_samples,)
        w, not negative.
    coordinates : Coordinates
        In which to sum.
    order : array of int, shape (n_classes,)
        The number of the reference class, then those of the contrasts.
    penalty : array of shape (n_contrasts, n_contrasts)
        Acts on the contrasts of each feature; not on the intercept.
    with_meat : bool, default=False
        Whether to sum the outer products of the scores too.
    floor : float, default=0.0
        Probabilities below it count as 0 in classes where the sample does not weigh.

    Returns
    -------
    Information
        At ``contrasts``.
    """
    n_contrasts, n_terms = contrasts.shape
    first, size, n_classes = int(coordinates.has_intercept), n_contrasts * n_terms, n_contrasts + 1
    gradient, gram = np.zeros((n_contrasts, n_terms)), np.zeros((n_terms, n_terms))
    blocks, class_weight = np.zeros((n_contrasts, n_terms, n_terms)), np.zeros(n_classes)
    hessian = np.zeros((size, size), order="F")
    meat = np.zeros((size, size), order="F") if with_meat else None
    is_separated = True
    for places, rows in _row_chunks(X, sample_weight > 0.0, size + 3 * n_terms):
        terms = coordinates.design(rows)
        target = sample_weight[places, None] * _target_rows(targets, places, n_classes)[:, order]
        mass = target.sum(axis=1)
        logits = np.zeros((rows.shape[0], n_classes))
        logits[:, 1:] = rows @ contrasts[:, first:].T + (contrasts[:, 0] if first else 0.0)
        probability, complement = _probabilities(logits, target, floor)
        residual = mass[:, None] * probability - target[:, 1:]
        is_separated = is_separated and _is_separated(logits, target)
        class_weight += target.sum(axis=0)
        gradient += residual.T @ terms
        gram += (mass[:, None] * terms).T @ terms
        for contrast, curvature in enumerate((mass[:, None] * probability * complement).T):
            blocks[contrast] += (curvature[:, None] * terms).T @ terms
        if n_contrasts > 1:
            hessian = _add_outer(hessian, np.sqrt(mass)[:, None] * probability, terms, -1.0)
        if meat is not None:
            meat = _add_outer(meat, residual, terms, 1.0)
    # In the product of the whole, 1 - p would be lost to cancellation.
    for contrast, block in enumerate(blocks):
        place = slice(contrast * n_terms, (contrast + 1) * n_terms)
        hessian[place, place] = block
    mirror_lower(hessian)
    if meat is not None:
        mirror_lower(meat)
    _add_penalty(hessian, gradient, gram, contrasts, penalty, coordinates)
    n_samples = int(np.count_nonzero(sample_weight > 0.0))
    return Information(hessian, gradient, meat, gram, class_weight, n_samples, is_separated)


def mirror_lower(matrix: Floats) -> None:
    """Copy the lower triangle to the upper one, by blocks, so that no second matrix is needed."""
    size = matrix.shape[0]
    for start in range(0, size, 256):
        stop = min(start + 256, size)
        square = matrix[start:stop, start:stop]
        square[...] = np.tril(square) + np.tril(square, -1).T
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T


def _row_chunks(X: Array, kept: NDArray[np.bool_], width: int) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield the places of the kept rows of each chunk and the rows as float64 on the host.

    ``width`` is how many numbers the caller makes of a row.
    """
    n_rows = max(1, _CHUNK_ELEMENTS // max(width, X.shape[1]))
    for start in range(0, X.shape[0], n_rows):
        stop = min(start + n_rows, X.shape[0])
        places = start + np.flatnonzero(kept[start:stop])
        if places.shape[0] == 0:
            continue
        rows = X[start:stop, :]
        host = to_host(rows.toarray() if "toarray" in dir(rows) else rows)
        yield places, host[places - start].astype(np.float64)


def _target_rows(targets: Array, places: NDArray[np.int64], n_classes: int) -> Floats:
    """Return fresh rows of targets, shape (n_rows, n_classes)."""
    if len(targets.shape) == 1:
        codes = targets[places]
        one_hot: Floats = np.equal(codes[:, None], np.arange(n_classes)).astype(np.float64)
        return one_hot
    start, stop = int(places[0]), int(places[-1]) + 1
    rows: Floats = to_host(targets[start:stop, :])[places - start].astype(np.float64)
    return rows


def _probabilities(logits: Floats, target: Floats, floor: float) -> tuple[Floats, Floats]:
    """Return p and 1 - p of all classes but the first, both to full relative accuracy."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    total = exponentials.sum(axis=1, keepdims=True)
    if floor > 0.0:
        exponentials[(exponentials < floor * total) & (target == 0.0)] = 0.0
        total = exponentials.sum(axis=1, keepdims=True)
    complement = 1.0 - exponentials / total
    # Only the likeliest class has a 1 - p that cancels. It is the sum of the others.
    places = np.arange(logits.shape[0]), logits.argmax(axis=1)
    others = exponentials.copy()
    others[places] = 0.0
    complement[places] = others.sum(axis=1) / total[:, 0]
    return exponentials[:, 1:] / total, complement[:, 1:]


def _is_separated(logits: Floats, target: Floats) -> bool:
    """Tell whether each sample weighs in one class only, whose logit is the largest by itself."""
    is_own = target > 0.0
    own = np.where(is_own, logits, np.inf).min(axis=1)
    other = np.where(is_own, -np.inf, logits).max(axis=1)
    return bool(np.all((is_own.sum(axis=1) == 1) & (own > other)))


def _add_outer(matrix: Floats, left: Floats, terms: Floats, sign: float) -> Floats:
    """Add ``sign * sum_i v_i v_i'`` with ``v_i = left_i (x) terms_i`` to the lower triangle, half the work of all."""
    from scipy.linalg.blas import dsyrk

    products = (left[:, :, None] * terms[:, None, :]).reshape(terms.shape[0], -1)
    updated: Floats = dsyrk(sign, products.T, beta=1.0, c=matrix, lower=True, overwrite_c=True)
    return updated


def _add_penalty(
    hessian: Floats, gradient: Floats, gram: Floats, contrasts: Floats, penalty: Floats, coordinates: Coordinates
) -> None:
    """Add the penalty's part, in scaled coordinates, to the features' entries."""
    n_contrasts, n_terms = contrasts.shape
    features = np.arange(int(coordinates.has_intercept), n_terms)
    scale = coordinates.scale[features]
    gradient[:, features] += penalty @ (contrasts[:, features] / scale)
    gram[features, features] += penalty[0, 0] / scale / scale  # the square of a tiny scale would be 0
    for row, column in np.ndindex(n_contrasts, n_contrasts):
        at = (row * n_terms + features, column * n_terms + features)
        hessian[at] += penalty[row, column] / scale / scale
