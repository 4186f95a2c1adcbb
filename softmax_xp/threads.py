# SPDX-License-Identifier: BSD-3-Clause
"""Threads on the host: who works on which chunk of a pass over the data.

BLAS splits each matrix product over its threads and lets everything between two products run on one. With a thousand
classes the exponentials in between are a fifth of a pass, and leave the other cores idle. So a pass gives each core
chunks of its own, with products on one thread. Chunks are cut by size alone and their results taken in order: how many
of them are worked on at once changes no bit of the result. (What is a single chunk is left to BLAS, the number of whose
threads may change the last ones; see :mod:`softmax_xp.blas`.)

A training step is left to BLAS: measured with one and with two threads, its products gain as much as they lose.
"""

__all__ = [
    "UNLIMITED",
    "Limits",
    "added",
    "lane_count",
    "ordered_map",
    "ordered_sum",
]

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import reduce
from itertools import chain, islice
from threading import Condition, Lock, Thread
from typing import Any, NamedTuple, TypeVar

from softmax_xp.blas import all_threads, let_go, limit_this_thread, single_threaded_products

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Partial sums of a pass: enough for the threads not to wait for one another, and small beside what a fit holds.
_LANES_BYTES, _MOST_LANES = 1 << 24, 8


class Limits(NamedTuple):
    """What memory has room for, in a pass over the data."""

    at_once: int = sys.maxsize  # how many chunks may be worked on
    lanes: int = sys.maxsize  # how many partial sums there may be


UNLIMITED = Limits()


def ordered_map(function: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int) -> Iterator[_Result]:
    """Yield ``function(item)`` in the order of the items, computed by several threads.

    Parameters
    ----------
    function : callable
        Releases the interpreter for most of its time, as NumPy does.
    items : iterable
        Taken as they are needed, a few ahead: results wait only for those before them. Those of other processes, see
        :mod:`softmax_xp.objectives.remote`, are computed there.
    threads : int
        How many items to work on at once; 1 computes in the calling thread, 0 does so without a word to BLAS.

    Yields
    ------
    object
        The results.
    """
    if hasattr(items, "results_of"):
        with let_go():  # the workers may be threads of this process
            results = list(items.results_of(function))
        yield from results
        return
    iterator = iter(items)
    first = list(islice(iterator, 2))
    if threads < 2 or len(first) < 2:
        with _products(threads, len(first)):
            yield from map(function, chain(first, iterator))
        return
    iterator = chain(first, iterator)
    # A pool for each pass costs a tenth of a millisecond, and none is left behind for a forked child to wait for.
    with single_threaded_products(), ThreadPoolExecutor(threads, initializer=limit_this_thread) as pool:
        waiting: deque[Future[_Result]] = deque()
        for item in islice(iterator, 2 * threads):
            # NumPy's error state is a context variable, which a pool's threads do not inherit.
            waiting.append(pool.submit(copy_context().run, function, item))
        while waiting:
            yield waiting.popleft().result()
            for item in islice(iterator, 1):
                waiting.append(pool.submit(copy_context().run, function, item))


def _products(threads: int, n_items: int) -> AbstractContextManager[Any]:
    """Return the context in which several items are computed, or the only one."""
    if threads == 0:
        return nullcontext()
    return single_threaded_products() if n_items > 1 else all_threads()


