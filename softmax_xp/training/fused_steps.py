# SPDX-License-Identifier: BSD-3-Clause
"""Training steps by a kernel, where the device has one for what is being trained.

The definition of a step is :func:`softmax_xp.training.loop.run_step`. A kernel does the same in one go, or many steps
at once, for the common case: dense data, cross-entropy with labels, no penalty or L2, an optimizer of this package and
no clipping. Everything else trains by the definition, perhaps with the update of
:mod:`softmax_xp.training.fused_update`.
"""

__all__ = ["FusedOutcome", "FusedSteps", "find_fused_steps"]

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from softmax_xp.data.sparse import is_sparse
from softmax_xp.data.streamed import is_streamed
from softmax_xp.kernels import find_kernel
from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import LinearObjective
from softmax_xp.optimizers import Averaging, Clipping, FusedOptimizer, Optimizer, accumulators_of, scalars_ahead
from softmax_xp.penalties import L2
from softmax_xp.training.problem import Problem
from softmax_xp.typing import Array

# Places, weights, values and hits of a sample.
_SAMPLE_BYTES = 64


class FusedOutcome(NamedTuple):
    """What some steps leave behind."""

    packed: Array  # the parameters, in memory that a later step overwrites
    optimizer_state: Any
    value: Array  # (samples,) weighted losses, each under the weights before its step
    hits: Array  # (samples,) bool


@final
@dataclass(frozen=True, slots=True, eq=False)
class FusedSteps:
    """Steps by a kernel.

    Parameters
    ----------
    kernel : object
        ``LinearSteps`` of the device.
    optimizer : FusedOptimizer
        With the schedule bound to its learning rate.
    batch_size : int
        Samples of a step; the last of an epoch may have fewer.
    steps_at_once : int
        How many steps one call should take.
    """

    kernel: Any
    optimizer: FusedOptimizer
    batch_size: int
    steps_at_once: int

    def epoch(self) -> AbstractContextManager[None]:
        """Hold whatever the kernel needs for many steps, such as threads."""
        context: AbstractContextManager[None] = self.kernel.epoch(self.batch_size)
        return context

    def run(self, packed: Array, state: Any, order: Array) -> FusedOutcome:
        """Take a step on each batch of the samples named in ``order``.

        Parameters
        ----------
        packed : array of shape (n_features + 1, n_classes), or (n_features, n_classes) without a bias
            The parameters.
        state : NamedTuple
            The optimizer's.
        order : array of int, shape (samples,)
            Row numbers, on the device.

        Returns
        -------
        FusedOutcome
            After the last step. The arguments hold what they held.
        """
        n_steps = -(-order.shape[0] // self.batch_size)
        scalars, last = scalars_ahead(self.optimizer, state, n_steps)
        packed, arrays, value, hits = self.kernel.run(
            packed, accumulators_of(state), order, batch_size=self.batch_size, scalars=scalars
        )
        return FusedOutcome(packed, self.optimizer.next_state(last, arrays), value, hits)


def find_fused_steps(
    problem: Problem,
    optimizer: Optimizer,
    packed: Array,
    *,
    batch_size: int,
    bias: bool,
    clipping: Clipping | None = None,
    averaging: Averaging | None = None,
) -> FusedSteps | None:
    """Return the steps of a kernel, or None where the definition has to do.

    Parameters
    ----------
    problem : Problem
        The data.
    optimizer : Optimizer
        With the schedule bound to its learning rate.
    packed : array of shape (n_features + 1, n_classes), or (n_features, n_classes) without a bias
        The parameters; only their shape and float matter.
    batch_size : int
        Samples of a step.
    bias : bool
        Whether the last row of ``packed`` is one.
    clipping : Clipping, optional
        No kernel clips.
    averaging : Averaging, optional
        With one, each call takes a single step.

    Returns
    -------
    FusedSteps or None
        What the loop calls instead of ``run_step``. None also where a kernel's buffers would pass the memory budget.
    """
    train = problem.train
    make = find_kernel("linear_steps", packed)
    if make is None or clipping is not None or not isinstance(optimizer, FusedOptimizer) or not _is_common(train):
        return None
    if not _fits(train, packed, batch_size):
        return None
    loss: Any = train.loss
    penalty: Any = train.penalty
    targets, smoothing = train.targets, loss.label_smoothing
    shift = feature_scale = None
    if problem.standardization is not None:
        put, dtype = problem.backend.put, train.dtype
        shift, feature_scale = (put(a, dtype) for a in (problem.standardization.mean, problem.standardization.scale))
    kernel = make(
        train.X,
        targets.labels,
        n_classes=packed.shape[1],
        dtype=train.dtype,
        bias=bias,
        # Without smoothing both weights of a sample are one number.
        sample_weight=targets.sample_weight if smoothing else targets.weight,
        class_weight=targets.class_weight if smoothing else None,
        shift=shift,
        feature_scale=feature_scale,
        label_smoothing=smoothing,
        temperature=loss.temperature,
        l2=0.0 if penalty is None else penalty.reg,
        rule=optimizer.fused_rule(optimizer.init(packed)).name,
    )
    if kernel is None:
        return None
    return FusedSteps(kernel, optimizer, batch_size, 1 if averaging is not None else kernel.steps_at_once)


def _fits(train: LinearObjective, packed: Array, batch_size: int) -> bool:
    """Tell whether a memory budget has room for what a kernel keeps beside two sets of parameters and accumulators.

    That is the rows as they are stored and in the float of the computation, the logits in rows and in columns, and some
    arrays of the size of the parameters: the gradient, its parts (which are small beside the rows), scratch memory.
    """
    if train.memory_budget is None:
        return True
    n_rows, n_classes = packed.shape
    row = n_rows * (train.stored_itemsize + 2 * train.itemsize) + 2 * n_classes * train.itemsize + _SAMPLE_BYTES
    needed: int = batch_size * row + 3 * n_rows * n_classes * train.itemsize
    return needed <= train.memory_budget


def _is_common(train: LinearObjective) -> bool:
    """Tell whether the loss, the penalty and the data are those that kernels know."""
    if type(train.loss) is not CrossEntropy or train.targets.distribution is not None:
        return False
    if is_sparse(train.X) or is_streamed(train.X):
        return False
    return train.penalty is None or type(train.penalty) is L2
