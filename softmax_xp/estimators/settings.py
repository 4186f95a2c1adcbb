# SPDX-License-Identifier: BSD-3-Clause
"""The estimator's parameters, checked when a fit begins and made plain; the estimator's own stay as they were given."""

__all__ = ["AUTO", "FitSettings", "minibatch_name", "minibatch_optimizer", "seed_of"]

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, final

import numpy as np

from softmax_xp.backend import Backend
from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.hyperparameters import (
    AT_LEAST_ONE,
    FLAG,
    LEARNING_RATE,
    NON_NEGATIVE,
    SHARE,
    Range,
    check_hyperparameters,
)
from softmax_xp.kernels.precision import check_compute
from softmax_xp.ops.memory import check_memory_budget
from softmax_xp.optimizers import OPTIMIZERS, Optimizer, make_optimizer
from softmax_xp.solvers import SOLVERS, Solver
from softmax_xp.training import Callback, Checkpoint
from softmax_xp.training.checkpoint import as_checkpoint

AUTO = "auto"
# What `partial_fit` steps with where `solver` names a full-batch solver, which cannot step on some rows.
_STREAMING_DEFAULT = "adam"
# The solvers that ask for second derivatives everywhere, which an L1 penalty has not.
_SMOOTH_ONLY = ("lbfgs", "newton-cg", "newton-cholesky")
_SMOOTH_ONLY_KINDS = tuple(type(SOLVERS[name]) for name in _SMOOTH_ONLY)

_INVERSE_STRENGTH = Range(Real, "a number", float, lambda value: value > 0.0, "above 0; math.inf means no penalty")
_VERBOSITY = Range(Integral, "an integer or a bool", int, lambda value: value >= 0, "at least 0")


@final
@dataclass(frozen=True, slots=True)
class FitSettings:
    """The parameters of :class:`~softmax_xp.SoftmaxClassifier` as plain values, all of them valid."""

    C: float
    l1_ratio: float
    fit_intercept: bool
    class_weight: Any
    solver: str | Solver | Optimizer
    tol: float
    max_iter: int
    warm_start: bool
    random_state: Any
    device: str | Backend | None
    dtype: Any
    verbose: int
    callbacks: tuple[Any, ...]
    stopping: str
    learning_rate: float | Callable[[int], float] | None
    batch_size: int
    compute: str
    memory_budget: int | None
    checkpoint: Checkpoint | None

    @classmethod
    def of(cls, estimator: Any) -> "FitSettings":
        """Read and check the parameters of an estimator."""
        values = {field.name: getattr(estimator, field.name) for field in fields(cls)}
        # NumPy's own truth values are as good as Python's; `verbose` may be either.
        values |= {name: bool(value) for name, value in values.items() if isinstance(value, np.bool_)}
        values["verbose"] = int(values["verbose"]) if isinstance(values["verbose"], bool) else values["verbose"]
        values["callbacks"] = _as_callbacks(values["callbacks"])
        values["checkpoint"] = as_checkpoint(values["checkpoint"])
        return cls(**values)

    def __post_init__(self) -> None:
        """Check everything that can be checked without data."""
        check_hyperparameters(
            self,
            C=_INVERSE_STRENGTH,
            l1_ratio=SHARE,
            fit_intercept=FLAG,
            tol=NON_NEGATIVE,
            max_iter=AT_LEAST_ONE,
            warm_start=FLAG,
            verbose=_VERBOSITY,
            batch_size=AT_LEAST_ONE,
        )
        if self.learning_rate is not None:
            check_hyperparameters(self, learning_rate=LEARNING_RATE)
        if self.stopping not in ("certificate", "gradient"):  # a set would hash what the user gave
            msg = f"`stopping` must be 'certificate' or 'gradient'; got {self.stopping!r}."
            raise InvalidValueError(msg)
        check_compute(self.compute)
        object.__setattr__(self, "memory_budget", check_memory_budget(self.memory_budget))
        _check_solver(self.solver)
        if self.is_penalised and self.l1_ratio > 0.0 and _is_smooth_only(self.solver):
            msg = f"`solver` must be 'auto' or 'proximal' with l1_ratio={self.l1_ratio:g}; got {self.solver!r}."
            raise InvalidValueError(msg)
        _check_class_weight(self.class_weight)
        seed_of(self.random_state, draw=False)
        if self.dtype is not None:
            object.__setattr__(self, "dtype", _float_name(self.dtype))

    @property
    def is_penalised(self) -> bool:
        """Whether the objective has a penalty."""
        return not math.isinf(self.C)

    @property
    def is_minibatch(self) -> bool:
        """Whether `solver` steps on minibatches."""
        if isinstance(self.solver, str):
            return self.solver in OPTIMIZERS
        return not isinstance(self.solver, Solver)

    def strengths(self, reciprocal_total: float) -> tuple[float, float]:
        """Return the strengths of the L1 and the L2 part beside the mean loss, from scikit-learn's beside the sum."""
        if not self.is_penalised:
            return 0.0, 0.0
        strength = reciprocal_total / self.C
        if not strength < math.inf:
            msg = f"`C` must leave 1 / (C * total weight) finite; got {self.C}."
            raise InvalidValueError(msg)
        return self.l1_ratio * strength, (1.0 - self.l1_ratio) * strength


