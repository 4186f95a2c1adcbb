# SPDX-License-Identifier: BSD-3-Clause
"""The minibatch loop: steps, epochs, and what happens when a loss diverges or the user presses Ctrl-C.

Everything that changes is in one :class:`Carry`, replaced by a single assignment at the end of a step. Optimizers are
pure and parameters are never written to, so an interrupt between two bytecodes leaves the carry of the last full
step, and keeping older parameters costs a reference. Kernels that take whole steps write to memory of their own, and
alternate: there too the carry of the last full step is whole, but what outlives a step is copied.
"""

__all__ = ["Carry", "Outcome", "Settings", "run_epochs", "run_step"]

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

from softmax_xp.backend import scalar
from softmax_xp.blas import give_way, let_go
from softmax_xp.data.shuffled import announce_epoch, row_order
from softmax_xp.losses.contract import Targets, take_targets
from softmax_xp.objectives.penalised import penalised_gradient
from softmax_xp.ops.linear import row_slices
from softmax_xp.ops.memory import is_out_of_memory
from softmax_xp.optimizers import Averaging, Clipping, Optimizer, apply_updates
from softmax_xp.schedules import Progress, Schedule
from softmax_xp.training.batch import batch_loss
from softmax_xp.training.callbacks import Callback, EpochEnd
from softmax_xp.training.fused_steps import FusedSteps, find_fused_steps
from softmax_xp.training.fused_update import FusedUpdate, find_fused_update
from softmax_xp.training.history import History
from softmax_xp.training.keeper import Keeper
from softmax_xp.training.meter import Meter
from softmax_xp.training.packing import pack, unpack
from softmax_xp.training.problem import Problem
from softmax_xp.training.progress import ProgressBar
from softmax_xp.training.resume import restore_run, run_state
from softmax_xp.typing import Array, LinearParams

logger = logging.getLogger("softmax_xp")


class Settings(NamedTuple):
    """How to train; the problem says on what."""

    optimizer: Optimizer
    schedule: Schedule
    clipping: Clipping | None
    averaging: Averaging | None
    epochs: int
    batch_size: int
    seed: int
    shuffle: bool
    drop_last: bool
    callbacks: Sequence[Callback]
    verbose: bool


class Carry(NamedTuple):
    """All that a step changes; weight and bias are packed into one array."""

    packed: Array  # (n_features + 1, n_classes), or (n_features, n_classes) without a bias
    bias: bool
    optimizer_state: Any
    average_state: Any

    @classmethod
    def start(cls, params: LinearParams, settings: Settings, optimizer: Optimizer) -> "Carry":
        """Return what the first step begins with."""
        packed, averaging = pack(params), settings.averaging
        average_state = None if averaging is None else averaging.init(packed)
        return cls(packed, params.bias is not None, optimizer.init(packed), average_state)

    @property
    def params(self) -> LinearParams:
        """Weight and bias as views."""
        return unpack(self.packed, bias=self.bias)


