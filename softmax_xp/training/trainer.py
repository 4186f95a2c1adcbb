# SPDX-License-Identifier: BSD-3-Clause
"""The minibatch trainer."""

__all__ = ["Trainer"]

import os
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any, final

from softmax_xp.backend import Backend
from softmax_xp.data.order import initial_weight, philox
from softmax_xp.data.shuffled import ANY_ROW, describe_order
from softmax_xp.errors import InvalidTypeError, InvalidValueError, SmallDataWarning, TrainingDivergedError
from softmax_xp.kernels import find_kernel
from softmax_xp.kernels.precision import check_compute, products
from softmax_xp.losses import CrossEntropy, Loss
from softmax_xp.model import SoftmaxModel
from softmax_xp.ops.memory import check_memory_budget
from softmax_xp.optimizers import SGD, Averaging, Clipping, Optimizer
from softmax_xp.penalties import Penalty
from softmax_xp.schedules import Constant, Schedule
from softmax_xp.training.callbacks import Callback
from softmax_xp.training.checkpoint import Checkpoint, as_checkpoint
from softmax_xp.training.fingerprint import describe, describe_array, describe_data, describe_form, describe_place
from softmax_xp.training.history import History
from softmax_xp.training.keeper import Keeper
from softmax_xp.training.loop import Carry, Outcome, Settings, run_epochs
from softmax_xp.training.problem import Problem, prepare_problem
from softmax_xp.training.resume import known_records
from softmax_xp.typing import LinearParams

# Field -> what it must be, and an example for the message.
_PARTS: tuple[tuple[str, type, str], ...] = (
    ("optimizer", Optimizer, "Adam(1e-3)"),
    ("loss", Loss, "CrossEntropy()"),
    ("penalty", Penalty, "L2(1e-5)"),
    ("schedule", Schedule, "Cosine()"),
    ("clipping", Clipping, "ClipByGlobalNorm(1.0)"),
    ("averaging", Averaging, "ExponentialAverage()"),
)
# What may be another when a fit goes on; the dtype is that of the parameters.
_FREE = ("checkpoint", "device", "dtype", "verbose")


