# SPDX-License-Identifier: BSD-3-Clause
"""How many rows a pass over the data takes at once under a memory budget, and what happens where memory ends.

The memory of a pass has two parts. What it computes row by row (logits, and whatever is made from them) grows with the
rows of a chunk; what a chunk adds to the gradient is as large as the weights, however few its rows. With ``part`` bytes
of the second and ``row`` bytes for a row, `at_once` chunks that are worked on together, and `lanes` partial sums,

    bytes = rows * row * at_once + part * (at_once + lanes + 1)

where the 1 stands for what is made of the gradient beside it: the penalty's share, a packed copy, or the weights in
other coordinates. Small chunks lose, as each reads and writes arrays as large as the weights: rows come first, then
partial sums, then threads. The rows and the partial sums follow from sizes and budget alone, never from the number of
threads, so that this number changes no bit of a result (where chunks are worked on one by one the products are left to
BLAS, whose threads may).
"""

__all__ = [
    "ChunkPlan",
    "Footprint",
    "RowCeiling",
    "check_memory_budget",
    "is_out_of_memory",
    "least_budget",
    "plan_chunks",
    "shrinking",
]

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple, TypeVar, final

from softmax_xp.errors import InvalidTypeError, InvalidValueError
from softmax_xp.threads import UNLIMITED, Limits, lane_count

logger = logging.getLogger("softmax_xp")

_Result = TypeVar("_Result")

# Python's own objects: chunks, threads, tuples.
_FIXED_BYTES = 1 << 16
# Arrays of one number for each sample of a chunk: its place, its weight, its loss, ...
_SAMPLE_BYTES = 128


class Footprint(NamedTuple):
    """What a pass allocates, in bytes."""

    row: int  # for each row of a chunk
    part: int  # of what a chunk adds to the sum
    parts: int = 3  # how many of these there are at least

    @classmethod
    def of(cls, n_features: int, n_classes: int, itemsize: int, *, copies: int, parts: int = 3) -> "Footprint":
        """Return the footprint of a linear model's gradient.

        Parameters
        ----------
        n_features : int
            Of the rows that are converted; 0 for those that are taken as they are.
        n_classes : int
            Columns of the logits.
        itemsize : int
            Bytes of a number.
        copies : int
            How many arrays of the size of the logits there are at once.
        parts : int, default: 3
            How many arrays of the size of the gradient there are at once, with one chunk at a time. 0 for a pass that
            computes none.

        Returns
        -------
        Footprint
            In bytes.
        """
        row = (n_features + copies * n_classes) * itemsize + _SAMPLE_BYTES
        return cls(row, (n_features + 1) * n_classes * itemsize if parts else 0, parts)


class ChunkPlan(NamedTuple):
    """How a pass over the data goes."""

    rows: int  # of a chunk
    limits: Limits = UNLIMITED


def least_budget(footprint: Footprint) -> int:
    """Return the bytes below which not even one row at a time fits.

    Parameters
    ----------
    footprint : Footprint
        Of the pass.

    Returns
    -------
    int
        In bytes.
    """
    return _FIXED_BYTES + footprint.row + footprint.parts * footprint.part


def check_memory_budget(budget: Any, footprint: Footprint | None = None, of: str = "") -> int | None:
    """Return a memory budget as a plain integer, or refuse it.

    Parameters
    ----------
    budget : int or None
        In bytes; None is no budget.
    footprint : Footprint, optional
        Of the pass that must fit.
    of : str, optional
        Describes the problem in the message.

    Returns
    -------
    int or None
        The same.

    Raises
    ------
    InvalidTypeError
        For what is no integer.
    InvalidValueError
        For a number below 1, or too small for one row; the message names the least budget.

    Examples
    --------
    >>> from softmax_xp.ops.memory import check_memory_budget
    >>> check_memory_budget(1 << 30)
    1073741824
    """
    if budget is None:
        return None
    if isinstance(budget, bool) or not isinstance(budget, Integral):
        msg = f"`memory_budget` must be an integer number of bytes or None; got {budget!r}. Pass 1 << 30 for 1 GiB."
        raise InvalidTypeError(msg)
    plain = int(budget)  # host: the user's number
    if plain < 1:
        msg = f"`memory_budget` must be at least 1 byte, or None for no budget; got {plain}. Pass 1 << 30 for 1 GiB."
        raise InvalidValueError(msg)
    if footprint is not None and plain < least_budget(footprint):
        msg = (
            f"`memory_budget` must be at least {least_budget(footprint)} bytes for {of}; got {plain}. Pass more, or "
            "None for no budget."
        )
        raise InvalidValueError(msg)
    return plain


