# SPDX-License-Identifier: BSD-3-Clause
"""AdaGrad: a learning rate of its own for each parameter, from the sum of squared gradients."""

__all__ = ["AdaGrad", "AdaGradState"]

from dataclasses import dataclass
from typing import NamedTuple, final

from softmax_xp.hyperparameters import LEARNING_RATE, NON_NEGATIVE, check_hyperparameters
from softmax_xp.kernels.rules import FusedRule
from softmax_xp.optimizers.contract import (
    LearningRate,
    learning_rate_at,
    map_arrays,
    namespace_of,
    unzip_map_arrays,
)
from softmax_xp.optimizers.fused import advance_state
from softmax_xp.optimizers.moments import add_weight_decay
from softmax_xp.typing import Array, Params


class AdaGradState(NamedTuple):
    """What :class:`AdaGrad` remembers between steps."""

    count: int  # type: ignore[assignment]  # number of finished steps, on the host
    sum_of_squares: Params  # shapes and dtypes of the parameters: sum of the squared gradients


@final
@dataclass(frozen=True, slots=True)
class AdaGrad:
    """Divide each step by the root of the sum of all squared gradients so far.

    With ``g = grad + weight_decay * param``::

        sum_of_squares = sum_of_squares + g**2
        update = -learning_rate * g / (sqrt(sum_of_squares) + eps)

    as ``torch.optim.Adagrad``, whose ``lr_decay`` is a `learning_rate` function here. Beware that optax
    puts `eps` inside the root and starts the sum at 0.1.

    Parameters
    ----------
    learning_rate : float or callable, default=1e-2
        Step size, or a function of the number of finished steps.
    eps : float, default=1e-10
        Added to the root. With 0, a gradient that has always been 0 gives 0 / 0.
    initial_accumulator : float, default=0.0
        What the sum of squares starts from.
    weight_decay : float, default=0.0
        Factor of the parameters that is added to their gradient; it decays biases as well.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a hyperparameter is of the wrong kind or outside its range.

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
    Optimization", JMLR 12, 2011, https://jmlr.org/papers/v12/duchi11a.html.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import AdaGrad
    >>> optimizer = AdaGrad(learning_rate=1.0)
    >>> params, grads = np.zeros(2), np.asarray([3.0, -0.5])
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> updates.round(6), state.sum_of_squares
    (array([-1.,  1.]), array([9.  , 0.25]))
    """

    learning_rate: LearningRate = 1e-2
    eps: float = 1e-10
    initial_accumulator: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(
            self,
            learning_rate=LEARNING_RATE,
            eps=NON_NEGATIVE,
            initial_accumulator=NON_NEGATIVE,
            weight_decay=NON_NEGATIVE,
        )

    def init(self, params: Params) -> AdaGradState:
        """Return the state before the first step; see :meth:`Optimizer.init`."""
        xp = namespace_of(params)
        return AdaGradState(
            count=0,
            sum_of_squares=map_arrays(lambda param: xp.full_like(param, self.initial_accumulator), params),
        )

    def update(self, grads: Params, state: AdaGradState, params: Params) -> tuple[Params, AdaGradState]:
        """Return what to add to the parameters, and the next state; see :meth:`Optimizer.update`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        eps = self.eps
        xp = namespace_of(grads)
        grads = add_weight_decay(grads, params, self.weight_decay)

        def step(grad: Array, sum_of_squares: Array) -> tuple[Array, Array]:
            squares = grad * grad
            squares += sum_of_squares
            denominator = xp.sqrt(squares)
            denominator += eps
            update = grad * -rate
            update /= denominator
            return update, squares

        updates, sum_of_squares = unzip_map_arrays(step, 2, grads, state.sum_of_squares)
        return updates, AdaGradState(state.count + 1, sum_of_squares)

    def fused_rule(self, state: AdaGradState) -> FusedRule:
        """Return the formula and the host numbers of the next step; see :meth:`FusedOptimizer.fused_rule`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        return FusedRule("adagrad", (-rate, self.weight_decay, self.eps))

    def advance(self, state: AdaGradState, accumulators: tuple[Array, ...]) -> AdaGradState:
        """Return the state after a step whose arrays are known; see :meth:`FusedOptimizer.advance`."""
        return advance_state(state, accumulators)
