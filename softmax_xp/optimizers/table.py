# SPDX-License-Identifier: BSD-3-Clause
"""The optimizers by name. A new one is a new file and a new line here."""

__all__ = ["OPTIMIZERS", "make_optimizer"]

import dataclasses

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers.adadelta import Adadelta
from softmax_xp.optimizers.adagrad import AdaGrad
from softmax_xp.optimizers.adam import Adam
from softmax_xp.optimizers.adamw import AdamW
from softmax_xp.optimizers.contract import LearningRate, Optimizer
from softmax_xp.optimizers.lion import Lion
from softmax_xp.optimizers.nadam import NAdam
from softmax_xp.optimizers.rmsprop import RMSprop
from softmax_xp.optimizers.sgd import SGD

OPTIMIZERS: dict[str, Optimizer] = {
    "adadelta": Adadelta(),
    "adagrad": AdaGrad(),
    "adam": Adam(),
    "adamw": AdamW(),
    "lion": Lion(),
    "momentum_sgd": SGD(momentum=0.9),
    "nadam": NAdam(),
    "nesterov_sgd": SGD(momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(),
    "sgd": SGD(),
}


def make_optimizer(optimizer: str | Optimizer, learning_rate: LearningRate | None = None) -> Optimizer:
    """Return an optimizer from its name, or the optimizer itself.

    Parameters
    ----------
    optimizer : str or Optimizer
        A key of :data:`OPTIMIZERS`, or an instance.
    learning_rate : float or callable, optional
        Replaces the learning rate of the optimizer; None keeps it.

    Returns
    -------
    Optimizer
        The optimizer; the argument is not changed.

    Raises
    ------
    InvalidValueError
        If the name is not in the table.
    InvalidTypeError
        If `optimizer` is neither a name nor an optimizer, for instance the class ``Adam`` in place of the
        instance ``Adam()``, or if a `learning_rate` is given for one that is no dataclass.

    Examples
    --------
    >>> from softmax_xp.optimizers import SGD, make_optimizer
    >>> make_optimizer("adagrad", learning_rate=0.5)
    AdaGrad(learning_rate=0.5, eps=1e-10, initial_accumulator=0.0, weight_decay=0.0)
    >>> make_optimizer(SGD(momentum=0.5)).momentum
    0.5
    """
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            msg = f"`optimizer` must be one of {', '.join(map(repr, sorted(OPTIMIZERS)))}; got {optimizer!r}."
            raise InvalidValueError(msg)
        made = OPTIMIZERS[optimizer]
    # A class has the methods of its instances, so the protocol alone would let it pass.
    elif isinstance(optimizer, type):
        msg = f"`optimizer` must be an instance; got the class {optimizer.__name__}. Pass {optimizer.__name__}()."
        raise InvalidTypeError(msg)
    elif not isinstance(optimizer, Optimizer):
        msg = f"`optimizer` must be a name or an optimizer; got {optimizer!r}. Pass for instance 'adam' or Adam()."
        raise InvalidTypeError(msg)
    else:
        made = optimizer
    if learning_rate is None:
        return made
    if not dataclasses.is_dataclass(made):
        msg = (
            f"`learning_rate` must be None for an optimizer that is no dataclass; got {learning_rate!r}. "
            f"Pass the learning rate to {type(made).__name__}."
        )
        raise InvalidTypeError(msg)
    return dataclasses.replace(made, learning_rate=learning_rate)
