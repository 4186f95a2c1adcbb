# SPDX-License-Identifier: BSD-3-Clause
"""The optimizer's part of a step by a kernel, where no kernel takes the whole step.

Other losses than cross-entropy with labels, many classes, clipping, an elastic net: there
:func:`softmax_xp.training.loop.run_step` computes the gradient by the definition, and what follows it, a dozen passes
over arrays of the parameters' size for Adam, is one launch on a GPU. Its outputs are fresh, so the parameters of the
last full step are whole whenever Ctrl-C comes, and nobody need copy what outlives a step.
"""

__all__ = ["FusedUpdate", "find_fused_update"]

from collections.abc import Callable
from typing import Any, final

from softmax_xp.backend import Backend
from softmax_xp.kernels import find_kernel
from softmax_xp.optimizers import FusedOptimizer, Optimizer, accumulators_of, scalars_ahead
from softmax_xp.typing import Array

# Rows of the table that goes to the device at once: few enough for the host to have them while the device still works
# on the steps before.
_STEPS_AHEAD = 128


@final
class FusedUpdate:
    """Updates by a kernel, with the host's numbers of many steps moved to the device at once.

    Parameters
    ----------
    kernel : callable
        ``update`` of the device.
    optimizer : FusedOptimizer
        With the schedule bound to its learning rate.
    backend : Backend
        Where the parameters live.
    """

    def __init__(self, kernel: Callable[..., Any], optimizer: FusedOptimizer, backend: Backend) -> None:
        self._kernel, self._optimizer, self._backend = kernel, optimizer, backend
        self._table: Array = None
        self._first = self._end = self._epoch_end = 0
        self._rule = ""

    def begin_epoch(self, state: Any, n_steps: int) -> None:
        """Say how far to look ahead: between two epochs a schedule may change its mind, so no table goes beyond one.

        Parameters
        ----------
        state : NamedTuple
            The optimizer's, before the epoch.
        n_steps : int
            Of the epoch.
        """
        self._epoch_end = state.count + n_steps

    def step(self, packed: Array, grads: Array, state: Any) -> tuple[Array, Any] | None:
        """Take one step. Nothing in here waits for the device.

        Parameters
        ----------
        packed : array of shape (n_features + 1, n_classes), or (n_features, n_classes) without a bias
            The parameters. Not written to.
        grads : array of the shape of ``packed``
            Their gradient. Not written to.
        state : NamedTuple
            The optimizer's.

        Returns
        -------
        packed : array
            After the step. Fresh.
        state : NamedTuple
            Likewise. None stands for both where the kernel declines.
        """
        if not self._first <= state.count < self._end:
            self._look_ahead(state, packed.dtype)
        arrays, row = accumulators_of(state), state.count - self._first
        answer = self._kernel(self._rule, packed, grads, arrays, self._table, step=row)
        return None if answer is None else (answer[0], self._optimizer.next_state(state, answer[1]))

    def _look_ahead(self, state: Any, dtype: Any) -> None:
        """Move the numbers of the next steps to the device: one small transfer for many."""
        n_steps = max(min(_STEPS_AHEAD, self._epoch_end - state.count), 1)
        scalars, _ = scalars_ahead(self._optimizer, state, n_steps)
        self._rule = self._rule or self._optimizer.fused_rule(state).name
        self._table = self._backend.put(scalars, dtype)
        self._first, self._end = state.count, state.count + n_steps


def find_fused_update(optimizer: Optimizer, packed: Array, backend: Backend) -> FusedUpdate | None:
    """Return the updates of a kernel, or None where the definition has to do.

    Parameters
    ----------
    optimizer : Optimizer
        With the schedule bound to its learning rate.
    packed : array of float
        The parameters; only their library matters.
    backend : Backend
        Where they live.

    Returns
    -------
    FusedUpdate or None
        What ``run_step`` calls instead of the optimizer's ``update``.
    """
    kernel = find_kernel("update", packed)
    if kernel is None or not isinstance(optimizer, FusedOptimizer):
        return None
    return FusedUpdate(kernel, optimizer, backend)
