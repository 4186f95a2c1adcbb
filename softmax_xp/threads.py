# SPDX-License-Identifier: BSD-3-Clause
"""Threads on the host: who works on which chunk of a pass over the data.

BLAS splits each matrix product over its threads and lets everything between two products run on one. With a thousand
classes the exponentials in between are a fifth of a pass, and leave the other cores idle. So a pass gives each core
chunks of its own, with products on one thread. Chunks are cut by size alone and their results taken in order: how many
of them are worked on at once changes no bit of the result. (What is a single chunk is left to BLAS, whose own threads
may change the last ones.)

A training step is left to BLAS: measured with one and with two threads, its products gain as much as they lose.
"""

__all__ = ["blas_threads", "ordered_map", "single_threaded_products"]

import importlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from itertools import chain, islice
from threading import Lock
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class _Limit:
    """The process's one limit on BLAS: how many asked for it, and the thread numbers before it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.depth = 0
        self.before: list[int] = []


_LIMIT = _Limit()


@cache
def _controller() -> Any:
    """Look for the loaded BLAS libraries once: the search takes milliseconds."""
    return importlib.import_module("threadpoolctl").ThreadpoolController().select(user_api="blas")


def blas_threads() -> int:
    """Return how many threads a matrix product may use now.

    Returns
    -------
    int
        At least 1; what ``OMP_NUM_THREADS``, threadpoolctl or the number of cores say.
    """
    return max((library.num_threads for library in _controller().lib_controllers), default=1)


@contextmanager
def single_threaded_products() -> Iterator[None]:
    """Let each matrix product use one thread, for the whole process, until the last such context ends.

    The limit belongs to the process, and fits may run in several threads at once: whoever comes first sets it and
    whoever leaves last restores it.
    """
    with _LIMIT.lock:
        _LIMIT.depth += 1
        if _LIMIT.depth == 1:
            _LIMIT.before = [library.num_threads for library in _controller().lib_controllers]
            _limit_this_thread()
    try:
        yield
    finally:
        with _LIMIT.lock:
            _LIMIT.depth -= 1
            if _LIMIT.depth == 0:
                for library, n_threads in zip(_controller().lib_controllers, _LIMIT.before, strict=True):
                    _disown(library)
                    library.set_num_threads(n_threads)
                    _disown(library)


def _limit_this_thread() -> None:
    """Hold BLAS to one thread: the process where its pool is shared, this thread where OpenMP keeps one for each."""
    for library in _controller().lib_controllers:
        library.set_num_threads(1)


def _disown(library: Any) -> None:
    """Let any thread set the limit. Newer threadpoolctl gives it to the first that sets it, and ignores all others."""
    clear = getattr(library, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


def ordered_map(function: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int) -> Iterator[_Result]:
    """Yield ``function(item)`` in the order of the items, computed by several threads.

    Parameters
    ----------
    function : callable
        Releases the interpreter for most of its time, as NumPy does.
    items : iterable
        Taken as they are needed, a few ahead: results wait only for those before them.
    threads : int
        How many items to work on at once; 1 computes in the calling thread.

    Yields
    ------
    object
        The results.
    """
    iterator = iter(items)
    first = list(islice(iterator, 2))
    if threads < 2 or len(first) < 2:
        yield from map(function, chain(first, iterator))
        return
    iterator = chain(first, iterator)
    # A pool for each pass costs a tenth of a millisecond, and none is left behind for a forked child to wait for.
    with single_threaded_products(), ThreadPoolExecutor(threads, initializer=_limit_this_thread) as pool:
        waiting: deque[Future[_Result]] = deque()
        for item in islice(iterator, 2 * threads):
            # NumPy's error state is a context variable, which a pool's threads do not inherit.
            waiting.append(pool.submit(copy_context().run, function, item))
        while waiting:
            yield waiting.popleft().result()
            for item in islice(iterator, 1):
                waiting.append(pool.submit(copy_context().run, function, item))
