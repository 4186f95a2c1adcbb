# SPDX-License-Identifier: BSD-3-Clause
"""NAdam: Adam with Nesterov's momentum."""

__all__ = ["NAdam", "NAdamState"]

import math
from dataclasses import dataclass
from typing import NamedTuple, final

from softmax_xp.hyperparameters import FRACTION, LEARNING_RATE, NON_NEGATIVE, check_hyperparameters
from softmax_xp.kernels.rules import FusedRule
from softmax_xp.optimizers.contract import LearningRate, learning_rate_at, namespace_of, unzip_map_arrays, zeros_like
from softmax_xp.optimizers.fused import advance_state
from softmax_xp.optimizers.moments import add_weight_decay, average_gradient, average_squared_gradient
from softmax_xp.typing import Array, Params


class NAdamState(NamedTuple):
    """What :class:`NAdam` remembers between steps; each record has the parameters' shapes and dtypes."""

    count: int  # type: ignore[assignment]  # number of finished steps, on the host
    mu: Params  # average of the gradients, not corrected for its start at 0
    nu: Params  # average of the squared gradients, not corrected for its start at 0
    momentum_product: float  # product of the momenta of all finished steps, on the host


@final
@dataclass(frozen=True, slots=True)
class NAdam:
    """Step as Adam does, with the momentum of the next step already in the numerator.

    With ``g = grad + weight_decay * param`` and ``count`` counted from 1::

        mu = b1 * mu + (1 - b1) * g
        nu = b2 * nu + (1 - b2) * g**2
        momentum(t) = b1 * (1 - 0.5 * 0.96**(t * momentum_decay))
        product(t) = momentum(1) * ... * momentum(t)
        mu_hat = momentum(count + 1) * mu / (1 - product(count + 1))
                 + (1 - momentum(count)) * g / (1 - product(count))
        nu_hat = nu / (1 - b2**count)
        update = -learning_rate * mu_hat / (sqrt(nu_hat) + eps)

    as ``torch.optim.NAdam``, which keeps the product in float32 even for float64 parameters. Beware that
    optax's nadam has a constant momentum: it is another rule.

    Parameters
    ----------
    learning_rate : float or callable, default=2e-3
        Step size, or a function of the number of finished steps.
    b1 : float, default=0.9
        Decay of the average of the gradients, and what the momentum rises to, in [0, 1).
    b2 : float, default=0.999
        Decay of the average of the squared gradients, in [0, 1).
    eps : float, default=1e-8
        Added to the root. With 0, a gradient that has always been 0 gives 0 / 0.
    weight_decay : float, default=0.0
        Factor of the parameters that is added to their gradient; it decays biases as well.
    momentum_decay : float, default=4e-3
        How fast the momentum rises from about half of `b1` to `b1`.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a hyperparameter is of the wrong kind or outside its range.

    References
    ----------
    T. Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop, 2016,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import NAdam
    >>> optimizer = NAdam(learning_rate=0.1)
    >>> params, grads = np.zeros(2), np.asarray([3.0, -0.5])
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> updates.round(6), round(state.momentum_product, 6)
    (array([-0.105645,  0.105645]), 0.450073)
    """

    learning_rate: LearningRate = 2e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(
            self,
            learning_rate=LEARNING_RATE,
            b1=FRACTION,
            b2=FRACTION,
            eps=NON_NEGATIVE,
            weight_decay=NON_NEGATIVE,
            momentum_decay=NON_NEGATIVE,
        )

    def init(self, params: Params) -> NAdamState:
        """Return the state before the first step; see :meth:`Optimizer.init`."""
        return NAdamState(count=0, mu=zeros_like(params), nu=zeros_like(params), momentum_product=1.0)

    def update(self, grads: Params, state: NAdamState, params: Params) -> tuple[Params, NAdamState]:
        """Return what to add to the parameters, and the next state; see :meth:`Optimizer.update`."""
        b1, b2 = self.b1, self.b2
        grad_factor, mu_factor, offset = self._factors_and_offset(state)
        xp = namespace_of(grads)
        grads = add_weight_decay(grads, params, self.weight_decay)

        def step(grad: Array, mu: Array, nu: Array) -> tuple[Array, Array, Array]:
            mu = average_gradient(grad, mu, b1)
            nu = average_squared_gradient(grad, nu, b2)
            denominator = xp.sqrt(nu)
            denominator += offset
            update = grad * grad_factor
            update += mu * mu_factor
            update /= denominator
            return update, mu, nu

        updates, mu, nu = unzip_map_arrays(step, 3, grads, state.mu, state.nu)
        return updates, NAdamState(state.count + 1, mu, nu, self._next_product(state))

    def fused_rule(self, state: NAdamState) -> FusedRule:
        """Return the formula and the host numbers of the next step; see :meth:`FusedOptimizer.fused_rule`."""
        grad_factor, mu_factor, offset = self._factors_and_offset(state)
        b2 = self.b2
        scalars = (grad_factor, self.weight_decay, mu_factor, 1.0 - self.b1, b2, 1.0 - b2, offset)
        return FusedRule("nadam", scalars)

    def advance(self, state: NAdamState, accumulators: tuple[Array, ...]) -> NAdamState:
        """Return the state after a step whose arrays are known; see :meth:`FusedOptimizer.advance`."""
        count, mu, nu, _ = advance_state(state, accumulators)
        return NAdamState(count, mu, nu, self._next_product(state))

    def _factors_and_offset(self, state: NAdamState) -> tuple[float, float, float]:
        """Return what multiplies the gradient and `mu`, and what is added to the root of `nu`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        count = state.count + 1
        momentum, momentum_next = self._momentum(count), self._momentum(count + 1)
        product = self._next_product(state)
        # Numerator and denominator are multiplied by this root, as in `adam_rule`.
        root_correction2 = math.sqrt(1.0 - self.b2**count)
        grad_factor = -rate * root_correction2 * (1.0 - momentum) / (1.0 - product)
        mu_factor = -rate * root_correction2 * momentum_next / (1.0 - product * momentum_next)
        return grad_factor, mu_factor, self.eps * root_correction2

    def _next_product(self, state: NAdamState) -> float:
        """Return the product of the momenta of all finished steps and of the next."""
        return state.momentum_product * self._momentum(state.count + 1)

    def _momentum(self, count: int) -> float:
        """Return the momentum of the step with this number, counted from 1."""
        return self.b1 * (1.0 - 0.5 * math.pow(0.96, count * self.momentum_decay))
