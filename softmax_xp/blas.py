# SPDX-License-Identifier: BSD-3-Clause
"""How many threads a matrix product uses: a number of the whole process, on which several fits must agree.

Passes over the data use the cores themselves, and want each product on one thread; what lies between two passes
(factorisations, one chunk, a large batch) is left to BLAS and all of its threads. BLAS splits a product by their
number, which changes last bits. Two fits at once in two threads of Python would change it under each other's hands, and
neither would end with the bits that it has alone. So the number is a *mode*, "one" or "all", that whoever computes
holds: any number of threads hold one mode together, and who needs the other waits. A fit holds "all" and goes over to
"one" for each of its passes; a long loop without passes calls :func:`give_way`. Where BLAS has one thread in any case,
the two modes are the same and nobody waits.

Threads of one fit hold its mode together, through the context that they inherit.

A fork copies BLAS's locks as they are, and a child whose parent was just multiplying in another thread would wait for
ever at its own first product. So a fork waits until all computations are between two products, as for a third mode.
"""

__all__ = [
    "HostScope",
    "all_threads",
    "blas_threads",
    "give_way",
    "let_go",
    "limit_this_thread",
    "single_threaded_products",
    "thread_share",
]

import importlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from threading import Condition, get_ident
from time import monotonic
from typing import Any, Literal, Self

_Mode = Literal["one", "all"]

# Nobody computes so long without giving way. After it the caller goes on: last bits are worth less than a hang.
_PATIENCE_SECONDS = 600.0
# A fork is not worth that.
_FORK_PATIENCE_SECONDS = 30.0

# How many threads a pass may use, where someone else has dealt out the cores.
_SHARE: ContextVar[int | None] = ContextVar("softmax_xp_thread_share", default=None)


@contextmanager
def thread_share(threads: int) -> Iterator[None]:
    """Let passes over the data use so many threads, whatever BLAS is set to: a worker of a cluster has its share.

    Parameters
    ----------
    threads : int
        At least 1.
    """
    token = _SHARE.set(threads)
    try:
        yield
    finally:
        _SHARE.reset(token)


@cache
def _controller() -> Any:
    """Look for the loaded BLAS libraries once: the search takes milliseconds."""
    return importlib.import_module("threadpoolctl").ThreadpoolController().select(user_api="blas")


def _numbers() -> list[int]:
    """Return the number of threads of each BLAS library."""
    return [library.num_threads for library in _controller().lib_controllers]


def blas_threads() -> int:
    """Return how many threads a pass may use now.

    Returns
    -------
    int
        What :func:`thread_share`, ``OMP_NUM_THREADS``, threadpoolctl or the number of cores say, whatever other
        computations hold; 1 in a computation that holds BLAS to one thread.
    """
    share = _SHARE.get()  # host: a number of this process
    if share is not None:
        return share
    hold = _held()
    if hold is not None and hold.mode == "one":
        return 1
    before = _STATE.before
    return max(_numbers() if before is None else before, default=1)


def limit_this_thread() -> None:
    """Hold BLAS to one thread: the process where its pool is shared, this thread where OpenMP keeps one for each."""
    for library in _controller().lib_controllers:
        library.set_num_threads(1)


class _State:
    """The process's one mode, and who holds it and who waits."""

    def __init__(self) -> None:
        self.change = Condition()
        self.mode: _Mode = "all"
        self.holders = 0
        self.waiting: dict[_Mode, int] = {"one": 0, "all": 0}
        self.forking = 0
        self.before: list[int] | None = None  # the thread numbers, while they are limited to one

    def acquire(self, mode: _Mode) -> None:
        """Take part in a mode, once all who hold the other have let go."""
        with self.change:
            if self._must_wait(mode):
                self._wait(mode)
            self.holders += 1
            if self.holders == 1:
                self._set(mode)

    def release(self) -> None:
        """Take part no longer."""
        with self.change:
            self.holders -= 1
            if self.holders == 0:
                self._restore()
                self.change.notify_all()

    def _wait(self, mode: _Mode) -> None:
        """Wait for a mode, but not for ever."""
        self.waiting[mode] += 1
        until = monotonic() + _PATIENCE_SECONDS
        try:
            while self._must_wait(mode) and self.change.wait(max(until - monotonic(), 0.0)):
                pass
        finally:
            self.waiting[mode] -= 1
            self.change.notify_all()  # someone may have waited for this one's turn

    def begin_fork(self) -> None:
        """Wait until nobody but the caller computes, and let nobody begin."""
        self.change.acquire()
        hold = _held()
        own = 0 if hold is None or hold.mode is None else 1
        if self.holders > own and not self._is_trivial():
            self.forking += 1
            until = monotonic() + _FORK_PATIENCE_SECONDS
            try:
                while self.holders > own and self.change.wait(max(until - monotonic(), 0.0)):
                    pass
            finally:
                self.forking -= 1

    def end_fork(self) -> None:
        """Let others go on, in the parent."""
        self.change.notify_all()
        self.change.release()

    def _must_wait(self, mode: _Mode) -> bool:
        """Tell whether the other mode is held, or has the next turn."""
        if self.forking:
            return True
        if self.mode == mode:
            return self.waiting["one" if mode == "all" else "all"] > 0 and not self._is_trivial()
        return self.holders > 0 and not self._is_trivial()

    def _is_trivial(self) -> bool:
        """Tell whether BLAS has one thread in any case."""
        return max(_numbers() if self.before is None else self.before, default=1) == 1

    def _set(self, mode: _Mode) -> None:
        self.mode = mode
        if mode == "one":
            self.before = _numbers()
            _set_numbers([1] * len(self.before))

    def _restore(self) -> None:
        """Give BLAS its threads back."""
        before, self.before = self.before, None
        if before is not None:
            _set_numbers(before)


