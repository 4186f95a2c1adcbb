# SPDX-License-Identifier: BSD-3-Clause
"""One step of an optimizer as a named formula and a few host numbers, which every kernel reads alike.

A training step spends its time on starting passes over small arrays. Where the parameters are one array, so are the
gradient and every accumulator of the optimizer's state, and a step is an elementwise formula of them all: one launch on
a GPU, a few passes without an allocation on the CPU. What differs from step to step, the learning rate and the bias
corrections, are scalars: the host computes them in double precision, and no kernel ever raises a power.

The definition of each formula is ``update`` of its optimizer in :mod:`softmax_xp.optimizers`. A kernel performs the
same operations in the same order, so that it returns the same bits: training does not depend on whether it is used.
"""

__all__ = ["RULES", "FusedRule", "RuleLayout", "rule_number"]

from typing import NamedTuple

from softmax_xp.errors import InvalidValueError


class FusedRule(NamedTuple):
    """What one step of an optimizer is, as a named elementwise formula and this step's host numbers."""

    name: str  # a key of RULES
    scalars: tuple[float, ...]  # Python floats, in the order of RULES[name].scalars


class RuleLayout(NamedTuple):
    """What a formula reads and writes beside the parameters and the gradient."""

    accumulators: tuple[str, ...]  # the fields of the optimizer's state that it replaces, in their order there
    scalars: tuple[str, ...]  # names of the scalars, see RULES


# What the scalars stand for:
#
# factor        minus the learning rate, and what else multiplies the update (Adam: its bias corrections)
# weight_decay  what times the parameters is added to the gradient; 0 skips it, thus an infinite parameter stays out
# param_factor  what times the parameters is added to the update: the decay of AdamW and Lion; 0 skips it likewise
# share, share1, share2
#               the weight of the new value in an average. It is 1 - decay, passed beside the decay because float32
#               cannot compute it: 1 - float32(0.999) is 1.3e-5 off float32(0.001), relatively
# offset        eps times the root of the second moment's bias correction: for c2 = 1 - b2**count,
#               mu / (sqrt(nu / c2) + eps) = sqrt(c2) * mu / (sqrt(nu) + sqrt(c2) * eps)
# the others    the hyperparameters of these names
#
# A formula's number for the CUDA sources is its place here.
_ADAM_SCALARS = ("factor", "weight_decay", "param_factor", "share1", "b2", "share2", "offset")
_RMSPROP_SCALARS = ("factor", "weight_decay", "decay", "share", "eps")
RULES: dict[str, RuleLayout] = {
    "sgd": RuleLayout((), ("factor", "weight_decay")),
    "momentum": RuleLayout(("trace",), ("factor", "weight_decay", "momentum", "share")),
    "nesterov": RuleLayout(("trace",), ("factor", "weight_decay", "momentum", "trace_factor")),
    "adagrad": RuleLayout(("sum_of_squares",), ("factor", "weight_decay", "eps")),
    "rmsprop": RuleLayout(("nu",), _RMSPROP_SCALARS),
    "rmsprop_momentum": RuleLayout(("nu", "trace"), (*_RMSPROP_SCALARS, "momentum")),
    "rmsprop_centered": RuleLayout(("nu", "mu"), _RMSPROP_SCALARS),
    "rmsprop_centered_momentum": RuleLayout(("nu", "mu", "trace"), (*_RMSPROP_SCALARS, "momentum")),
    "adadelta": RuleLayout(("e_g", "e_x"), ("factor", "weight_decay", "rho", "share", "eps")),
    "adam": RuleLayout(("mu", "nu"), _ADAM_SCALARS),
    "amsgrad": RuleLayout(("mu", "nu", "nu_max"), _ADAM_SCALARS),
    "nadam": RuleLayout(("mu", "nu"), ("factor", "weight_decay", "mu_factor", "share1", "b2", "share2", "offset")),
    "lion": RuleLayout(("mu",), ("factor", "param_factor", "b1", "share1", "b2", "share2")),
}


def rule_number(name: str) -> int:
    """Return the number by which the CUDA sources know a formula: its place in :data:`RULES`.

    Parameters
    ----------
    name : str
        A key of :data:`RULES`.

    Returns
    -------
    int
        The value of the macro ``RULE``.

    Raises
    ------
    InvalidValueError
        If there is no such formula.

    Examples
    --------
    >>> from softmax_xp.kernels.rules import rule_number
    >>> rule_number("sgd"), rule_number("momentum")
    (0, 1)
    """
    if name not in RULES:
        msg = f"`name` must be one of {', '.join(map(repr, RULES))}; got {name!r}."
        raise InvalidValueError(msg)
    return list(RULES).index(name)
