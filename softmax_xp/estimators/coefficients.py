# SPDX-License-Identifier: BSD-3-Clause
"""Between scikit-learn's coefficients and the columns of a linear model, and from one set of classes to another.

scikit-learn keeps ``coef_`` of shape (n_classes, n_features), and for two classes the single row that gives the logit
of the second. A model with a column for each class holds the same two as ``(-w / 2, w / 2)``.
"""

__all__ = ["as_coefficients", "centred", "columns_of_classes", "one_column", "regrouped"]

from collections.abc import Sequence
from typing import Any

from softmax_xp.backend import array_namespace, backend_of
from softmax_xp.typing import Array, LinearParams


def as_coefficients(params: LinearParams) -> tuple[Array, Array]:
    """Return ``coef_`` and ``intercept_`` of a model with one column for each class, or one for two.

    Parameters
    ----------
    params : LinearParams
        Weight of shape (n_features, n_columns), bias of shape (n_columns,) or None.

    Returns
    -------
    coef : array of shape (n_columns, n_features)
        Contiguous.
    intercept : array of shape (n_columns,)
        Zeros where there is no bias.
    """
    weight, bias = params
    xp = array_namespace(weight)
    # Flattening a transposed view is the standard's one way to force a copy in its order.
    coef = xp.reshape(xp.reshape(weight.T, (-1,)), weight.shape[::-1])
    return coef, xp.zeros_like(weight[0, :]) if bias is None else xp.asarray(bias, copy=True)


def columns_of_classes(params: LinearParams) -> LinearParams:
    """Give each class a column: a single column ``w`` becomes ``(-w / 2, w / 2)``, which has the same probabilities."""
    weight, bias = params
    if weight.shape[1] > 1:
        return params
    xp = array_namespace(weight)
    half = 0.5 * weight
    return LinearParams(
        xp.concat((-half, half), axis=1), None if bias is None else xp.concat((-0.5 * bias, 0.5 * bias), axis=0)
    )


def one_column(params: LinearParams) -> LinearParams:
    """Give two classes the one column of their difference; more classes stay as they are."""
    weight, bias = params
    if weight.shape[1] != 2:
        return params
    return LinearParams(weight[:, 1:] - weight[:, :1], None if bias is None else bias[1:] - bias[:1])


def centred(params: LinearParams) -> LinearParams:
    """Choose among all models of the same probabilities the one whose coefficients sum to 0 over the classes.

    Parameters
    ----------
    params : LinearParams
        With a column for each of three or more classes; a single column has nothing to choose.

    Returns
    -------
    LinearParams
        Of equal probabilities.
    """
    weight, bias = params
    if weight.shape[1] == 1:
        return params
    xp = array_namespace(weight)
    weight = weight - xp.mean(weight, axis=1, keepdims=True)
    return LinearParams(weight, None if bias is None else bias - xp.mean(bias))


def regrouped(
    params: LinearParams, known: Sequence[Any], classes: Sequence[Any], *, new_bias: Array | float | None = None
) -> LinearParams:
    """Arrange the columns of one set of classes for another; a new class gets a column of zeros.

    Parameters
    ----------
    params : LinearParams
        With a column for each of `known`.
    known : sequence of shape (n_known,)
        The classes of the columns.
    classes : sequence of shape (n_classes,)
        Those that are wanted. Columns of others are dropped.
    new_bias : array of shape () or float, optional
        The bias of each new class; by default the mean of the known ones.

    Returns
    -------
    LinearParams
        With a column for each of `classes`.
    """
    weight, bias = params
    xp, backend = array_namespace(weight), backend_of(weight)
    place = {label: number for number, label in enumerate(known)}
    index = xp.asarray([place.get(label, len(known)) for label in classes], device=backend.device)
    wider = xp.concat((weight, xp.zeros_like(weight[:, :1])), axis=1)
    weight = xp.take(wider, index, axis=1)
    if bias is None:
        return LinearParams(weight, None)
    fill = xp.mean(bias) if new_bias is None else new_bias
    return LinearParams(weight, xp.take(xp.concat((bias, xp.zeros_like(bias[:1]) + fill)), index, axis=0))