def lane_count(n_bytes: int) -> int:
    """Return in how many partial sums terms of this size are added, in bytes."""
    return min(max(_LANES_BYTES // max(n_bytes, 1), 1), _MOST_LANES)


def ordered_sum(
    function: Callable[[_Item], tuple[Any, ...]], items: Iterable[_Item], *, threads: int, lanes: int = sys.maxsize
) -> tuple[Any, ...]:
    """Return the sum of ``function(item)``, place by place, added by the threads that computed the terms.

    The terms are dealt out to several partial sums in turn, lanes, and these are added at the end. How many there are
    depends on the size of a term alone. A thread waits only for the term before its own in the same lane; with one
    lane for all it would wait so often that the scheduler puts two threads on one core, and half of the gain is lost.

    Parameters
    ----------
    function : callable
        Returns arrays, numbers and None. The arrays are given up: each has memory of its own. It should release the
        interpreter for most of its time, as NumPy does.
    items : iterable
        At least one; each is taken when a thread is free. Those of other processes are summed there.
    threads : int
        How many items to work on at once; the calling thread is one of them. 0 is 1 without a word to BLAS.
    lanes : int, optional
        The most partial sums, where memory has no room for as many as :func:`lane_count` says.

    Returns
    -------
    tuple
        The same, to the last bit, for any number of threads. None stays None.

    Examples
    --------
    >>> from softmax_xp.threads import ordered_sum
    >>> ordered_sum(lambda number: (number, None, str(number)), range(10), threads=4)
    (45, None, '0819234567')
    """
    if hasattr(items, "sum_of"):
        with let_go():  # the workers may be threads of this process
            return tuple(items.sum_of(function))
    iterator = iter(items)
    first = list(islice(iterator, 2))
    shared = _SharedSum(function, chain(first, iterator), lanes)
    with _products(threads, len(first)):
        # Threads of one call only: none is left behind for a forked child to wait for. NumPy's error state is a context
        # variable, which threads do not inherit.
        others = [
            Thread(target=copy_context().run, args=(shared.help,), daemon=True)
            for _ in range(threads - 1 if len(first) > 1 else 0)
        ]
        for thread in others:
            thread.start()
        try:
            shared.work()
        finally:  # after Ctrl-C the others finish the item that they are at
            for thread in others:
                thread.join()
    if shared.error is not None:
        raise shared.error
    return reduce(added, [term for term in shared.sums if term is not None])


def added(total: tuple[Any, ...], term: tuple[Any, ...]) -> tuple[Any, ...]:
    """Add a term to a sum, place by place, in place where the library can; both are given up.

    Parameters
    ----------
    total, term : tuple
        Of arrays, numbers and None, which stays None.

    Returns
    -------
    tuple
        Their sum.
    """
    sums: list[Any] = []
    for ours, theirs in zip(total, term, strict=True):
        if ours is not None:
            ours += theirs  # noqa: PLW2901 - scalars and JAX's arrays are bound anew
        sums.append(ours)
    return tuple(sums)


class _SharedSum:
    """What the threads of one sum share."""

    def __init__(self, function: Callable[[Any], tuple[Any, ...]], items: Iterator[Any], most_lanes: int) -> None:
        self.function, self.items, self.most_lanes = function, enumerate(items), most_lanes
        self.taking = Lock()
        self.change = Condition()
        self.n_lanes = 0  # until the first term is there
        self.sums: list[tuple[Any, ...] | None] = []
        self.added: list[int] = []
        self.error: BaseException | None = None
        self.stopped = False

    def help(self) -> None:
        """Do a part of the work, in a thread of its own."""
        limit_this_thread()
        self.work()

    def work(self) -> None:
        """Take items until there is none left; never raises, but for Ctrl-C in the main thread."""
        try:
            while not self.stopped:
                with self.taking:
                    number, item = next(self.items, (-1, None))
                if number < 0:
                    return
                self._enter(number, self.function(item))
        except Exception as error:  # noqa: BLE001 - raised again by the caller
            self._stop(error)
        except BaseException:
            self._stop(None)
            raise

    def _enter(self, number: int, term: tuple[Any, ...]) -> None:
        """Add a term to its lane, when its turn has come."""
        if number == 0:
            n_bytes = sum(getattr(array, "nbytes", 0) for array in term)
            n_lanes = min(lane_count(n_bytes), self.most_lanes)
            with self.change:
                self.n_lanes, self.sums, self.added = n_lanes, [None] * n_lanes, [0] * n_lanes
                self.sums[0], self.added[0] = term, 1
                self.change.notify_all()
            return
        with self.change:
            while not self.stopped and (not self.n_lanes or self.added[number % self.n_lanes] < number // self.n_lanes):
                self.change.wait()
            if self.stopped:
                return
            lane = number % self.n_lanes
        total = self.sums[lane]
        self.sums[lane] = term if total is None else added(total, term)
        with self.change:
            self.added[lane] += 1
            self.change.notify_all()

    def _stop(self, error: BaseException | None) -> None:
        """Let nobody wait for what will not come."""
        with self.change:
            self.error = self.error or error
            self.stopped = True
            self.change.notify_all()
