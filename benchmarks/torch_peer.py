# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch as a peer: its eager training step as its users write it, and where it can take part."""

__all__ = ["TorchStep", "torch_beside", "torch_device"]

import importlib
from typing import Any, final

from softmax_xp.backend import Backend


def torch_beside(backend: Backend) -> tuple[Any, str]:
    """Return PyTorch where it can compute on the same kind of device, else None and the reason."""
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        return None, str(error)
    if backend.name.startswith("jax"):
        return None, "it is a peer on NumPy's, CuPy's and its own devices only"
    if "cuda" in backend.name and not torch.cuda.is_available():
        return None, "this build sees no CUDA device"
    return torch, ""


def torch_device(backend: Backend) -> str:
    """Return PyTorch's name for the device of a backend."""
    return backend.name.removeprefix("torch:") if "cuda" in backend.name else "cpu"


@final
class TorchStep:
    """A linear layer, cross-entropy and the fused Adam, on rows that are gathered by index.

    Parameters
    ----------
    torch : module
        PyTorch.
    device : str
        See :func:`torch_device`.
    X : host array of shape (n_samples, n_features)
        Moved to the device once.
    y : host array of int, shape (n_samples,)
        Likewise.
    n_classes : int
        Columns of the layer.
    learning_rate : float
        Of Adam.
    compiled : bool, default: False
        Whether the gather, the layer, the loss and their gradient go through ``torch.compile``.
    """

    def __init__(
        self, torch: Any, device: str, X: Any, y: Any, n_classes: int, learning_rate: float, *, compiled: bool = False
    ) -> None:
        self._cross_entropy = torch.nn.functional.cross_entropy
        self._loss = torch.compile(self._batch_loss, dynamic=False) if compiled else self._batch_loss
        self.X = torch.from_numpy(X).to(device)
        self.y = torch.from_numpy(y).to(device)
        self.layer = torch.nn.Linear(X.shape[1], n_classes, device=device)
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.bias.zero_()
        self._optimizer = torch.optim.Adam(self.layer.parameters(), lr=learning_rate, fused=True)

    def __call__(self, index: Any) -> None:
        """Take one step on the rows named in ``index``, a tensor on the device."""
        self._optimizer.zero_grad()
        self._loss(index).backward()
        self._optimizer.step()

    def _batch_loss(self, index: Any) -> Any:
        # index_select is twice as fast as X[index] on a CPU, so this is the stronger peer.
        rows, labels = self.X.index_select(0, index), self.y.index_select(0, index)
        return self._cross_entropy(self.layer(rows), labels)
