# SPDX-License-Identifier: BSD-3-Clause
"""The textbook's trainer."""

__all__ = ["train_softmax_loss"]

from typing import Any

from softmax_xp.backend import Backend, as_array, backend_of, to_host
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.optimizers import Optimizer, make_optimizer
from softmax_xp.penalties import L2
from softmax_xp.training.trainer import Trainer
from softmax_xp.typing import Array


def train_softmax_loss(
    X_train: Any,
    y_train: Any,
    X_val: Any = None,
    y_val: Any = None,
    learning_rate: float = 1e-3,
    reg: float = 1e-5,
    num_epochs: int = 10,
    batch_size: int = 50,
    optimizer: str | Optimizer = "sgd",
    verbose: bool = True,  # noqa: FBT001, FBT002 - the textbook's order of arguments
    device: str | Backend | None = "auto",
    seed: int = 0,
) -> Array:
    """Train a linear softmax classifier by minibatches.

    Parameters
    ----------
    X_train : array_like of shape (n_samples, n_features)
        Features. A bias is a column of ones.
    y_train : array_like of int, shape (n_samples,)
        Class numbers. There are as many classes as the largest label of both sets says, present or not.
    X_val, y_val : array_like, optional
        Validation data, evaluated after each epoch.
    learning_rate : float, default: 1e-3
        Step length.
    reg : float, default: 1e-5
        Strength of the penalty ``0.5 * reg * sum(W * W)``.
    num_epochs : int, default: 10
        How often to go through the data.
    batch_size : int, default: 50
        Samples of a step.
    optimizer : str or Optimizer, default: "sgd"
        A name from ``softmax_xp.optimizers.OPTIMIZERS``, or an object, whose learning rate is then replaced.
    verbose : bool, default: True
        Whether to show a progress bar, and the table of epochs at the end.
    device : str, Backend or None, default: "auto"
        Where to compute, see :mod:`softmax_xp.devices`.
    seed : int, default: 0
        For the batch order and the initial weights, which are normal with standard deviation 1e-3.

    Returns
    -------
    array of shape (n_features, n_classes)
        The weights, in the library and on the device of ``X_train``.

    Raises
    ------
    InvalidTypeError
        For labels that are not integers.
    InvalidValueError
        For data or settings that make no sense.
    TrainingDivergedError
        When the loss stops being finite.

    See Also
    --------
    softmax_xp.Trainer : The same with everything visible, a bias, and labels of any kind.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> X, y = np.array([[1.0, 0.0], [0.0, 1.0]] * 50), np.array([0, 1] * 50)
    >>> W = sx.train_softmax_loss(X, y, learning_rate=0.5, verbose=False, device="cpu")
    >>> sx.predict_softmax_loss(W, X)[:4]
    array([0, 1, 0, 1])
    """
    validation = None if X_val is None else (X_val, y_val)
    trainer = Trainer(
        optimizer=make_optimizer(optimizer, learning_rate),
        penalty=L2(reg) if reg else None,
        epochs=num_epochs,
        batch_size=batch_size,
        device=device,
        seed=seed,
        fit_intercept=False,
        initial_scale=1e-3,
        verbose=verbose,
    )
    classes = list(range(_count_classes(y_train, y_val)))
    model, history = trainer.fit(X_train, y_train, validation=validation, classes=classes)
    if verbose:
        print(history)  # noqa: T201 - asked for by verbose
    return backend_of(as_array(X_train)).put(model.params.weight)


def _count_classes(*labels: Any) -> int:
    """Return the largest label plus one: a class without a sample keeps its number."""
    largest = 1
    for each in labels:
        if each is not None:
            codes = to_host(as_array(each))  # host: once, before training
            if codes.dtype.kind not in "iu":
                msg = f"`y_train` must hold integer class numbers; got {codes.dtype}. Use Trainer for other labels."
                raise InvalidTypeError(msg)
            if codes.size and codes.min() < 0:
                msg = f"`y_train` must hold class numbers >= 0; got {codes.min()}. Use Trainer for other labels."
                raise InvalidValueError(msg)
            largest = max(largest, int(codes.max()) if codes.size else 0)  # host: these are NumPy arrays
    return largest + 1