def _check_class_weight(class_weight: Any) -> None:
    """Check what can be checked without the classes."""
    by_name = isinstance(class_weight, str) and class_weight == "balanced"
    if not (class_weight is None or by_name or isinstance(class_weight, Mapping)):
        msg = f"`class_weight` must be None, 'balanced' or a dict of class to weight; got {class_weight!r}."
        raise InvalidValueError(msg)
    for label, weight in class_weight.items() if isinstance(class_weight, Mapping) else ():
        if not isinstance(weight, Real):
            msg = f"`class_weight` must hold numbers; got {weight!r} of type {type(weight).__name__} for {label!r}."
            raise InvalidTypeError(msg)


def _is_smooth_only(solver: Any) -> bool:
    """Tell whether a solver, named or given, asks for second derivatives everywhere."""
    return solver in _SMOOTH_ONLY if isinstance(solver, str) else isinstance(solver, _SMOOTH_ONLY_KINDS)


def _float_name(dtype: Any) -> str:
    """Name the float of a computation, whichever library's dtype it was given as."""
    try:
        name = str(np.dtype(dtype).name)
    except TypeError:
        name = str(dtype).rpartition(".")[2]  # torch.float32, array_api_strict.float32
    if name not in {"float32", "float64"}:
        msg = f"`dtype` must be float32 or float64, or None to follow `X`; got {dtype!r}."
        raise InvalidValueError(msg)
    return name


def _check_solver(solver: Any) -> None:
    """Check that a solver is known by name, or is one."""
    known = (AUTO, *SOLVERS, *sorted(OPTIMIZERS))
    if isinstance(solver, str):
        if solver not in known:
            msg = f"`solver` must be one of {', '.join(map(repr, known))}; got {solver!r}."
            raise InvalidValueError(msg)
    # A class has the methods of its instances, so the protocols alone would let it pass.
    elif isinstance(solver, type) or not isinstance(solver, Solver | Optimizer):
        msg = f"`solver` must be a name, such as 'lbfgs' or 'adam', or an instance of one; got {solver!r}."
        raise InvalidTypeError(msg)


def _as_callbacks(callbacks: Any) -> tuple[Any, ...]:
    """Return the callbacks as a tuple; one alone is a tuple of one."""
    if callbacks is None:
        return ()
    listed = tuple(callbacks) if isinstance(callbacks, Iterable) else (callbacks,)
    for callback in listed:
        if isinstance(callback, type) or not (callable(callback) or isinstance(callback, Callback)):
            msg = f"`callbacks` must be functions of a row of the history, or Callbacks; got {callback!r}."
            raise InvalidTypeError(msg)
    return listed


def minibatch_name(settings: FitSettings) -> str:
    """Name the optimizer that steps on minibatches."""
    solver = settings.solver if settings.is_minibatch else _STREAMING_DEFAULT
    return solver if isinstance(solver, str) else type(solver).__name__


def minibatch_optimizer(settings: FitSettings) -> Optimizer:
    """Return the optimizer that steps on minibatches, with the learning rate that was asked for."""
    solver = settings.solver if settings.is_minibatch else _STREAMING_DEFAULT
    assert not isinstance(solver, Solver)  # noqa: S101 - for the type checker, which `is_minibatch` does not tell
    return make_optimizer(solver, settings.learning_rate)


def seed_of(random_state: Any, *, draw: bool = True) -> int:
    """Return the seed that scikit-learn's `random_state` stands for.

    Parameters
    ----------
    random_state : int, RandomState or None
        None takes a number from NumPy's global generator.
    draw : bool, default=True
        Whether to draw a number from a generator; False only checks.

    Returns
    -------
    int
        Not negative.
    """
    if isinstance(random_state, Integral) and not isinstance(random_state, bool):
        if int(random_state) >= 0:
            return int(random_state)
    elif random_state is None or isinstance(random_state, np.random.RandomState):
        if not draw:
            return 0
        # The global generator is what None means in scikit-learn.
        source = np.random if random_state is None else random_state
        return int(source.randint(2**31 - 1))
    msg = f"`random_state` must be an integer >= 0, a numpy.random.RandomState or None; got {random_state!r}."
    raise InvalidValueError(msg)