def _set_numbers(numbers: list[int]) -> None:
    """Set the number of threads of each BLAS library."""
    for library, number in zip(_controller().lib_controllers, numbers, strict=True):
        _disown(library)
        library.set_num_threads(number)
        _disown(library)


def _disown(library: Any) -> None:
    """Let any thread set the number. Newer threadpoolctl gives that to the first who does, and ignores all others."""
    clear = getattr(library, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


_STATE = _State()


def _begin_anew() -> None:
    """Forget, in a forked child, what threads held that it does not have."""
    global _STATE
    before, _STATE = _STATE, _State()
    _STATE.before = before.before
    _STATE._restore()


def _before_fork() -> None:
    _STATE.begin_fork()


def _after_fork() -> None:
    _STATE.end_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_begin_anew)


class _Hold:
    """What a computation holds: one of the modes, or nothing while it lets go."""

    __slots__ = ("mode", "state", "thread")

    def __init__(self, mode: _Mode) -> None:
        self.thread, self.state = get_ident(), _STATE
        self.mode: _Mode | None = None
        self.take(mode)

    def take(self, mode: _Mode) -> None:
        """Hold a mode in place of what was held."""
        self.drop()
        self.state.acquire(mode)
        self.mode = mode

    def drop(self) -> None:
        """Hold nothing."""
        if self.mode is not None:
            self.mode = None
            self.state.release()


_HELD: ContextVar[_Hold | None] = ContextVar("softmax_xp_held_mode", default=None)


def _held() -> _Hold | None:
    """Return what this thread's computation holds; nothing of a parent from which this process was forked."""
    hold = _HELD.get()  # host: of this thread
    return hold if hold is not None and hold.state is _STATE else None


class _Holding:
    """A context in which a mode is held; within another such context its mode, but that "all" goes over to "one"."""

    __slots__ = ("goes_over", "hold", "mode", "outer")

    def __init__(self, mode: _Mode) -> None:
        self.mode = mode
        self.hold: _Hold | None = None

    def __enter__(self) -> Self:
        hold = _held()
        if hold is None or hold.mode is None:
            self.outer, self.goes_over = _HELD.get(), False  # host: of this thread
            self.hold = _Hold(self.mode)
            _HELD.set(self.hold)
        elif self.mode == "one" and hold.mode == "all" and hold.thread == get_ident():
            self.goes_over = True
            self.hold = hold
            hold.take("one")
        return self

    def __exit__(self, *error: object) -> None:
        hold, self.hold = self.hold, None
        if hold is None:
            return
        if self.goes_over:
            hold.take("all")
        else:
            hold.drop()
            _HELD.set(self.outer)


def single_threaded_products() -> _Holding:
    """Return a context in which each matrix product uses one thread, in the whole process."""
    return _Holding("one")


def all_threads() -> _Holding:
    """Return a context in which nobody changes how many threads a matrix product uses."""
    return _Holding("all")


class HostScope(_Holding):
    """A computation on the host, within another context; entered so often that a small fit would feel an ExitStack."""

    __slots__ = ("silent",)

    def __init__(self, silent: AbstractContextManager[Any]) -> None:
        super().__init__("all")
        self.silent = silent

    def __enter__(self) -> Self:
        """Enter both."""
        super().__enter__()
        self.silent.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave both."""
        self.silent.__exit__(None, None, None)
        super().__exit__()


def give_way() -> None:
    """Let others have their turn: for loops that hold a mode long, between two steps that do not share bits."""
    state = _STATE
    if state.waiting["one"] or state.waiting["all"] or state.forking:
        hold = _held()
        if hold is not None and hold.mode is not None and hold.thread == get_ident():
            hold.take(hold.mode)


@contextmanager
def let_go() -> Iterator[None]:
    """Hold nothing meanwhile: for calls that may wait for other threads, such as the user's functions."""
    hold = _held()
    mode = None if hold is None or hold.thread != get_ident() else hold.mode
    if hold is None or mode is None:
        yield
        return
    hold.drop()
    try:
        yield
    finally:
        hold.take(mode)
