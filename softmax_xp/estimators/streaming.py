# SPDX-License-Identifier: BSD-3-Clause
"""Learning from rows as they come: one pass of minibatch steps for each call, and classes that may be new.

The stream keeps a column for each class, also for two, together with the optimizer's state for the columns. So a third
class is one more column, and no probability jumps because a parametrisation changed.
"""

__all__ = ["Stream", "Streamed", "begin_stream", "begin_stream_at_zero", "stream_over"]

from dataclasses import replace
from math import log
from typing import Any, NamedTuple

from numpy.typing import NDArray

from softmax_xp.backend import Backend, array_namespace, backend_of
from softmax_xp.data.order import epoch_order
from softmax_xp.errors import TrainingDivergedError
from softmax_xp.estimators.coefficients import regrouped
from softmax_xp.estimators.minibatch_fit import penalty_of
from softmax_xp.estimators.problem import FitProblem, check_dense, counting
from softmax_xp.estimators.settings import FitSettings, minibatch_optimizer
from softmax_xp.model import SoftmaxModel
from softmax_xp.ops.linear import linear_logits
from softmax_xp.ops.softmax import logsumexp
from softmax_xp.optimizers import Optimizer
from softmax_xp.schedules import Constant
from softmax_xp.training import History
from softmax_xp.training.loop import Carry, Settings, run_step
from softmax_xp.training.meter import Meter
from softmax_xp.training.packing import pack
from softmax_xp.training.problem import Problem
from softmax_xp.typing import Array, LinearParams

# The probability with which a class begins that no sample so far belonged to: old ones change by as little.
_UNSEEN_SHARE = 1e-3


class Stream(NamedTuple):
    """What is kept between two calls."""

    params: LinearParams  # a column for each class
    classes: NDArray[Any]
    optimizer: Any  # with a learning rate of 0: the state belongs to all of its other hyperparameters
    state: Any  # the optimizer's, over the packed parameters
    total: float  # weight of all samples so far
    calls: int
    seed: int


class Streamed(NamedTuple):
    """What one call leaves."""

    stream: Stream
    row: dict[str, float]


def begin_stream(params: LinearParams, classes: NDArray[Any], total: float, seed: int) -> Stream:
    """Return the stream before its first call."""
    return Stream(params, classes, None, None, total, 0, seed)


def begin_stream_at_zero(problem: FitProblem, settings: FitSettings, seed: int) -> Stream:
    """Return the stream of a classifier that has learned nothing yet."""
    backend, n_classes = problem.backend, len(problem.classes)
    zeros = backend.xp.zeros((problem.n_features, n_classes), dtype=problem.dtype, device=backend.device)
    params = LinearParams(zeros, zeros[0, :] if settings.fit_intercept else None)
    return begin_stream(params, problem.classes, 0.0, seed)


def stream_over(problem: FitProblem, settings: FitSettings, stream: Stream) -> Streamed:
    """Take one pass of minibatch steps over some rows.

    Parameters
    ----------
    problem : FitProblem
        The rows, whose classes are at least those of the stream.
    settings : FitSettings
        The parameters.
    stream : Stream
        Before; not changed.

    Returns
    -------
    Streamed
        The next stream, and a row for the history.

    Raises
    ------
    TrainingDivergedError
        When a loss is not finite. The stream is as it was.
    """
    check_dense(problem)
    problem = counting(problem)
    problem.linear.check_budget(len(problem.classes))
    optimizer = minibatch_optimizer(settings)
    identity = replace(optimizer, learning_rate=0.0)  # type: ignore[type-var]  # every optimizer is a dataclass
    with problem.backend.scope():
        stream = _with_classes(_placed(stream, problem), problem, identity)
        total = stream.total + 1.0 / problem.reciprocal_total
        carry, meter = _steps(problem, settings, optimizer, stream, total)
    state = carry.optimizer_state
    after = stream._replace(params=carry.params, state=state, total=total, calls=stream.calls + 1)
    row = {"call": stream.calls, "step": state.count, "train_loss": meter.loss, "train_accuracy": meter.accuracy}
    return Streamed(after, row)