def plan_chunks(footprint: Footprint, wanted: int, budget: int | None) -> ChunkPlan:
    """Return how to go through the data within a budget.

    Parameters
    ----------
    footprint : Footprint
        Of the pass.
    wanted : int
        How many rows a chunk should have if memory allows.
    budget : int or None
        In bytes. One too small for a single row is treated as the least: who takes a budget from a user has checked it.

    Returns
    -------
    ChunkPlan
        Of sizes and the budget alone, whatever the number of threads.

    Examples
    --------
    >>> from softmax_xp.ops.memory import Footprint, plan_chunks
    >>> logits_of_a_million_classes = Footprint.of(8, 1_000_000, 4, copies=1)
    >>> plan_chunks(logits_of_a_million_classes, 67, 1 << 29).rows
    67
    >>> plan_chunks(logits_of_a_million_classes, 67, 1 << 28).rows
    40
    """
    if budget is None:
        return ChunkPlan(wanted)
    row, part, _ = footprint
    spare = max(budget - least_budget(footprint) + row, row)
    rows = max(1, min(wanted, spare // row))
    spare -= rows * row
    if not part:
        return ChunkPlan(rows, Limits(1 + spare // (rows * row)))
    # Half of the rest for partial sums; who has many of them does not wait for others.
    lanes = min(lane_count(part), 1 + spare // (2 * part))
    spare -= part * (lanes - 1)
    return ChunkPlan(rows, Limits(1 + spare // (rows * row + part), lanes))


@final
@dataclass(slots=True)
class RowCeiling:
    """The most rows of a chunk that have turned out to fit; shared by all who work on the same data."""

    rows: int | None = None
    is_told: bool = False

    def lowered(self, rows: int) -> int:
        """Return ``rows``, or the most that fit."""
        return rows if self.rows is None else min(rows, self.rows)


def shrinking(attempt: Callable[[], _Result], ceiling: RowCeiling, rows: Callable[[], int]) -> _Result:
    """Return ``attempt()``; where memory ends, try again with half as many rows in a chunk.

    Parameters
    ----------
    attempt : callable
        Cuts the data by ``rows()``; it leaves nothing behind when it fails.
    ceiling : RowCeiling
        Is lowered, and stays so.
    rows : callable
        Returns how many rows the largest chunk of an attempt has.

    Returns
    -------
    object
        What ``attempt`` returned.
    """
    while True:
        try:
            result = attempt()
        except Exception as error:
            before = rows()
            if not is_out_of_memory(error):
                raise
            if before <= 1:
                error.add_note(
                    "Not even one row at a time fits in memory beside the data, the weights and their gradient. Use "
                    "fewer features or classes, dtype='float32', or a device with more memory."
                )
                raise
            ceiling.rows = before // 2
        else:
            return result
        # What the failed attempt had made is held by its traceback, which is gone now, or by a cycle with it.
        gc.collect()
        if not ceiling.is_told:
            ceiling.is_told = True
            logger.warning(
                "Out of memory with chunks of %d rows: going on with %d, and with fewer if need be. Pass "
                "`memory_budget` to choose how much a pass over the data may allocate.",
                before,
                ceiling.rows,
            )


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether smaller arrays may help.

    NumPy and CuPy raise kinds of MemoryError, PyTorch a RuntimeError of a class of its own, and JAX one with a status
    in its text.

    Parameters
    ----------
    error : Exception
        Whatever was raised.

    Returns
    -------
    bool
        Whether memory had ended.
    """
    if isinstance(error, MemoryError):
        return True
    is_of_torch = type(error).__name__ == "OutOfMemoryError"
    return isinstance(error, RuntimeError) and (is_of_torch or "RESOURCE_EXHAUSTED" in str(error))
