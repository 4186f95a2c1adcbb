# SPDX-License-Identifier: BSD-3-Clause
"""Adadelta: steps in the units of the parameters, from the ratio of two running averages."""

__all__ = ["Adadelta", "AdadeltaState"]

from dataclasses import dataclass
from typing import NamedTuple, final

from softmax_xp.hyperparameters import FRACTION, LEARNING_RATE, NON_NEGATIVE, check_hyperparameters
from softmax_xp.kernels.rules import FusedRule
from softmax_xp.optimizers.contract import LearningRate, learning_rate_at, namespace_of, unzip_map_arrays, zeros_like
from softmax_xp.optimizers.fused import advance_state
from softmax_xp.optimizers.moments import add_weight_decay, average_squared_gradient
from softmax_xp.typing import Array, Params


class AdadeltaState(NamedTuple):
    """What :class:`Adadelta` remembers between steps; each record has the parameters' shapes and dtypes."""

    count: int  # type: ignore[assignment]  # number of finished steps, on the host
    e_g: Params  # average of the squared gradients
    e_x: Params  # average of the squared steps, before the learning rate


@final
@dataclass(frozen=True, slots=True)
class Adadelta:
    """Scale each gradient by the ratio of the recent steps' and the recent gradients' root mean squares.

    With ``g = grad + weight_decay * param``::

        e_g = rho * e_g + (1 - rho) * g**2
        delta = sqrt((e_x + eps) / (e_g + eps)) * g
        e_x = rho * e_x + (1 - rho) * delta**2
        update = -learning_rate * delta

    as ``torch.optim.Adadelta`` and ``optax.adadelta``.

    Parameters
    ----------
    learning_rate : float or callable, default=1.0
        Factor of the step (the paper has none), or a function of the number of finished steps.
    rho : float, default=0.9
        Decay of both averages, in [0, 1).
    eps : float, default=1e-6
        Added below both roots; it sets the size of the first steps. With 0, the parameters never move.
    weight_decay : float, default=0.0
        Factor of the parameters that is added to their gradient; it decays biases as well.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a hyperparameter is of the wrong kind or outside its range.

    References
    ----------
    M. D. Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, arXiv:1212.5701.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import Adadelta
    >>> optimizer = Adadelta(eps=1e-2)
    >>> params, grads = np.zeros(2), np.asarray([3.0, -0.5])
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> updates.round(6), state.e_g.round(6)
    (array([-0.314485,  0.267261]), array([0.9  , 0.025]))
    """

    learning_rate: LearningRate = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(
            self,
            learning_rate=LEARNING_RATE,
            rho=FRACTION,
            eps=NON_NEGATIVE,
            weight_decay=NON_NEGATIVE,
        )

    def init(self, params: Params) -> AdadeltaState:
        """Return the state before the first step; see :meth:`Optimizer.init`."""
        return AdadeltaState(count=0, e_g=zeros_like(params), e_x=zeros_like(params))

    def update(self, grads: Params, state: AdadeltaState, params: Params) -> tuple[Params, AdadeltaState]:
        """Return what to add to the parameters, and the next state; see :meth:`Optimizer.update`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        rho, eps = self.rho, self.eps
        xp = namespace_of(grads)
        grads = add_weight_decay(grads, params, self.weight_decay)

        def step(grad: Array, e_g: Array, e_x: Array) -> tuple[Array, Array, Array]:
            e_g = average_squared_gradient(grad, e_g, rho)
            ratio = e_x + eps
            ratio /= e_g + eps
            delta = xp.sqrt(ratio)
            delta *= grad
            e_x = average_squared_gradient(delta, e_x, rho)
            return delta * -rate, e_g, e_x

        updates, e_g, e_x = unzip_map_arrays(step, 3, grads, state.e_g, state.e_x)
        return updates, AdadeltaState(state.count + 1, e_g, e_x)

    def fused_rule(self, state: AdadeltaState) -> FusedRule:
        """Return the formula and the host numbers of the next step; see :meth:`FusedOptimizer.fused_rule`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        return FusedRule("adadelta", (-rate, self.weight_decay, self.rho, 1.0 - self.rho, self.eps))

    def advance(self, state: AdadeltaState, accumulators: tuple[Array, ...]) -> AdadeltaState:
        """Return the state after a step whose arrays are known; see :meth:`FusedOptimizer.advance`."""
        return advance_state(state, accumulators)
