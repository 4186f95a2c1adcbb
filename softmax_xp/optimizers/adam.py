# SPDX-License-Identifier: BSD-3-Clause
"""Adam: momentum divided by the root of the second moment, both corrected for their start at zero."""

__all__ = ["Adam"]

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
class Adam:
    """Step along the averaged gradient, divided by the root of the averaged squared gradient.

    With ``g = grad + weight_decay * param`` and ``count`` counted from 1::

        mu = b1 * mu + (1 - b1) * g
        nu = b2 * nu + (1 - b2) * g**2
        nu_max = maximum(nu_max, nu)                      (amsgrad, else nu_max = nu)
        mu_hat = mu / (1 - b1**count)
        nu_hat = nu_max / (1 - b2**count)
        update = -learning_rate * mu_hat / (sqrt(nu_hat) + eps)

    as ``torch.optim.Adam``. Beware that optax's amsgrad takes the maximum of ``nu_hat``, torch's and this
    one of ``nu``. Weight decay enters the moments here; see :class:`AdamW` for the decay that does not.

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
    weight_decay : float, default=0.0
        Factor of the parameters that is added to their gradient; it decays biases as well.
    amsgrad : bool, default=False
        Whether to divide by the largest second moment so far.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a hyperparameter is of the wrong kind or outside its range.

    References
    ----------
    D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, arXiv:1412.6980.

    S. J. Reddi, S. Kale, S. Kumar, "On the Convergence of Adam and Beyond", ICLR 2018, arXiv:1904.09237
    (amsgrad).

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import Adam
    >>> optimizer = Adam(learning_rate=0.1)
    >>> params, grads = np.zeros(2), np.asarray([3.0, -0.5])
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> updates.round(6), state.mu.round(6)
    (array([-0.1,  0.1]), array([ 0.3 , -0.05]))
    """

    learning_rate: LearningRate = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
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
        return adam_update(
            add_weight_decay(grads, params, self.weight_decay),
            state,
            rate=learning_rate_at(self.learning_rate, state.count),
            b1=self.b1,
            b2=self.b2,
            eps=self.eps,
            amsgrad=self.amsgrad,
        )

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
            weight_decay=self.weight_decay,
        )

    def advance(self, state: AdamState, accumulators: tuple[Array, ...]) -> AdamState:
        """Return the state after a step whose arrays are known; see :meth:`FusedOptimizer.advance`."""
        return advance_state(state, accumulators)
