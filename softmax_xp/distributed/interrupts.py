# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C is for the client: it ends a fit with the model of the last full iteration, which needs the workers once more.

A terminal, and a notebook's "interrupt", send the signal to the whole process group, and so to the workers that a
``LocalCluster`` of this process has started. They would die of it, their nannies would start no others, and the client
would wait for workers in vain.
"""

__all__ = ["ctrl_c_spares_workers"]

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4


@contextmanager
def ctrl_c_spares_workers(client: Any) -> Iterator[None]:
    """Let the workers in the process group of this process ignore Ctrl-C, also those that take the place of others.

    Parameters
    ----------
    client : distributed.Client
        Connected. Workers elsewhere keep their handlers, and so do all of them on Windows, which has no such groups.
    """
    if not hasattr(os, "getpgid"):
        yield
        return
    name, plugin = f"softmax-xp-{uuid4()}", _plugin()
    with suppress(Exception):  # without it a fit is as good, until somebody presses these keys
        client.register_plugin(plugin, name=name)
    try:
        yield
    finally:
        if client.status == "running":
            with suppress(Exception):
                client.unregister_worker_plugin(name)


def _plugin() -> Any:
    """Return what each worker sets up."""
    from distributed import WorkerPlugin

    ours = _group()

    class SparedByCtrlC(WorkerPlugin):  # type: ignore[misc]  # the library may not be installed
        """Lives in the event loop of a worker, which is in the main thread of a process of its own."""

        def setup(self, worker: object) -> None:
            """Ignore the signal."""
            del worker
            self.before: Any = None
            # A worker that is a thread of the client has no handlers.
            if _group() == ours and threading.current_thread() is threading.main_thread():
                self.before = signal.signal(signal.SIGINT, signal.SIG_IGN)

        def teardown(self, worker: object) -> None:
            """Heed it again."""
            del worker
            if self.before is not None:
                signal.signal(signal.SIGINT, self.before)

    return SparedByCtrlC()


def _group() -> tuple[str, int]:
    """Return what the processes of one terminal have in common."""
    return socket.gethostname(), os.getpgid(0)
