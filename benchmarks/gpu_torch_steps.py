# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch's training step in its fast forms: eager, compiled, and replayed from a CUDA graph of one or many steps.

All of them gather rows by index from data on the device, run a linear layer and the cross-entropy, differentiate and
call the fused Adam. A graph replays kernels on fixed addresses, so the indices of its steps are copied into a buffer
of its own before each replay; that copy, and one replay, are all that the processor does.
"""

__all__ = ["TorchSteps", "capture", "steps_per_graph"]

from collections.abc import Callable
from typing import Any, final

# A graph of this many steps spreads the cost of its launch thin; more of them only take longer to capture.
_MOST_STEPS = 40
# Before a capture: PyTorch asks for some runs on a side stream, which allocate and choose algorithms.
_WARM_UP = 3


def steps_per_graph(n_steps: int) -> int:
    """Return the largest divisor of an epoch's steps that makes a graph of reasonable size."""
    return next(number for number in range(min(_MOST_STEPS, n_steps), 0, -1) if n_steps % number == 0)


def capture(torch: Any, run: Callable[[], object]) -> Callable[[], object]:
    """Record what `run` does as a CUDA graph, after a warm-up that really does it; return the replay."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    replay: Callable[[], object] = graph.replay
    return replay


@final
class TorchSteps:
    """Train a linear layer by batches of one size, starting at zero.

    Parameters
    ----------
    torch : module
        PyTorch.
    X : tensor of shape (n_samples, n_features)
        On the device.
    y : tensor of int64, shape (n_samples,)
        On the device.
    n_classes : int
        Columns of the layer.
    batch_size : int
        Rows of a step.
    learning_rate, eps : float
        Of Adam.
    compiled : bool, default: False
        Whether forward and backward go through ``torch.compile``.
    graph_steps : int, default: 0
        How many steps one CUDA graph holds; 0 is without graphs.
    record : callable, optional
        Instead of :func:`capture`, for tests without a GPU.
    """

    def __init__(
        self,
        torch: Any,
        X: Any,
        y: Any,
        n_classes: int,
        *,
        batch_size: int,
        learning_rate: float,
        eps: float,
        compiled: bool = False,
        graph_steps: int = 0,
        record: Callable[[Any, Callable[[], object]], Callable[[], object]] | None = None,
    ) -> None:
        self._torch, self.X, self.y, self.batch_size = torch, X, y, batch_size
        on_cuda = X.device.type == "cuda"
        self.layer = torch.nn.Linear(X.shape[1], n_classes, device=X.device)
        # On CUDA a fused step counts on the device; `capturable` promises that it also does so within a graph.
        self._optimizer = torch.optim.Adam(
            self.layer.parameters(), lr=learning_rate, eps=eps, fused=True, capturable=on_cuda and graph_steps > 0
        )
        self._loss = torch.compile(self._batch_loss, dynamic=False) if compiled else self._batch_loss
        self.steps_per_call = max(graph_steps, 1)
        self._index: Any = None
        self._replay: Callable[[], object] | None = None
        if graph_steps:
            self._index = torch.arange(graph_steps * batch_size, device=X.device) % X.shape[0]
            self._replay = (record or capture)(torch, lambda: self._steps(self._index))
        self.reset()

    def reset(self) -> None:
        """Go back to the start, in place: a graph knows the addresses only."""
        with self._torch.no_grad():
            for tensor in [*self.layer.parameters(), *self._state_tensors()]:
                tensor.zero_()

    def epoch(self, order: Any) -> None:
        """Take the steps of an epoch; a smaller last batch is left out, which favours PyTorch.

        Parameters
        ----------
        order : tensor of int64, shape (n_samples,)
            On the device.
        """
        rows = self.steps_per_call * self.batch_size
        for start in range(0, order.shape[0] - rows + 1, rows):
            index = order[start : start + rows]
            if self._replay is None:
                self._steps(index)
            else:
                self._index.copy_(index)
                self._replay()

    def _steps(self, index: Any) -> None:
        """Take the steps of some batches in a row."""
        for start in range(0, index.shape[0], self.batch_size):
            # None, not zeros: the backward pass then writes the gradient instead of adding to it.
            self._optimizer.zero_grad(set_to_none=True)
            self._loss(self.layer.weight, self.layer.bias, index[start : start + self.batch_size]).backward()
            self._optimizer.step()

    def _batch_loss(self, weight: Any, bias: Any, index: Any) -> Any:
        """Return the mean loss of a batch."""
        functional = self._torch.nn.functional
        rows, labels = self.X.index_select(0, index), self.y.index_select(0, index)
        return functional.cross_entropy(functional.linear(rows, weight, bias), labels)

    def _state_tensors(self) -> list[Any]:
        """Return Adam's moments and counters."""
        return [tensor for state in self._optimizer.state.values() for tensor in state.values()]