class _Diverged(Exception):  # noqa: N818 - a signal within this module, translated by the Trainer's error
    """The loss of ``step`` (counted over the whole run) is not finite."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


class Outcome(NamedTuple):
    """How a run ended."""

    params: LinearParams
    history: History
    diverged_at: int | None  # step of the whole run
    learning_rate: float  # of that step


def run_step(
    carry: Carry,
    index: Array,
    problem: Problem,
    settings: Settings,
    optimizer: Optimizer,
    fused_update: FusedUpdate | None = None,
) -> tuple[Carry, Array, Array, Targets]:
    """Take one step on the samples named in ``index``. Nothing in here waits for the device.

    Parameters
    ----------
    carry : Carry
        Before the step; not changed.
    index : array of int, shape (batch,)
        Row numbers, on the device.
    problem : Problem
        The data.
    settings : Settings
        Clipping and averaging.
    optimizer : Optimizer
        With the schedule bound to its learning rate.
    fused_update : FusedUpdate, optional
        A kernel's update, instead of the optimizer's own.

    Returns
    -------
    carry : Carry
        After the step.
    value : array of shape (batch,)
        Weighted losses under the weights before the step.
    hits : array of bool, shape (batch,)
        Whether the likeliest class was the label.
    targets : Targets
        Of the batch.
    """
    train, params = problem.train, carry.params
    (value, hits, gradient), targets = batch_loss(train, params, index)
    grads = pack(penalised_gradient(gradient, train.penalty, params))
    del gradient  # packed; the update needs memory too
    if settings.clipping is not None:
        grads = settings.clipping.apply(grads)
    taken = None if fused_update is None else fused_update.step(carry.packed, grads, carry.optimizer_state)
    if taken is None:
        updates, optimizer_state = optimizer.update(grads, carry.optimizer_state, carry.packed)
        taken = apply_updates(carry.packed, updates), optimizer_state
    packed, optimizer_state = taken
    average_state = carry.average_state
    if settings.averaging is not None:
        average_state = settings.averaging.update(average_state, packed)
    return Carry(packed, carry.bias, optimizer_state, average_state), value, hits, targets


class _Run:
    """The state of a run: what the epochs share."""

    def __init__(self, problem: Problem, settings: Settings, params: LinearParams, keeper: Keeper | None) -> None:
        n_samples = problem.shape[0]
        self.problem, self.settings, self.keeper = problem, settings, keeper
        # The epoch to begin with, how many of its samples have been visited, and whether none is left to do.
        self.number, self.position, self.is_done = 0, 0, False
        self.batch = min(settings.batch_size, n_samples)
        rest = 0 if settings.drop_last else n_samples % self.batch
        self.samples = n_samples - n_samples % self.batch + rest
        self.steps_per_epoch = -(-self.samples // self.batch)
        self.total_steps = settings.epochs * self.steps_per_epoch
        self.history = History()
        self.monitored: tuple[float, ...] = ()
        base = settings.optimizer.learning_rate

        def learning_rate(step: int) -> float:
            factor = settings.schedule.factor(Progress(step, self.total_steps, self.steps_per_epoch, self.monitored))
            return (base(step) if callable(base) else base) * factor

        self.learning_rate = learning_rate
        # A frozen dataclass with another learning rate: the user's own optimizer is not touched.
        self.optimizer: Optimizer = replace(settings.optimizer, learning_rate=learning_rate)  # type: ignore[type-var]
        self.carry = Carry.start(params, settings, self.optimizer)
        self.fused = find_fused_steps(
            problem,
            self.optimizer,
            self.carry.packed,
            batch_size=self.batch,
            bias=self.carry.bias,
            clipping=settings.clipping,
            averaging=settings.averaging,
        )
        # For the steps that no kernel takes whole.
        self.fused_update = find_fused_update(self.optimizer, self.carry.packed, problem.backend)
        self.steps_at_once = 1 if self.fused is None else self.fused.steps_at_once
        # Parameters known to be good: at the start of this epoch, and of the one before it.
        self.good = self.previous = params
        self.coming: Array | None = None  # the order of the samples in the epoch that follows
        self.last_index: Array | None = None  # the samples of an epoch's last step
        self.meter = Meter(problem.backend)
        self.bar = ProgressBar(settings.epochs * self.samples, enabled=settings.verbose)
        self.start = perf_counter()

    def params(self) -> LinearParams:
        """Return the parameters that a model would get now."""
        averaging, packed = self.settings.averaging, self.carry.packed
        if averaging is not None:
            packed = averaging.value(self.carry.average_state)
        elif self.fused is not None:
            packed = self.problem.backend.xp.asarray(packed, device=self.problem.backend.device, copy=True)
        return unpack(packed, bias=self.carry.bias)

    def epoch(self, number: int) -> None:
        """Go through the data once."""
        problem = self.problem
        if self.position == 0:  # else the meter has come from a checkpoint
            self.meter = Meter(problem.backend)
        meter, begin, self.position = self.meter, self.position, 0
        first_step, stride = number * self.steps_per_epoch, self.batch * self.steps_at_once
        order = self._order(number) if self.coming is None else self.coming
        if self.fused_update is not None:
            self.fused_update.begin_epoch(self.carry.optimizer_state, self.steps_per_epoch - begin // self.batch)
        with problem.backend.scope():
            with nullcontext() if self.fused is None else self.fused.epoch():
                for start in range(begin, self.samples, stride):
                    give_way()
                    stop = min(start + stride, self.samples)
                    self._step(order[start:stop])
                    self._raise_if_bad(self.bar.step(stop - start, number, meter), first_step)
                    if self.keeper is not None and self.keeper.due(self.steps_at_once):
                        self.save(self.keeper, number, stop)
            # Before the read, which waits for the device: it still works on the steps.
            self.coming = self._order(number + 1) if number + 1 < self.settings.epochs else None
            self._raise_if_bad(meter.read(), first_step)
            params = self.params()
            row = self._row(number, meter, params)
        self.previous, self.good = self.good, params
        self.last_index = order[(self.steps_per_epoch - 1) * self.batch : self.samples]
        self.history.append(row)
        self.monitored = (*self.monitored, row.get("validation_loss", row["train_loss"]))
        self.bar.show(number, meter.loss, meter.accuracy)

    def _step(self, index: Array) -> None:
        """Take one step, or as many as a kernel takes at once, and note what they leave behind."""
        if self.fused is not None and self._kernel_steps(self.fused, index):
            return
        for batch in row_slices(index.shape[0], self.batch):  # several where a kernel was given up
            self.carry, *leavings = run_step(
                self.carry, index[batch], self.problem, self.settings, self.optimizer, self.fused_update
            )
            self.meter.add(*leavings)

    def _kernel_steps(self, fused: FusedSteps, index: Array) -> bool:
        """Let a kernel take the steps; without memory for its buffers it is given up, and this is False."""
        carry, averaging, targets = self.carry, self.settings.averaging, self.problem.train.targets
        try:
            taken = fused.run(carry.packed, carry.optimizer_state, index)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            logger.warning("Out of memory for the buffers of fused training steps: going on without them.")
            self.fused = None
            return False
        average = None if averaging is None else averaging.update(carry.average_state, taken.packed)
        self.carry = Carry(taken.packed, carry.bias, taken.optimizer_state, average)
        if targets.weight is not None:
            targets = take_targets(targets, index)
        self.meter.add(taken.value, taken.hits, targets, self.batch)
        return True

    def save(self, keeper: Keeper, number: int, position: int, *, is_done: bool = False) -> None:
        """Write a checkpoint of good parameters; end the run if that is why it was asked for."""
        self._raise_if_bad(self.meter.read(), number * self.steps_per_epoch)
        keeper.save(run_state(self, number, position, is_done=is_done), is_last=is_done or keeper.is_stopping)
        if keeper.is_stopping and not is_done:
            raise KeyboardInterrupt

    def judge_last_step(self, number: int) -> None:
        """Take the step after the last in vain: only its loss tells whether the last update spoilt the weights."""
        problem, meter = self.problem, Meter(self.problem.backend)
        with problem.backend.scope():
            if self.last_index is None:  # the run was resumed after its last epoch
                self.last_index = self._order(number)[(self.steps_per_epoch - 1) * self.batch : self.samples]
            _, *leavings = run_step(self.carry, self.last_index, problem, self.settings, self.optimizer)
        meter.add(*leavings)
        self._raise_if_bad(meter.read(), (number + 1) * self.steps_per_epoch)

    def discard_bad_steps(self) -> None:
        """Go back to good parameters where a loss that nobody has read yet is not finite."""
        if self.meter.read() is not None:
            self.carry = self.carry._replace(packed=pack(self.good))
            self.settings = self.settings._replace(averaging=None)

    def _order(self, number: int) -> Array:
        """Return the epoch's permutation on the device: the one transfer of an epoch."""
        n_samples = self.problem.shape[0]
        backend = self.problem.backend
        if self.settings.shuffle:
            X, seed = self.problem.train.X, self.settings.seed
            announce_epoch(X, seed, number)
            return backend.put(row_order(X, seed, number))
        return backend.xp.arange(n_samples, device=backend.device)

    def _raise_if_bad(self, step: int | None, first_step: int) -> None:
        """Stop the run at a loss that is not finite."""
        if step is not None:
            if step == 0:
                # The epoch's own starting point gave the bad loss, so the last good one is an epoch older.
                self.good = self.previous
            raise _Diverged(first_step + step)

    def _row(self, number: int, meter: Meter, params: LinearParams) -> dict[str, float]:
        """Make the history's row of a finished epoch: a few host reads."""
        problem = self.problem
        seconds = perf_counter() - self.start
        last_step = (number + 1) * self.steps_per_epoch - 1
        row: dict[str, float] = {
            "epoch": number,
            "step": last_step + 1,
            "learning_rate": self.learning_rate(last_step),
            "train_loss": meter.loss,
            "train_accuracy": meter.accuracy,
        }
        if problem.train.penalty is not None:
            row["penalty"] = scalar(problem.train.penalty.value(params))  # host: once an epoch
        if problem.validation is not None:
            row["validation_loss"], row["validation_accuracy"] = problem.validation.evaluate(params)
        row["seconds"] = perf_counter() - self.start
        row["samples_per_second"] = (number + 1) * self.samples / max(seconds, 1e-9)
        return row


