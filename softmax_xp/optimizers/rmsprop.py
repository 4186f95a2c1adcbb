# SPDX-License-Identifier: BSD-3-Clause
"""RMSprop: AdaGrad that forgets, with optional centering and momentum."""

__all__ = ["RMSprop", "RMSpropState"]

from dataclasses import dataclass
from typing import NamedTuple, final

from softmax_xp.hyperparameters import FLAG, FRACTION, LEARNING_RATE, NON_NEGATIVE, check_hyperparameters
from softmax_xp.kernels.rules import FusedRule
from softmax_xp.optimizers.contract import (
    LearningRate,
    learning_rate_at,
    map_arrays,
    namespace_of,
    unzip_map_arrays,
    zeros_like,
)
from softmax_xp.optimizers.fused import advance_state
from softmax_xp.optimizers.moments import add_weight_decay, average_gradient, average_squared_gradient
from softmax_xp.typing import Array, Params


class RMSpropState(NamedTuple):
    """What :class:`RMSprop` remembers between steps; each record has the parameters' shapes and dtypes."""

    count: int  # type: ignore[assignment]  # number of finished steps, on the host
    nu: Params  # average of the squared gradients
    mu: Params | None  # average of the gradients; None unless centered
    trace: Params | None  # decaying sum of the scaled gradients; None without momentum


@final
@dataclass(frozen=True, slots=True)
class RMSprop:
    """Divide each step by the root of a running average of the squared gradients.

    With ``g = grad + weight_decay * param``::

        nu = decay * nu + (1 - decay) * g**2
        mu = decay * mu + (1 - decay) * g                 (centered, else mu = 0)
        scaled = g / (sqrt(nu - mu**2) + eps)
        trace = momentum * trace + scaled
        update = -learning_rate * trace

    as ``torch.optim.RMSprop``, whose ``alpha`` is `decay` here, but for one point: ``nu - mu**2`` is kept
    from rounding to below 0, where the root would be NaN (a constant gradient gets there). Beware that
    optax and TensorFlow put `eps` inside the root.

    Parameters
    ----------
    learning_rate : float or callable, default=1e-2
        Step size, or a function of the number of finished steps.
    decay : float, default=0.99
        Decay of the averages, in [0, 1).
    eps : float, default=1e-8
        Added to the root. With 0, a gradient that has always been 0 gives 0 / 0.
    momentum : float, default=0.0
        Decay of the sum of scaled gradients, in [0, 1).
    centered : bool, default=False
        Whether to divide by the estimated standard deviation of the gradient in place of its root mean
        square.
    weight_decay : float, default=0.0
        Factor of the parameters that is added to their gradient; it decays biases as well.

    Raises
    ------
    InvalidTypeError, InvalidValueError
        If a hyperparameter is of the wrong kind or outside its range.

    References
    ----------
    T. Tieleman, G. Hinton, "Lecture 6.5 - RMSprop: Divide the gradient by a running average of its recent
    magnitude", COURSERA: Neural Networks for Machine Learning, 2012.

    A. Graves, "Generating Sequences With Recurrent Neural Networks", 2013, arXiv:1308.0850 (centered).

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_xp.optimizers import RMSprop
    >>> optimizer = RMSprop(learning_rate=1.0, decay=0.75)
    >>> params, grads = np.zeros(2), np.asarray([3.0, -0.5])
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> updates.round(6), state.nu
    (array([-2.,  2.]), array([2.25  , 0.0625]))
    """

    learning_rate: LearningRate = 1e-2
    decay: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Check the hyperparameters."""
        check_hyperparameters(
            self,
            learning_rate=LEARNING_RATE,
            decay=FRACTION,
            eps=NON_NEGATIVE,
            momentum=FRACTION,
            centered=FLAG,
            weight_decay=NON_NEGATIVE,
        )

    def init(self, params: Params) -> RMSpropState:
        """Return the state before the first step; see :meth:`Optimizer.init`."""
        return RMSpropState(
            count=0,
            nu=zeros_like(params),
            mu=zeros_like(params) if self.centered else None,
            trace=None if self.momentum == 0.0 else zeros_like(params),
        )

    def update(self, grads: Params, state: RMSpropState, params: Params) -> tuple[Params, RMSpropState]:
        """Return what to add to the parameters, and the next state; see :meth:`Optimizer.update`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        decay, eps, momentum = self.decay, self.eps, self.momentum
        xp = namespace_of(grads)
        grads = add_weight_decay(grads, params, self.weight_decay)

        def root_mean_square(grad: Array, nu: Array) -> tuple[Array, Array]:
            nu = average_squared_gradient(grad, nu, decay)
            root = xp.sqrt(nu)
            root += eps
            return root, nu

        def standard_deviation(grad: Array, nu: Array, mu: Array) -> tuple[Array, Array, Array]:
            nu = average_squared_gradient(grad, nu, decay)
            mu = average_gradient(grad, mu, decay)
            root = xp.sqrt(xp.clip(nu - mu * mu, min=0.0))
            root += eps
            return root, nu, mu

        if self.centered:
            roots, nu, mu = unzip_map_arrays(standard_deviation, 3, grads, state.nu, state.mu)
        else:
            roots, nu = unzip_map_arrays(root_mean_square, 2, grads, state.nu)
            mu = None

        def scale(grad: Array, root: Array) -> Array:
            update = grad * -rate
            update /= root
            return update

        def accumulate(grad: Array, root: Array, trace: Array) -> tuple[Array, Array]:
            trace = trace * momentum
            trace += grad / root
            return trace * -rate, trace

        if momentum == 0.0:
            return map_arrays(scale, grads, roots), RMSpropState(state.count + 1, nu, mu, None)
        updates, trace = unzip_map_arrays(accumulate, 2, grads, roots, state.trace)
        return updates, RMSpropState(state.count + 1, nu, mu, trace)

    def fused_rule(self, state: RMSpropState) -> FusedRule:
        """Return the formula and the host numbers of the next step; see :meth:`FusedOptimizer.fused_rule`."""
        rate = learning_rate_at(self.learning_rate, state.count)
        scalars = (-rate, self.weight_decay, self.decay, 1.0 - self.decay, self.eps)
        name = "rmsprop_centered" if self.centered else "rmsprop"
        if self.momentum == 0.0:
            return FusedRule(name, scalars)
        return FusedRule(f"{name}_momentum", (*scalars, self.momentum))

    def advance(self, state: RMSpropState, accumulators: tuple[Array, ...]) -> RMSpropState:
        """Return the state after a step whose arrays are known; see :meth:`FusedOptimizer.advance`."""
        return advance_state(state, accumulators)
