# SPDX-License-Identifier: BSD-3-Clause
"""The optimizers that the contracts are shown for: each entry of the table, and each option that is another formula."""

__all__ = ["VARIANTS"]

from softmax_xp.optimizers import OPTIMIZERS, SGD, Adadelta, AdaGrad, Adam, AdamW, Lion, NAdam, Optimizer, RMSprop

VARIANTS: dict[str, Optimizer] = OPTIMIZERS | {
    "adadelta, decay": Adadelta(learning_rate=0.5, weight_decay=0.1),
    "adagrad, all options": AdaGrad(initial_accumulator=0.1, weight_decay=0.1),
    "adam, all options": Adam(weight_decay=0.1, amsgrad=True),
    "adam, decay": Adam(weight_decay=0.1),
    "adamw, all options": AdamW(weight_decay=0.1, amsgrad=True),
    "lion, decay": Lion(weight_decay=0.1),
    "nadam, decay": NAdam(weight_decay=0.1),
    "nesterov, decay": SGD(momentum=0.9, nesterov=True, weight_decay=0.1),
    "rmsprop, all options": RMSprop(centered=True, momentum=0.9, weight_decay=0.1),
    "rmsprop, centered": RMSprop(centered=True),
    "rmsprop, momentum": RMSprop(momentum=0.9),
    "sgd, dampening": SGD(momentum=0.9, dampening=0.5, weight_decay=0.1),
    "sgd, decay": SGD(weight_decay=0.1),
}
