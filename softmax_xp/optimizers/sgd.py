# SPDX-License-Identifier: BSD-3-Clause
"""Stochastic gradient descent, plain, with momentum, and with Nesterov's momentum."""

__all__ = ["SGD", "SGDState"]

from dataclasses import dataclass
from typing import NamedTuple, final

from softmax_xp.errors import InvalidValueError
from softmax_xp.hyperparameters import FLAG, FRACTION, LEARNING_RATE, NON_NEGATIVE, check_hyperparameters
from softmax_xp.kernels.rules import FusedRule
from softmax_xp.optimizers.contract import LearningRate, learning_rate_at, map_arrays, unzip_map_arrays, zeros_like
from softmax_xp.optimizers.fused import advance_state
from softmax_xp.optimizers.moments import add_weight_decay
from softmax_xp.typing import Array, Params


class SGDState(NamedTuple):
    """What :class:`SGD` remembers between steps."""

    count: int  # type: ignore[assignment]  # number of finished steps, on the host
    trace: Params | None  # shapes and dtypes of the parameters: sum of past gradients; None without momentum


@final
@dataclass(frozen=True, slots=True)
class SGD:
    """Step against the gradient, or against a decaying sum of the past gradients.

    With ``g = grad + weight_decay * param``::

        trace = momentum * trace + (1 - dampening) * g      (the first step: trace = g)
        update = -learning_rate * trace                     (momentum)
        update = -learning_rate * (g + momentum * trace)    (nesterov)
        update = -learning_rate * g                         (momentum = 0)

    as ``torch.optim.SGD``. Beware that the literature has a second form, ``trace = momentum * trace -
    learning_rate * g``: the two agree only while the learning rate is constant.

    Parameters
    ----------
    learning_rate : float or callable, default=1e-2
        Step size, or a function of the number of finished steps.
    momentum : float, default=0.0
        Decay of the sum of past gradients, in [0, 1).
    nesterov : bool, default=False
        Whether to step from the point that the momentum leads to; needs ``momentum > 0`` and
        ``dampening = 0``.
    dampening : float, default=0.0
        Share of each new gradient, from the second step on, that is left out of the sum, in [0, 1).
    weight_decay : float, default=0.0
        Factor of the parameters that is added to their gradient; it decays biases as well.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a hyperparameter is of the wrong kind or outside its range.

    References
    ----------
    B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Computational
    Mathematics and Mathematical Physics 4(5), 1964, doi:10.1016/0041-5553(64)90137-5.

    I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and momentum in deep
    learning", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import SGD
    >>> optimizer = SGD(learning_rate=0.5, momentum=0.5)
    >>> params, grads = np.asarray([1.0, -1.0]), np.asarray([2.0, 4.0])
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> updates
    array([-1., -2.])
    >>> updates, state = optimizer.update(grads, state, params)
    >>> updates
    array([-1.5, -3. ])
    """

    learning_rate: LearningRate = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    dampening: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(
            self,
            learning_rate=LEARNING_RATE,
            momentum=FRACTION,
            nesterov=FLAG,
            dampening=FRACTION,
            weight_decay=NON_NEGATIVE,
        )
        if self.nesterov and (self.momentum == 0.0 or self.dampening != 0.0):
            msg = (
                "`nesterov` must be False unless `momentum` is above 0 and `dampening` is 0; "
                f"got momentum={self.momentum!r}, dampening={self.dampening!r}. Pass for instance momentum=0.9."
            )
            raise InvalidValueError(msg)

    def init(self, params: Params) -> SGDState:
        """Return the state before the first step; see :meth:`Optimizer.init`."""
        return SGDState(count=0, trace=None if self.momentum == 0.0 else zeros_like(params))

    def update(self, grads: Params, state: SGDState, params: Params) -> tuple[Params, SGDState]:
        """Return what to add to the parameters, and the next state; see :meth:`Optimizer.update`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        momentum = self.momentum
        grads = add_weight_decay(grads, params, self.weight_decay)
        if momentum == 0.0:
            return map_arrays(lambda grad: grad * -rate, grads), SGDState(state.count + 1, None)

        share = self._share(state)

        def step(grad: Array, trace: Array) -> tuple[Array, Array]:
            trace = trace * momentum
            trace += grad if share == 1.0 else grad * share
            if not self.nesterov:
                return trace * -rate, trace
            update = trace * (-rate * momentum)
            update += grad * -rate
            return update, trace

        updates, trace = unzip_map_arrays(step, 2, grads, state.trace)
        return updates, SGDState(state.count + 1, trace)

    def fused_rule(self, state: SGDState) -> FusedRule:
        """Return the formula and the host numbers of the next step; see :meth:`FusedOptimizer.fused_rule`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        momentum = self.momentum
        if momentum == 0.0:
            return FusedRule("sgd", (-rate, self.weight_decay))
        if self.nesterov:
            return FusedRule("nesterov", (-rate, self.weight_decay, momentum, -rate * momentum))
        return FusedRule("momentum", (-rate, self.weight_decay, momentum, self._share(state)))

    def advance(self, state: SGDState, accumulators: tuple[Array, ...]) -> SGDState:
        """Return the state after a step whose arrays are known; see :meth:`FusedOptimizer.advance`."""
        return advance_state(state, accumulators)

    def _share(self, state: SGDState) -> float:
        """Return what the next gradient is multiplied by before it enters the trace."""
        # The trace starts at zero, and the first gradient enters whole: dampening is for the later ones.
        return 1.0 if state.count == 0 else 1.0 - self.dampening
