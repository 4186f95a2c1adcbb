# SPDX-License-Identifier: BSD-3-Clause
"""The formulas of :data:`softmax_xp.kernels.rules.RULES` in NumPy's ufuncs, without an allocation.

Each turns a gradient into what is added to the parameters, by the operations of ``update`` of its optimizer in the same
order, hence with the same bits; the comments there say why the order is as it is.
"""

__all__ = ["FORMULAS", "Formula"]

from functools import partial
from typing import Protocol, TypeAlias

import numpy as np

from softmax_xp.typing import Array

_Arrays: TypeAlias = tuple[Array, ...]
_Scalars: TypeAlias = tuple[float, ...]


class Formula(Protocol):
    """Computes the update of the parameters in the place of the gradient, and the next accumulators."""

    def __call__(
        self, scalars: _Scalars, params: Array, update: Array, accumulators: _Arrays, out: _Arrays, scratch: _Arrays
    ) -> None:
        """Compute one step.

        An output is written after the last time its accumulator is read, or in place: the two may be one array.

        Parameters
        ----------
        scalars : tuple of float
            As named in ``RULES``.
        params : ndarray, any shape
            The parameters; they are not written to.
        update : ndarray of the shape of params
            Holds the gradient, and afterwards what is to be added to the parameters.
        accumulators : tuple of ndarray of the shape of params
            The accumulators, as named in ``RULES``.
        out : tuple of ndarray of the shape of params
            Receives the next accumulators; each is its accumulator itself or another array.
        scratch : tuple of two ndarray of the shape of params
            Overwritten.
        """


def _add_decay(update: Array, params: Array, decay: float, scratch: Array) -> None:
    """Add ``decay * params`` in place."""
    if decay != 0.0:
        np.multiply(params, decay, out=scratch)
        np.add(update, scratch, out=update)


def _average_gradient(grad: Array, mu: Array, share: float, out: Array, scratch: Array) -> None:
    np.subtract(grad, mu, out=scratch)
    np.multiply(scratch, share, out=scratch)
    np.add(scratch, mu, out=out)


def _average_squares(grad: Array, nu: Array, decay: float, share: float, out: Array, scratch: Array) -> None:
    np.multiply(grad, grad, out=scratch)
    np.multiply(scratch, share, out=scratch)
    np.multiply(nu, decay, out=out)
    np.add(out, scratch, out=out)


def _sgd(
    scalars: _Scalars,
    params: Array,
    update: Array,
    accumulators: _Arrays,  # noqa: ARG001  there are none
    out: _Arrays,  # noqa: ARG001
    scratch: _Arrays,
) -> None:
    factor, weight_decay = scalars
    _add_decay(update, params, weight_decay, scratch[0])
    np.multiply(update, factor, out=update)


def _momentum(
    scalars: _Scalars, params: Array, update: Array, accumulators: _Arrays, out: _Arrays, scratch: _Arrays
) -> None:
    factor, weight_decay, momentum, share = scalars
    (trace,), (out_trace,) = accumulators, out
    _add_decay(update, params, weight_decay, scratch[0])
    np.multiply(trace, momentum, out=out_trace)
    if share != 1.0:
        np.multiply(update, share, out=update)
    np.add(out_trace, update, out=out_trace)
    np.multiply(out_trace, factor, out=update)


def _nesterov(
    scalars: _Scalars, params: Array, update: Array, accumulators: _Arrays, out: _Arrays, scratch: _Arrays
) -> None:
    factor, weight_decay, momentum, trace_factor = scalars
    (trace,), (out_trace,) = accumulators, out
    _add_decay(update, params, weight_decay, scratch[0])
    np.multiply(trace, momentum, out=out_trace)
    np.add(out_trace, update, out=out_trace)
    np.multiply(out_trace, trace_factor, out=scratch[0])
    np.multiply(update, factor, out=update)
    np.add(update, scratch[0], out=update)


def _adagrad(
    scalars: _Scalars, params: Array, update: Array, accumulators: _Arrays, out: _Arrays, scratch: _Arrays
) -> None:
    factor, weight_decay, eps = scalars
    (sum_of_squares,), (out_sum,), denominator = accumulators, out, scratch[0]
    _add_decay(update, params, weight_decay, scratch[0])
    np.multiply(update, update, out=scratch[0])
    np.add(scratch[0], sum_of_squares, out=out_sum)
    np.sqrt(out_sum, out=denominator)
    np.add(denominator, eps, out=denominator)
    np.multiply(update, factor, out=update)
    np.divide(update, denominator, out=update)