def _steps(
    problem: FitProblem, settings: FitSettings, optimizer: Optimizer, stream: Stream, total: float
) -> tuple[Carry, Meter]:
    """Run the steps, and see that each loss was finite."""
    backend, n_samples = problem.backend, problem.linear.X.shape[0]
    loop = Settings(optimizer, Constant(), None, None, 1, settings.batch_size, stream.seed, True, False, (), False)
    penalty = penalty_of(settings, 1.0 / total, len(problem.classes))
    data = Problem(backend, replace(problem.linear, penalty=penalty), None, problem.classes, None)
    carry = Carry(pack(stream.params), stream.params.bias is not None, stream.state, None)
    order, meter = backend.put(epoch_order(stream.seed, stream.calls, n_samples)), Meter(backend)
    for first in range(0, n_samples, settings.batch_size):
        index = order[first : min(first + settings.batch_size, n_samples)]
        carry, *leavings = run_step(carry, index, data, loop, optimizer)
        meter.add(*leavings)
    bad_step = meter.read()
    if bad_step is None:
        # Only the loss after the last step tells whether that one spoilt the weights.
        _, *leavings = run_step(carry, index, data, loop, optimizer)
        last = Meter(backend)
        last.add(*leavings)
        bad_step = None if last.read() is None else -(-n_samples // settings.batch_size)
    if bad_step is not None:
        raise _diverged(bad_step, stream)
    return carry, meter


def _diverged(step: int, stream: Stream) -> TrainingDivergedError:
    """Say that the rows could not be learnt from, and that nothing was."""
    msg = (
        f"The loss must stay finite; at step {step} (counted from 0) of these rows it was not, and nothing was learnt. "
        "Pass a smaller `learning_rate`, or scale the features."
    )
    model = SoftmaxModel(stream.params, stream.classes)
    return TrainingDivergedError(msg, model=model, history=History(), step=step)


def _placed(stream: Stream, problem: FitProblem) -> Stream:
    """Bring a stream to the device and the float of the rows."""
    backend: Backend = problem.backend
    params = problem.put(stream.params)
    state = _map_state(lambda part: backend.put(part, problem.dtype), stream.state)
    return stream._replace(params=params, state=state)


def _with_classes(stream: Stream, problem: FitProblem, optimizer: Any) -> Stream:
    """Arrange a stream for the classes of the rows, and for the optimizer."""
    known, classes = stream.classes.tolist(), problem.classes.tolist()
    params, state = stream.params, stream.state
    if known != classes:
        params = regrouped(params, known, classes, new_bias=_unseen_bias(params, problem))
    fresh = optimizer.init(pack(params))
    if state is None or stream.optimizer != optimizer:
        state = fresh
    elif known != classes:
        merged = [_merged(part, new, known, classes) for part, new in zip(state, fresh, strict=True)]
        state = type(state)(*merged)
    return stream._replace(params=params, classes=problem.classes, optimizer=optimizer, state=state)


def _merged(part: Any, fresh: Any, known: list[Any], classes: list[Any]) -> Any:
    """Arrange one part of an optimizer's state; the columns of new classes are as at the first step."""
    if not hasattr(part, "ndim"):
        return part
    xp = array_namespace(part)
    place = {label: number for number, label in enumerate(known)}
    columns = [part[:, place[label]] if label in place else fresh[:, column] for column, label in enumerate(classes)]
    return xp.stack(columns, axis=1)


def _map_state(function: Any, state: Any) -> Any:
    """Apply a function to the arrays of an optimizer's state."""
    if state is None:
        return None
    return type(state)(*(function(part) if hasattr(part, "ndim") else part for part in state))


def _unseen_bias(params: LinearParams, problem: FitProblem) -> Array | None:
    """Return the bias that gives a new class of zero weights its small share, at the rows' mean log-partition."""
    if params.bias is None:
        return None
    linear = problem.linear
    xp = backend_of(params.weight).xp
    sums = [
        xp.sum(logsumexp(linear_logits(params, linear.rows(rows)))) for rows, _ in linear.chunks(params.weight.shape[1])
    ]
    return sum(sums[1:], sums[0]) / linear.X.shape[0] + log(_UNSEEN_SHARE)
