# SPDX-License-Identifier: BSD-3-Clause
"""Lion: the sign of a momentum."""

__all__ = ["Lion", "LionState"]

from dataclasses import dataclass
from typing import NamedTuple, final

from softmax_xp.hyperparameters import FRACTION, LEARNING_RATE, NON_NEGATIVE, check_hyperparameters
from softmax_xp.kernels.rules import FusedRule
from softmax_xp.optimizers.contract import LearningRate, learning_rate_at, namespace_of, unzip_map_arrays, zeros_like
from softmax_xp.optimizers.fused import advance_state
from softmax_xp.optimizers.moments import add_weight_decay
from softmax_xp.typing import Array, Params


class LionState(NamedTuple):
    """What :class:`Lion` remembers between steps."""

    count: int  # type: ignore[assignment]  # number of finished steps, on the host
    mu: Params  # shapes and dtypes of the parameters: average of the gradients


@final
@dataclass(frozen=True, slots=True)
class Lion:
    """Move each parameter by exactly the learning rate, against the sign of a momentum.

    ::

        direction = sign(b1 * mu + (1 - b1) * grad)
        mu = b2 * mu + (1 - b2) * grad
        update = -learning_rate * (direction + weight_decay * param)

    as ``optax.lion`` (whose default `weight_decay` is 1e-3). The steps do not shrink with the gradient, so
    the learning rate has to: use a schedule. It wants to be 3 to 10 times smaller than Adam's.

    Parameters
    ----------
    learning_rate : float or callable, default=1e-4
        Step size, or a function of the number of finished steps.
    b1 : float, default=0.9
        Weight of the past gradients in the direction, in [0, 1).
    b2 : float, default=0.99
        Decay of the average of the gradients, in [0, 1).
    weight_decay : float, default=0.0
        Share of the parameters, times the learning rate, taken off at each step; it decays biases as well.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a hyperparameter is of the wrong kind or outside its range.

    References
    ----------
    X. Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023, arXiv:2302.06675.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import Lion
    >>> optimizer = Lion(learning_rate=0.1)
    >>> params, grads = np.zeros(3), np.asarray([3.0, -0.5, 0.0])
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> updates
    array([-0.1,  0.1, -0. ])
    """

    learning_rate: LearningRate = 1e-4
    b1: float = 0.9
    b2: float = 0.99
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(
            self,
            learning_rate=LEARNING_RATE,
            b1=FRACTION,
            b2=FRACTION,
            weight_decay=NON_NEGATIVE,
        )

    def init(self, params: Params) -> LionState:
        """Return the state before the first step; see :meth:`Optimizer.init`."""
        return LionState(count=0, mu=zeros_like(params))

    def update(self, grads: Params, state: LionState, params: Params) -> tuple[Params, LionState]:
        """Return what to add to the parameters, and the next state; see :meth:`Optimizer.update`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        b1, b2 = self.b1, self.b2
        xp = namespace_of(grads)

        # Not `average_gradient`, which saves two passes: the sign is discontinuous, and this order of
        # operations gives it the same argument, to the last bit, as the reference implementation.
        def step(grad: Array, mu: Array) -> tuple[Array, Array]:
            direction = grad * (1.0 - b1)
            direction += mu * b1
            update = xp.sign(direction)
            update *= -rate
            average = grad * (1.0 - b2)
            average += mu * b2
            return update, average

        updates, mu = unzip_map_arrays(step, 2, grads, state.mu)
        return add_weight_decay(updates, params, -rate * self.weight_decay), LionState(state.count + 1, mu)

    def fused_rule(self, state: LionState) -> FusedRule:
        """Return the formula and the host numbers of the next step; see :meth:`FusedOptimizer.fused_rule`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        b1, b2 = self.b1, self.b2
        return FusedRule("lion", (-rate, -rate * self.weight_decay, b1, 1.0 - b1, b2, 1.0 - b2))

    def advance(self, state: LionState, accumulators: tuple[Array, ...]) -> LionState:
        """Return the state after a step whose arrays are known; see :meth:`FusedOptimizer.advance`."""
        return advance_state(state, accumulators)