def _rmsprop(
    scalars: _Scalars,
    params: Array,
    update: Array,
    accumulators: _Arrays,
    out: _Arrays,
    scratch: _Arrays,
    *,
    is_centered: bool = False,
    has_momentum: bool = False,
) -> None:
    factor, weight_decay, decay, share, eps = scalars[:5]
    nu, out_nu, root = accumulators[0], out[0], scratch[0]
    _add_decay(update, params, weight_decay, scratch[0])
    _average_squares(update, nu, decay, share, out_nu, scratch[0])
    if is_centered:
        mu, out_mu = accumulators[1], out[1]
        _average_gradient(update, mu, share, out_mu, scratch[0])
        np.multiply(out_mu, out_mu, out=root)
        np.subtract(out_nu, root, out=root)
        np.maximum(root, 0.0, out=root)
        np.sqrt(root, out=root)
    else:
        np.sqrt(out_nu, out=root)
    np.add(root, eps, out=root)
    if has_momentum:
        trace, out_trace, momentum = accumulators[-1], out[-1], scalars[5]
        np.divide(update, root, out=update)
        np.multiply(trace, momentum, out=out_trace)
        np.add(out_trace, update, out=out_trace)
        np.multiply(out_trace, factor, out=update)
    else:
        np.multiply(update, factor, out=update)
        np.divide(update, root, out=update)


def _adadelta(
    scalars: _Scalars, params: Array, update: Array, accumulators: _Arrays, out: _Arrays, scratch: _Arrays
) -> None:
    factor, weight_decay, rho, share, eps = scalars
    (e_g, e_x), (out_e_g, out_e_x), (ratio, denominator) = accumulators, out, scratch
    _add_decay(update, params, weight_decay, scratch[0])
    _average_squares(update, e_g, rho, share, out_e_g, scratch[0])
    np.add(out_e_g, eps, out=denominator)
    np.add(e_x, eps, out=ratio)
    np.divide(ratio, denominator, out=ratio)
    np.sqrt(ratio, out=ratio)
    np.multiply(update, ratio, out=update)
    _average_squares(update, e_x, rho, share, out_e_x, scratch[0])
    np.multiply(update, factor, out=update)


def _adam(
    scalars: _Scalars,
    params: Array,
    update: Array,
    accumulators: _Arrays,
    out: _Arrays,
    scratch: _Arrays,
    *,
    is_amsgrad: bool = False,
) -> None:
    factor, weight_decay, param_factor, share1, b2, share2, offset = scalars
    mu, nu, *_ = accumulators
    out_mu, out_nu, *_ = out
    denominator = scratch[0]
    _add_decay(update, params, weight_decay, scratch[0])
    _average_gradient(update, mu, share1, out_mu, scratch[0])
    _average_squares(update, nu, b2, share2, out_nu, scratch[0])
    if is_amsgrad:
        nu_max, out_nu_max = accumulators[2], out[2]
        np.maximum(nu_max, out_nu, out=out_nu_max)
        np.sqrt(out_nu_max, out=denominator)
    else:
        np.sqrt(out_nu, out=denominator)
    np.add(denominator, offset, out=denominator)
    np.multiply(out_mu, factor, out=update)
    np.divide(update, denominator, out=update)
    # Two passes, where `(1 + param_factor) * params` would be one: in float32 that scalar loses most digits of a small
    # decay, and a decay below 3e-8 altogether.
    _add_decay(update, params, param_factor, scratch[0])


def _nadam(
    scalars: _Scalars, params: Array, update: Array, accumulators: _Arrays, out: _Arrays, scratch: _Arrays
) -> None:
    factor, weight_decay, mu_factor, share1, b2, share2, offset = scalars
    (mu, nu), (out_mu, out_nu), denominator = accumulators, out, scratch[0]
    _add_decay(update, params, weight_decay, scratch[0])
    _average_gradient(update, mu, share1, out_mu, scratch[0])
    _average_squares(update, nu, b2, share2, out_nu, scratch[0])
    np.multiply(out_mu, mu_factor, out=scratch[0])
    np.multiply(update, factor, out=update)
    np.add(update, scratch[0], out=update)
    np.sqrt(out_nu, out=denominator)
    np.add(denominator, offset, out=denominator)
    np.divide(update, denominator, out=update)


def _lion(
    scalars: _Scalars, params: Array, update: Array, accumulators: _Arrays, out: _Arrays, scratch: _Arrays
) -> None:
    factor, param_factor, b1, share1, b2, share2 = scalars
    (mu,), (out_mu,), (direction, product) = accumulators, out, scratch
    np.multiply(update, share1, out=direction)
    np.multiply(mu, b1, out=product)
    np.add(direction, product, out=direction)
    np.multiply(update, share2, out=update)
    np.multiply(mu, b2, out=out_mu)
    np.add(out_mu, update, out=out_mu)
    np.sign(direction, out=update)
    np.multiply(update, factor, out=update)
    _add_decay(update, params, param_factor, scratch[0])


FORMULAS: dict[str, Formula] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "rmsprop_momentum": partial(_rmsprop, has_momentum=True),
    "rmsprop_centered": partial(_rmsprop, is_centered=True),
    "rmsprop_centered_momentum": partial(_rmsprop, is_centered=True, has_momentum=True),
    "adadelta": _adadelta,
    "adam": _adam,
    "amsgrad": partial(_adam, is_amsgrad=True),
    "nadam": _nadam,
    "lion": _lion,
}
