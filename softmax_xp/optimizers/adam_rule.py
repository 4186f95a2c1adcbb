# SPDX-License-Identifier: BSD-3-Clause
"""The step that Adam and AdamW have in common."""

__all__ = ["AdamState", "adam_fused_rule", "adam_init", "adam_update"]

import math
from typing import NamedTuple

from softmax_xp.kernels.rules import FusedRule
from softmax_xp.optimizers.contract import namespace_of, unzip_map_arrays, zeros_like
from softmax_xp.optimizers.moments import average_gradient, average_squared_gradient
from softmax_xp.typing import Array, Params


class AdamState(NamedTuple):
    """What Adam and AdamW remember between steps; each record has the parameters' shapes and dtypes."""

    count: int  # type: ignore[assignment]  # number of finished steps, on the host
    mu: Params  # average of the gradients, not corrected for its start at 0
    nu: Params  # average of the squared gradients, not corrected for its start at 0
    nu_max: Params | None  # largest `nu` so far; None without amsgrad


def adam_init(params: Params, *, amsgrad: bool) -> AdamState:
    """Return the state before the first step.

    Parameters
    ----------
    params : array, or tuple of arrays and None
        The parameters to be trained.
    amsgrad : bool
        Whether to keep the largest second moment.

    Returns
    -------
    AdamState
        The state, all zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers.adam_rule import adam_init
    >>> adam_init(np.ones(1), amsgrad=False)
    AdamState(count=0, mu=array([0.]), nu=array([0.]), nu_max=None)
    """
    return AdamState(
        count=0,
        mu=zeros_like(params),
        nu=zeros_like(params),
        nu_max=zeros_like(params) if amsgrad else None,
    )


def adam_update(
    grads: Params, state: AdamState, *, rate: float, b1: float, b2: float, eps: float, amsgrad: bool
) -> tuple[Params, AdamState]:
    """Return ``-rate * mu_hat / (sqrt(nu_hat) + eps)`` and the next state.

    Parameters
    ----------
    grads : array, or tuple of arrays and None
        The gradients that enter the moments.
    state : AdamState
        The current state.
    rate : float
        The learning rate of this step.
    b1 : float
        Decay of the average of the gradients.
    b2 : float
        Decay of the average of the squared gradients.
    eps : float
        Added to the root.
    amsgrad : bool
        Whether to divide by the largest second moment so far.

    Returns
    -------
    updates : array, or tuple of arrays and None
        To be added to the parameters.
    state : AdamState
        The next state.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers.adam_rule import adam_init, adam_update
    >>> state = adam_init(np.ones(1), amsgrad=False)
    >>> updates, state = adam_update(
    ...     np.asarray([4.0]), state, rate=0.5, b1=0.75, b2=0.75, eps=0.0, amsgrad=False
    ... )
    >>> updates, state
    (array([-0.5]), AdamState(count=1, mu=array([1.]), nu=array([4.]), nu_max=None))
    """
    count = state.count + 1
    factor, offset = _factor_and_offset(count, rate=rate, b1=b1, b2=b2, eps=eps)
    xp = namespace_of(grads)

    def divide(mu: Array, nu: Array) -> Array:
        denominator = xp.sqrt(nu)
        denominator += offset
        update = mu * factor
        update /= denominator
        return update

    def step(grad: Array, mu: Array, nu: Array) -> tuple[Array, Array, Array]:
        mu = average_gradient(grad, mu, b1)
        nu = average_squared_gradient(grad, nu, b2)
        return divide(mu, nu), mu, nu

    def amsgrad_step(grad: Array, mu: Array, nu: Array, nu_max: Array) -> tuple[Array, Array, Array, Array]:
        mu = average_gradient(grad, mu, b1)
        nu = average_squared_gradient(grad, nu, b2)
        nu_max = xp.maximum(nu_max, nu)
        return divide(mu, nu_max), mu, nu, nu_max

    if amsgrad:
        updates, mu, nu, nu_max = unzip_map_arrays(amsgrad_step, 4, grads, state.mu, state.nu, state.nu_max)
        return updates, AdamState(count, mu, nu, nu_max)
    updates, mu, nu = unzip_map_arrays(step, 3, grads, state.mu, state.nu)
    return updates, AdamState(count, mu, nu, None)


def adam_fused_rule(
    state: AdamState,
    *,
    rate: float,
    b1: float,
    b2: float,
    eps: float,
    amsgrad: bool,
    weight_decay: float = 0.0,
    param_factor: float = 0.0,
) -> FusedRule:
    """Return the formula and the host numbers of the step that :func:`adam_update` takes.

    Parameters
    ----------
    state : AdamState
        The current state.
    rate : float
        The learning rate of this step.
    b1 : float
        Decay of the average of the gradients.
    b2 : float
        Decay of the average of the squared gradients.
    eps : float
        Added to the root.
    amsgrad : bool
        Whether to divide by the largest second moment so far.
    weight_decay : float, default=0.0
        Factor of the parameters that is added to their gradient.
    param_factor : float, default=0.0
        Factor of the parameters that is added to their update.

    Returns
    -------
    FusedRule
        "adam" or "amsgrad".

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers.adam_rule import adam_fused_rule, adam_init
    >>> state = adam_init(np.ones(1), amsgrad=False)
    >>> adam_fused_rule(state, rate=0.5, b1=0.75, b2=0.75, eps=0.5, amsgrad=False)
    FusedRule(name='adam', scalars=(-1.0, 0.0, 0.0, 0.25, 0.75, 0.25, 0.25))
    """
    factor, offset = _factor_and_offset(state.count + 1, rate=rate, b1=b1, b2=b2, eps=eps)
    scalars = (factor, weight_decay, param_factor, 1.0 - b1, b2, 1.0 - b2, offset)
    return FusedRule("amsgrad" if amsgrad else "adam", scalars)


def _factor_and_offset(count: int, *, rate: float, b1: float, b2: float, eps: float) -> tuple[float, float]:
    """Return what multiplies `mu`, and what is added to the root of `nu`, at the step with this number."""
    # mu_hat is mu / correction1, nu_hat is nu / correction2. With numerator and denominator multiplied by the
    # root of correction2, one scalar is left for each, which saves a pass over the arrays.
    root_correction2 = math.sqrt(1.0 - b2**count)
    return -rate * root_correction2 / (1.0 - b1**count), eps * root_correction2