def _on_epoch_end(callback: Callback, event: EpochEnd) -> bool | None:
    """Call a callback; an error of its own says in which epoch."""
    try:
        return callback.on_epoch_end(event)
    except Exception as error:
        error.add_note(f"Raised by {callback!r} at the end of epoch {event.epoch} (counted from 0).")
        raise


def run_epochs(problem: Problem, settings: Settings, params: LinearParams, keeper: Keeper | None = None) -> Outcome:
    """Train for all epochs, or until a callback, Ctrl-C or a loss that is not finite ends it.

    Parameters
    ----------
    problem : Problem
        The data.
    settings : Settings
        How to train.
    params : LinearParams
        Where to start.
    keeper : Keeper, optional
        Has the checkpoint to go on from, and is given others.

    Returns
    -------
    Outcome
        The parameters for the model, the history with its status, and where it diverged if it did.
    """
    with problem.backend.scope():
        run = _Run(problem, settings, params, keeper)
    for callback in settings.callbacks:
        callback.on_fit_start()
    if keeper is not None:
        restore_run(run, keeper)
    diverged_at, number = None, max(run.number - 1, 0)
    try:
        for number in range(run.number, 0 if run.is_done else settings.epochs):
            run.epoch(number)
            event = EpochEnd(number, run.good, run.history)
            # A list: every callback sees every epoch, whoever asks to stop. It may wait for other threads.
            with let_go():
                answers = [_on_epoch_end(callback, event) for callback in settings.callbacks]
            if any(answers):
                run.history.status = "stopped"
                break
            if keeper is not None and keeper.due(0):
                run.save(keeper, number + 1, 0)
        run.judge_last_step(number)
        if keeper is not None:
            run.save(keeper, number + 1, 0, is_done=True)
    except KeyboardInterrupt:
        run.history.status = "interrupted"
        run.discard_bad_steps()
        logger.warning("Training was interrupted in epoch %d; the model has the weights of the last full step.", number)
    except _Diverged as signal:
        run.history.status = "diverged"
        diverged_at = signal.step
    finally:
        run.bar.close()
    if diverged_at is not None:
        return Outcome(run.good, run.history, diverged_at, run.learning_rate(min(diverged_at, run.total_steps - 1)))
    final = run.params()
    for callback in settings.callbacks:
        chosen = callback.on_fit_end(EpochEnd(number, final, run.history))
        final = final if chosen is None else chosen
    return Outcome(final, run.history, None, 0.0)
