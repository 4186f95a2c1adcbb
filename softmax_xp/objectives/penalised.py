# SPDX-License-Identifier: BSD-3-Clause
"""The penalty of a linear model, added to the value and to the gradient of its loss."""

__all__ = ["add_penalty", "penalised_gradient"]

from softmax_xp.backend import Backend
from softmax_xp.ops.linear import row_slices
from softmax_xp.penalties import L2, ElasticNet, Penalty
from softmax_xp.typing import Array, LinearParams

# Sums of a term for each weight, which may be added part by part.
_TERMS = (L2, ElasticNet)
# Weights of such a part: its two or three temporaries stay in the cache. With 130107 x 20 weights beside sparse data,
# where they were fresh arrays of 20 MB, the penalty took a quarter of a pass.
_BLOCK_SIZE = 1 << 16


def add_penalty(
    value: Array, gradient: LinearParams, penalty: Penalty | None, params: LinearParams, backend: Backend
) -> tuple[Array, LinearParams]:
    """Add a penalty to the loss and to its gradient.

    Parameters
    ----------
    value : array of shape ()
        The mean loss.
    gradient : LinearParams
        Given up.
    penalty : Penalty or None
        What to add.
    params : LinearParams
        Where.
    backend : Backend
        Of all arrays.

    Returns
    -------
    value : array of shape ()
        Of the objective.
    gradient : LinearParams
        Likewise.
    """
    if penalty is None:
        return value, gradient
    n_rows, n_columns = params.weight.shape
    if n_rows * n_columns <= _BLOCK_SIZE or type(penalty) not in _TERMS or not backend.capabilities.row_chunks:
        return value + penalty.value(params), penalised_gradient(gradient, penalty, params)
    for rows in row_slices(n_rows, max(_BLOCK_SIZE // n_columns, 1)):
        part = LinearParams(params.weight[rows, :])
        value = value + penalty.value(part)
        gradient.weight[rows, :] += penalty.gradient(part).weight
    return value, gradient


def penalised_gradient(gradient: LinearParams, penalty: Penalty | None, params: LinearParams) -> LinearParams:
    """Add the penalty's gradient to that of the loss, which is given up."""
    if penalty is None:
        return gradient
    weight, bias = gradient
    of_penalty = penalty.gradient(params)
    weight += of_penalty.weight  # in place where the library can: of many classes this is most of a pass's memory
    if bias is not None and of_penalty.bias is not None:
        bias = bias + of_penalty.bias
    return LinearParams(weight, bias)
