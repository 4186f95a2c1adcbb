# SPDX-License-Identifier: BSD-3-Clause
"""Update rules: from a gradient to what is added to the parameters.

Every rule is a frozen dataclass of hyperparameters with two pure methods, ``init(params) -> state`` and
``update(grads, state, params) -> (updates, state)``; see :class:`Optimizer`. The loop belongs to the caller.
"""

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "AdaGrad",
    "AdaGradState",
    "Adadelta",
    "AdadeltaState",
    "Adam",
    "AdamState",
    "AdamW",
    "AverageState",
    "Averaging",
    "ClipByGlobalNorm",
    "ClipByValue",
    "Clipping",
    "ExponentialAverage",
    "FusedOptimizer",
    "LearningRate",
    "Lion",
    "LionState",
    "NAdam",
    "NAdamState",
    "Optimizer",
    "RMSprop",
    "RMSpropState",
    "SGDState",
    "UniformAverage",
    "accumulators_of",
    "advance_state",
    "apply_updates",
    "learning_rate_at",
    "make_optimizer",
    "map_arrays",
    "namespace_of",
    "scalars_ahead",
    "unzip_map_arrays",
    "zeros_like",
]

from softmax_xp.optimizers.adadelta import Adadelta, AdadeltaState
from softmax_xp.optimizers.adagrad import AdaGrad, AdaGradState
from softmax_xp.optimizers.adam import Adam
from softmax_xp.optimizers.adam_rule import AdamState
from softmax_xp.optimizers.adamw import AdamW
from softmax_xp.optimizers.averaging import AverageState, Averaging, ExponentialAverage, UniformAverage
from softmax_xp.optimizers.clipping import ClipByGlobalNorm, ClipByValue, Clipping
from softmax_xp.optimizers.contract import (
    LearningRate,
    Optimizer,
    apply_updates,
    learning_rate_at,
    map_arrays,
    namespace_of,
    unzip_map_arrays,
    zeros_like,
)
from softmax_xp.optimizers.fused import FusedOptimizer, accumulators_of, advance_state, scalars_ahead
from softmax_xp.optimizers.lion import Lion, LionState
from softmax_xp.optimizers.nadam import NAdam, NAdamState
from softmax_xp.optimizers.rmsprop import RMSprop, RMSpropState
from softmax_xp.optimizers.sgd import SGD, SGDState
from softmax_xp.optimizers.table import OPTIMIZERS, make_optimizer