@final
@dataclass(frozen=True, slots=True)
class Trainer:
    """Train a linear softmax model by minibatches, the same way on every device.

    With one seed every backend starts from the same weights and sees the same batches; only rounding differs. After
    10 epochs on the digits the weights agree with NumPy's to 1e-10 in float64 and 1e-4 in float32, relative to their
    norm.

    Parameters
    ----------
    optimizer : Optimizer, optional
        The update rule, with its learning rate. By default ``SGD()``.
    loss : Loss, optional
        Over logits. By default ``CrossEntropy()``.
    penalty : Penalty, optional
        Added to the mean loss; the bias is free.
    epochs : int, default: 10
        How often to go through the data.
    batch_size : int, default: 256
        Samples of a step. The last batch of an epoch may be smaller.
    schedule : Schedule, optional
        Multiplies the learning rate. By default ``Constant()``.
    clipping : Clipping, optional
        What to do with large gradients.
    averaging : Averaging, optional
        The model, and every validation, then use averaged weights.
    device : str, Backend or None, default: "auto"
        Where to compute, see :mod:`softmax_xp.devices`.
    dtype : str or dtype, optional
        The float of the computation; by default that of ``X``, float32 for float16.
    compute : {"float32", "tf32", "bfloat16"}, default: "float32"
        How exactly GPUs multiply matrices of float32: see :mod:`softmax_xp.kernels.precision`.
    seed : int, default: 0
        For batch order and initial weights.
    shuffle : bool, default: True
        Whether each epoch has an order of its own.
    drop_last : bool, default: False
        Whether to leave out a smaller last batch.
    fit_intercept : bool, default: True
        Whether the model has a bias.
    standardize : bool, default: False
        Whether to centre and scale the features; the model remembers how.
    initial_scale : float, default: 0.0
        Standard deviation of the initial weights. The problem is convex, so zero is as good a start as any.
    memory_budget : int, optional
        The most bytes that one evaluation of the loss and its gradient may allocate beside the data, the parameters and
        the optimizer's state. A batch whose logits do not fit is computed some rows after the other, and their
        gradients are added: the step is the same up to rounding. None is no budget.
    callbacks : sequence of Callback, default: ()
        Called after each epoch.
    checkpoint : path-like or Checkpoint, optional
        A folder in which the fit is saved as it goes, and from which it goes on if it has been there before: see
        :class:`softmax_xp.Checkpoint`.
    verbose : bool, default: False
        Whether to show a progress bar.

    Raises
    ------
    InvalidTypeError
        For an argument of the wrong kind.
    InvalidValueError
        For a value out of range.

    References
    ----------
    .. [1] H. Robbins, S. Monro, "A stochastic approximation method", 1951.

    Examples
    --------
    >>> import numpy as np
    >>> import softmax_xp as sx
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> trainer = sx.Trainer(optimizer=sx.SGD(1.0), epochs=50, batch_size=2, device="cpu")
    >>> model, history = trainer.fit(X, ["low", "low", "high", "high"])
    >>> model.predict(X).tolist()
    ['low', 'low', 'high', 'high']
    >>> history
    History(50 epochs, completed)
    """

    optimizer: Optimizer = field(default_factory=SGD)
    loss: Loss = field(default_factory=CrossEntropy)
    penalty: Penalty | None = None
    epochs: int = 10
    batch_size: int = 256
    schedule: Schedule = field(default_factory=Constant)
    clipping: Clipping | None = None
    averaging: Averaging | None = None
    device: str | Backend | None = "auto"
    dtype: Any = None
    compute: str = "float32"
    seed: int = 0
    shuffle: bool = True
    drop_last: bool = False
    fit_intercept: bool = True
    standardize: bool = False
    initial_scale: float = 0.0
    memory_budget: int | None = None
    callbacks: Sequence[Callback] = ()
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None
    verbose: bool = False

    def __post_init__(self) -> None:
        """Check the settings; the parts check themselves."""
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                msg = f"`{name}` must be an integer; got {value!r}."
                raise InvalidTypeError(msg)
            if value < 1:
                msg = f"`{name}` must be at least 1; got {value}."
                raise InvalidValueError(msg)
        for name, contract, example in _PARTS:
            value = getattr(self, name)
            if value is None and name in {"penalty", "clipping", "averaging"}:
                continue
            # A class has the methods of its instances, so the contract alone would let it pass.
            if isinstance(value, type) or not isinstance(value, contract):
                msg = f"`{name}` must be an instance such as {example}; got {value!r}."
                raise InvalidTypeError(msg)
        if not isinstance(self.callbacks, Sequence):
            msg = f"`callbacks` must be a sequence of callbacks; got {self.callbacks!r}. Pass [{self.callbacks!r}]."
            raise InvalidTypeError(msg)
        check_memory_budget(self.memory_budget)
        as_checkpoint(self.checkpoint)  # checks it
        philox(self.seed)  # likewise
        check_compute(self.compute)
        if not 0.0 <= self.initial_scale < float("inf"):
            msg = f"`initial_scale` must be finite and >= 0; got {self.initial_scale}."
            raise InvalidValueError(msg)

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        validation: tuple[Any, ...] | None = None,
        classes: Any = None,
        initial: LinearParams | None = None,
    ) -> tuple[SoftmaxModel, History]:
        """Train.

        ``X`` may be an array of any library, memory-mapped, strided, read-only, of integers or float16, or a data
        frame. It goes to the device once, in its own dtype; each batch is converted as it is gathered.

        Parameters
        ----------
        X : array_like, Source or path, of shape (n_samples, n_features)
            Real features. Those of a source, see :func:`softmax_xp.open_source`, stay in their storage; batches are
            drawn as :mod:`softmax_xp.data.shuffled` says.
        y : array_like, optional
            Labels of any kind, shape (n_samples,), or soft targets of shape (n_samples, n_classes). None for a source
            that has labels.
        sample_weight : array_like of shape (n_samples,), optional
            How much each sample counts in the mean of its batch.
        validation : tuple, optional
            ``(X, y)`` or ``(X, y, sample_weight)``, evaluated after each epoch.
        classes : array_like of shape (n_classes,), optional
            All classes in the order of the columns, where ``y`` may lack some. By default those of ``y``, sorted.
        initial : LinearParams, optional
            Weights to start from instead of ``initial_scale``, on any device.

        Returns
        -------
        model : SoftmaxModel
            On the device of the fit.
        history : History
            One row for each finished epoch. Its ``status`` tells whether a callback or Ctrl-C ended the fit; after
            Ctrl-C the model has the weights of the last full step.

        Raises
        ------
        InvalidTypeError
            For data of a wrong kind.
        InvalidValueError
            For values that make no sense.
        TrainingDivergedError
            When the loss stops being finite; it carries the model with the last good weights, and the history.
        CheckpointError
            When the checkpoint is that of another fit, damaged, or cannot be written.
        """
        problem = prepare_problem(
            X,
            y,
            sample_weight=sample_weight,
            validation=validation,
            classes=classes,
            device=self.device,
            dtype=self.dtype,
            standardize=self.standardize,
            loss=self.loss,
            penalty=self.penalty,
            memory_budget=check_memory_budget(self.memory_budget),
        )
        self._check_batch(problem.shape[0])
        settings, start = self._settings(), self._initial(problem, initial)
        with products(problem.backend, self.compute), self._keeper(problem, settings, start, initial) as keeper:
            outcome = run_epochs(problem, settings, start, keeper)
        model = SoftmaxModel(outcome.params, problem.classes, problem.standardization, self.loss.temperature)
        if outcome.diverged_at is not None:
            raise self._diverged(outcome, model)
        return model, outcome.history

    def _settings(self) -> Settings:
        """Return what the loop needs of this trainer."""
        return Settings(
            self.optimizer,
            self.schedule,
            self.clipping,
            self.averaging,
            self.epochs,
            self.batch_size,
            self.seed,
            self.shuffle,
            self.drop_last,
            self.callbacks,
            self.verbose,
        )

    def _keeper(
        self, problem: Problem, settings: Settings, start: LinearParams, initial: LinearParams | None
    ) -> AbstractContextManager[Keeper | None]:
        """Return what keeps the checkpoints."""
        checkpoint = as_checkpoint(self.checkpoint)
        if checkpoint is None:
            return nullcontext(None)
        backend, train, held_out = problem.backend, problem.train, problem.validation
        with backend.scope():
            begin = Carry.start(start, settings, self.optimizer)
            fit = {
                "kind": "minibatches",
                "parameters": describe_form(begin.packed),
                "classes": describe(problem.classes.tolist()),
                **describe_data(train.X, train.targets, backend),
                "initial": "zeros" if initial is None else describe_array(begin.packed),
                **{
                    field.name: describe(getattr(self, field.name)) for field in fields(self) if field.name not in _FREE
                },
            }
            if (order := describe_order(train.X)) != ANY_ROW:
                fit["order"] = order
            if held_out is not None:
                described = describe_data(held_out.X, held_out.targets, backend)
                fit |= {f"validation {name}": text for name, text in described.items()}
        # Each rounds in its own way.
        kernel = getattr(find_kernel("linear_steps", begin.packed), "__module__", None)
        place = describe_place(backend, kernel=kernel)
        known = known_records(begin.optimizer_state, begin.average_state)
        return Keeper(checkpoint, fit=fit, place=place, known=known, backend=backend)

    def _check_batch(self, n_samples: int) -> None:
        """Look at a batch larger than the data."""
        if n_samples >= self.batch_size:
            return
        if self.drop_last:
            msg = (
                f"`batch_size` must be at most the {n_samples} samples with drop_last=True; got {self.batch_size}. "
                "No step would be taken."
            )
            raise InvalidValueError(msg)
        msg = f"`batch_size` is {self.batch_size} and there are {n_samples} samples: each step uses all of them."
        warnings.warn(msg, SmallDataWarning, stacklevel=3)

    def _initial(self, problem: Problem, initial: LinearParams | None) -> LinearParams:
        """Return the weights to start from, on the device."""
        backend, dtype = problem.backend, problem.train.dtype
        _, n_features, n_classes = problem.shape
        if initial is None:
            weight = initial_weight(self.seed, n_features, n_classes, self.initial_scale)
            bias = backend.xp.zeros(n_classes, dtype=dtype, device=backend.device) if self.fit_intercept else None
            return LinearParams(backend.put(weight, dtype), bias)
        shapes = (tuple(initial.weight.shape), None if initial.bias is None else tuple(initial.bias.shape))
        expected = ((n_features, n_classes), (n_classes,) if self.fit_intercept else None)
        if shapes != expected:
            msg = f"`initial` must hold a weight and a bias of shapes {expected}; got {shapes}."
            raise InvalidValueError(msg)
        bias = None if initial.bias is None else backend.put(initial.bias, dtype)
        return LinearParams(backend.put(initial.weight, dtype), bias)

    def _diverged(self, outcome: Outcome, model: SoftmaxModel) -> TrainingDivergedError:
        """Say where the loss left the finite numbers, and what helps."""
        step = outcome.diverged_at or 0
        advice = (
            "The features may be too large: pass standardize=True"
            if step == 0
            else "Pass a smaller learning rate, standardize=True or clipping=ClipByGlobalNorm(1.0)"
        )
        msg = (
            f"The loss must stay finite; at step {step} (counted from 0), with learning rate "
            f"{outcome.learning_rate:g}, it was not. {advice}. The error's `model` has the last good weights."
        )
        return TrainingDivergedError(msg, model=model, history=outcome.history, step=step)
