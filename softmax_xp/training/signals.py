# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C that waits for the end of a step."""

__all__ = ["StopRequest"]

import logging
import signal
import threading
from types import FrameType
from typing import Any, Self, final

logger = logging.getLogger("softmax_xp")


@final
class StopRequest:
    """Within its ``with`` block, the first Ctrl-C only sets a flag; the next one does what it always does.

    An exception between two bytecodes could find a step half noted down. The flag is looked at between steps, when a
    checkpoint can be written. Handlers belong to the main thread: elsewhere, and where the program has a handler of its
    own for Ctrl-C, nothing is changed.

    Parameters
    ----------
    on_sigterm : bool
        Whether SIGTERM sets the flag too.
    """

    def __init__(self, *, on_sigterm: bool) -> None:
        self.is_made = False
        self._on_sigterm = on_sigterm
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take the handlers over."""
        if threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._note)
            if self._on_sigterm:
                self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        """Give the handlers back."""
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.is_made = True
        self._restore()
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        logger.warning("%s: writing a checkpoint when this step has ended. Again stops at once.", name)

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            # None: it was not installed from Python, and cannot be from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
