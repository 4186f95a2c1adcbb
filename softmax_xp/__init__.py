# SPDX-License-Identifier: BSD-3-Clause
"""Softmax classification on NumPy or CUDA, from one source.

Conventions, stated once
------------------------
Arrays are sample-major: ``X (n_samples, n_features)``, ``y (n_samples,)``, ``weight (n_features, n_classes)``, ``bias
(n_classes,)``, ``logits (n_samples, n_classes)``. Losses are natural logarithms, in nats, averaged over samples
with their weights; a penalty is added to that mean and leaves the bias alone.

Arrays may come from any library of the Array API standard. Results come back in the library and on the device of the
array that was passed. A ``device`` argument chooses where to compute: see :mod:`softmax_xp.devices`.

The dtype follows the input: float32 stays float32 and float64 float64; float16 and bfloat16 are computed with float32
weights; integers become float64 on a CPU and float32 on accelerators. Sums over samples accumulate in float64 on
CPUs. No function writes to its arguments.

Glossary
--------
logits
    The scores of the classes before the softmax.
targets
    What the logits should say: class numbers, or soft targets, which are probabilities.
value, gradient
    Of an objective; a loss has one value for each sample.
params, grads, updates, state
    What an optimizer reads and returns; an update is added to the parameters.
step, epoch
    One update; one pass of updates through the data. Both are counted from 0.
"""

__all__ = [
    "L2",
    "SGD",
    "AdaGrad",
    "Adadelta",
    "Adam",
    "AdamW",
    "BestWeights",
    "Callback",
    "Checkpoint",
    "ClipByGlobalNorm",
    "ClipByValue",
    "Constant",
    "Cosine",
    "CrossEntropy",
    "EarlyStopping",
    "ElasticNet",
    "ExponentialAverage",
    "History",
    "LinearWarmup",
    "Lion",
    "Logistic",
    "NAdam",
    "OneCycle",
    "Plateau",
    "RMSprop",
    "SoftmaxClassifier",
    "SoftmaxClassifierCV",
    "SoftmaxModel",
    "SoftmaxPath",
    "Step",
    "Trainer",
    "UniformAverage",
    "__version__",
    "adagrad",
    "adam",
    "available_devices",
    "get_backend",
    "load",
    "log_softmax",
    "logsumexp",
    "momentum_sgd",
    "open_source",
    "predict_softmax_loss",
    "rmsprop",
    "sgd",
    "softmax",
    "softmax_loss",
    "softmax_path",
    "train_softmax_loss",
]

from typing import TYPE_CHECKING, Any

from softmax_xp.data import open_source
from softmax_xp.devices import available_devices, get_backend
from softmax_xp.functional import (
    adagrad,
    adam,
    momentum_sgd,
    predict_softmax_loss,
    rmsprop,
    sgd,
    softmax_loss,
    train_softmax_loss,
)
from softmax_xp.loading import load
from softmax_xp.losses import CrossEntropy, Logistic
from softmax_xp.model import SoftmaxModel
from softmax_xp.ops.softmax import log_softmax, logsumexp, softmax
from softmax_xp.optimizers import (
    SGD,
    Adadelta,
    AdaGrad,
    Adam,
    AdamW,
    ClipByGlobalNorm,
    ClipByValue,
    ExponentialAverage,
    Lion,
    NAdam,
    RMSprop,
    UniformAverage,
)
from softmax_xp.penalties import L2, ElasticNet
from softmax_xp.schedules import Constant, Cosine, LinearWarmup, OneCycle, Plateau, Step
from softmax_xp.training import BestWeights, Callback, Checkpoint, EarlyStopping, History, Trainer
from softmax_xp.version import __version__

if TYPE_CHECKING:  # logic: type checkers see what `__getattr__` brings
    from softmax_xp.estimators import SoftmaxClassifier, SoftmaxClassifierCV, SoftmaxPath, softmax_path


def __getattr__(name: str) -> Any:  # logic: the estimators need scikit-learn, whose import costs more than all of this
    """Import an estimator when it is first asked for."""
    from importlib import import_module

    # Every public name that is not here yet is one of them.
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module("softmax_xp.estimators"), name)
    return value


def __dir__() -> list[str]:  # logic: completion shows the estimators before they are imported
    """List the public names, also of what has not been imported yet."""
    return sorted({*globals(), *__all__})
