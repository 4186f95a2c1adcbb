# SPDX-License-Identifier: BSD-3-Clause
"""AdamW: Adam with a weight decay that stays out of the moments."""

__all__ = ["AdamW"]

from dataclasses import dataclass
from typing import final

from softmax_xp.hyperparameters import FLAG, FRACTION, LEARNING_RATE, NON_NEGATIVE, check_hyperparameters
from softmax_xp.kernels.rules import FusedRule
from softmax_xp.optimizers.adam_rule import AdamState, adam_fused_rule, adam_init, adam_update
from softmax_xp.optimizers.contract import LearningRate, learning_rate_at
from softmax_xp.optimizers.fused import advance_state
from softmax_xp.optimizers.moments import add_weight_decay
from softmax_xp.typing import Array, Params


@final
@dataclass(frozen=True, slots=True)
class AdamW:
    """Step as Adam does, and shrink the parameters by a constant share beside it.

    With :class:`Adam`'s ``mu_hat`` and ``nu_hat`` of the plain gradient::

        update = -learning_rate * (mu_hat / (sqrt(nu_hat) + eps) + weight_decay * param)

    as ``torch.optim.AdamW`` and ``optax.adamw`` (whose default `weight_decay` is 1e-4). Beware that the
    paper scales the decay by the schedule alone and not by the learning rate: its weight decay is
    ``learning_rate * weight_decay`` here.

    Parameters
    ----------
    learning_rate : float or callable, default=1e-3
        Step size, or a function of the number of finished steps.
    b1 : float, default=0.9
        Decay of the average of the gradients, in [0, 1).
    b2 : float, default=0.999
        Decay of the average of the squared gradients, in [0, 1).
    eps : float, default=1e-8
        Added to the root. With 0, a gradient that has always been 0 gives 0 / 0.
    weight_decay : float, default=1e-2
        Share of the parameters, times the learning rate, taken off at each step; it decays biases as well.
    amsgrad : bool, default=False
        Whether to divide by the largest second moment so far.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a hyperparameter is of the wrong kind or outside its range.

    References
    ----------
    I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, arXiv:1711.05101.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import AdamW
    >>> optimizer = AdamW(learning_rate=0.1, weight_decay=0.5)
    >>> params, grads = np.asarray([2.0, 4.0]), np.asarray([3.0, -0.5])
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> updates.round(6)
    array([-0.2, -0.1])
    """

    learning_rate: LearningRate = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 1e-2
    amsgrad: bool = False

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(
            self,
            learning_rate=LEARNING_RATE,
            b1=FRACTION,
            b2=FRACTION,
            eps=NON_NEGATIVE,
            weight_decay=NON_NEGATIVE,
            amsgrad=FLAG,
        )

    def init(self, params: Params) -> AdamState:
        """Return the state before the first step; see :meth:`Optimizer.init`."""
        return adam_init(params, amsgrad=self.amsgrad)

    def update(self, grads: Params, state: AdamState, params: Params) -> tuple[Params, AdamState]:
        """Return what to add to the parameters, and the next state; see :meth:`Optimizer.update`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        updates, next_state = adam_update(
            grads, state, rate=rate, b1=self.b1, b2=self.b2, eps=self.eps, amsgrad=self.amsgrad
        )
        # The decay is that of the parameters before the step: torch shrinks them first and then adds.
        return add_weight_decay(updates, params, -rate * self.weight_decay), next_state

    def fused_rule(self, state: AdamState) -> FusedRule:
        """Return the formula and the host numbers of the next step; see :meth:`FusedOptimizer.fused_rule`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        return adam_fused_rule(
            state,
            rate=rate,
            b1=self.b1,
            b2=self.b2,
            eps=self.eps,
            amsgrad=self.amsgrad,
            param_factor=-rate * self.weight_decay,
        )

    def advance(self, state: AdamState, accumulators: tuple[Array, ...]) -> AdamState:
        """Return the state after a step whose arrays are known; see :meth:`FusedOptimizer.advance`."""
        return advance_state(state, accumulators)
