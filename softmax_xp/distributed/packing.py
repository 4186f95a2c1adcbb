# SPDX-License-Identifier: BSD-3-Clause
"""A pass over the data as bytes: the function with the weights it refers to, and none of the data.

Three kinds of objects stay here, and what there is of them at the destination takes their place: the rows, the targets
and the backend. So what is sent is as large as some vectors of coefficients, and a function that would need all targets
fails there rather than sums over none.
"""

__all__ = ["pack", "source_of_bytes", "unpack", "without_labels"]

import io
import pickle
from types import ModuleType
from typing import Any, NamedTuple, NoReturn, final

from softmax_xp.backend import Backend
from softmax_xp.data.source import Source
from softmax_xp.data.streamed import StreamedRows
from softmax_xp.objectives.remote import ShardPass

_BACKEND, _NAMESPACE, _ROWS, _TARGETS = "backend", "namespace", "rows", "targets"


class _AbsentRows(NamedTuple):
    """The rows of a fit, where only their shape is known."""

    shape: tuple[int, int]


@final
class _AbsentTargets:
    """The targets of a fit, where only their place is known."""

    def __init__(self, backend: Backend) -> None:
        self.labels = backend.xp.zeros((0,), dtype=backend.xp.int64, device=backend.device)

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse everything else: sums over all targets are made before a pass is sent."""
        msg = f"a pass over the data must not use {name} of all targets: compute it before"
        raise AttributeError(msg)


def pack(work: ShardPass) -> bytes:
    """Return a pass as bytes.

    Parameters
    ----------
    work : ShardPass
        With the objective of this process.

    Returns
    -------
    bytes
        For :func:`unpack` in any process that has this package.
    """
    targets = work.linear.targets

    def absent(item: object) -> tuple[Any, ...] | None:
        if isinstance(item, Backend):
            return (_BACKEND,)
        if isinstance(item, ModuleType) and item is work.linear.backend.xp:
            return (_NAMESPACE,)
        if isinstance(item, StreamedRows):
            return _ROWS, item.shape
        return (_TARGETS,) if item is targets else None

    return _dumped(work, absent)


def unpack(payload: bytes, backend: Backend) -> ShardPass:
    """Return the pass of some bytes, which come from a client that this worker trusts: they are code.

    Parameters
    ----------
    payload : bytes
        From :func:`pack`.
    backend : Backend
        Where this process computes.

    Returns
    -------
    ShardPass
        Ready to meet shards.
    """
    there = {_BACKEND: backend, _NAMESPACE: backend.xp, _TARGETS: _AbsentTargets(backend)}
    unpickler = _Unpickler(io.BytesIO(payload))
    unpickler.find = lambda kind, *parts: _AbsentRows(*parts) if kind == _ROWS else there[kind]
    work: ShardPass = unpickler.load()
    return work


def without_labels(source: Source) -> bytes:
    """Return a source as bytes, without its labels, which are sent shard by shard.

    Parameters
    ----------
    source : Source
        Any.

    Returns
    -------
    bytes
        For :func:`source_of_bytes`.
    """
    labels = source.labels
    return _dumped(source, lambda item: (_TARGETS,) if labels is not None and item is labels else None)


def source_of_bytes(payload: bytes) -> Source:
    """Return the source of some bytes.

    Parameters
    ----------
    payload : bytes
        From :func:`without_labels`, of a client that this worker trusts: they are code.

    Returns
    -------
    Source
        Without labels.
    """
    unpickler = _Unpickler(io.BytesIO(payload))
    unpickler.find = lambda *_: None
    source: Source = unpickler.load()
    return source


def _dumped(item: object, absent: Any) -> bytes:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # the library may not be installed
        def persistent_id(self, item: object) -> Any:
            return absent(item)

    buffer = io.BytesIO()
    Pickler(buffer, protocol=5).dump(item)
    return buffer.getvalue()


class _Unpickler(pickle.Unpickler):  # noqa: S301 - of bytes that the client of this cluster sent, as every task is
    """Asks for what stayed behind."""

    find: Any

    def persistent_load(self, identity: tuple[Any, ...]) -> Any:
        """Return what takes the place of an object."""
        return self.find(*identity)
