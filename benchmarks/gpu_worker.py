# SPDX-License-Identifier: BSD-3-Clause
"""Run sections of the GPU benchmark in this process. Started by ``benchmarks.gpu``, which outlives whatever happens.

A kernel that writes where it must not ends every later call of its process with the same error, and a crash or a
hang ends more than that. So the sections run in a process of their own, which appends what it knows to a file, line
by line of JSON; whoever started it reads along, and starts another one for the sections that are left.
"""

__all__ = ["BROKEN", "SECTIONS", "UNAVAILABLE", "Section", "main"]

import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import time
from types import MappingProxyType
from typing import Any, NamedTuple

import softmax_xp as sx
from benchmarks.gpu_bench import FULL, QUICK, Bench, describe
from benchmarks.gpu_ceilings import measure_call_cost, measure_ceilings
from benchmarks.gpu_cross_entropy import measure_cross_entropy
from benchmarks.gpu_errors import measure_cross_entropy_errors, measure_full_batch_errors, measure_training_errors
from benchmarks.gpu_full_batch import measure_large, measure_small
from benchmarks.gpu_machine import gpu_facts
from benchmarks.gpu_many_classes import measure_many
from benchmarks.gpu_minibatch import measure_minibatch
from benchmarks.gpu_update import measure_update
from softmax_xp.backend import Backend
from softmax_xp.errors import InvalidValueError, SoftmaxXPError

# The exit statuses of a process whose device does not compute any more, and of one that has no device.
BROKEN, UNAVAILABLE = 3, 4


class Section(NamedTuple):
    """What to measure, and how many seconds it may start new contestants for."""

    measure: Callable[[Bench], None]
    seconds: float


# In this order: what must be right comes before what is timed, and what a target needs before what it does not.
SECTIONS: Mapping[str, Section] = MappingProxyType({
    "cross_entropy_errors": Section(measure_cross_entropy_errors, 20),
    "full_batch_errors": Section(measure_full_batch_errors, 20),
    "training_errors": Section(measure_training_errors, 15),
    "ceilings": Section(measure_ceilings, 25),
    "call_cost": Section(measure_call_cost, 5),
    "small": Section(measure_small, 45),
    "large": Section(measure_large, 50),
    "cross_entropy": Section(measure_cross_entropy, 75),
    "many": Section(measure_many, 30),
    "minibatch": Section(measure_minibatch, 110),
    "update": Section(measure_update, 15),
})


def main(request: Mapping[str, Any]) -> int:
    """Run the sections that were asked for.

    Parameters
    ----------
    request : mapping
        ``device``, ``quick``, ``compile``, ``sections`` (names), ``measured`` (by earlier processes), ``deadline``
        (of the run, in seconds of :func:`time.time`) and ``events``, the file to write to.

    Returns
    -------
    int
        The exit status: 0, ``BROKEN`` where the device stopped computing and another process should go on, or
        ``UNAVAILABLE`` where there is none.
    """
    events = Path(request["events"])
    try:
        backend = _backend(request)
    except SoftmaxXPError as error:
        _append(events, {"event": "unavailable", "reason": str(error)})
        return UNAVAILABLE

    def announce(bench: Bench) -> None:
        _write(events, "progress", bench)

    bench = Bench(
        backend,
        QUICK if request["quick"] else FULL,
        with_compile=request["compile"],
        measured=request["measured"],
        announce=announce,
    )
    with backend.scope():
        _append(events, {"event": "machine", "machine": gpu_facts(bench)})
        for name in request["sections"]:
            deadline = min(request["deadline"], time() + SECTIONS[name].seconds)
            bench.begin(name, deadline)
            _append(events, {"event": "begin", "name": name, "seconds": deadline - time()})
            failure = _run(bench, name)
            _write(events, "end", bench, failure)
            if not bench.is_healthy():
                return BROKEN
            with suppress(Exception):
                bench.release()
    return 0


def _backend(request: Mapping[str, Any]) -> Backend:
    """Return the device; the full sizes are for a GPU alone."""
    backend = sx.get_backend(request["device"])
    if "cuda" not in backend.name and not request["quick"]:
        msg = f"`--device` must be a CUDA device for the full sizes; got {backend.name!r}. Pass --quick as well."
        raise InvalidValueError(msg)
    return backend


def _run(bench: Bench, name: str) -> str:
    """Run one section; return what ended it early, or nothing."""
    handler = _Notes(bench)
    logger = logging.getLogger("softmax_xp")
    logger.addHandler(handler)
    try:
        SECTIONS[name].measure(bench)
        bench.clock.synchronise()  # an error of a kernel may show only now
    except Exception as error:  # noqa: BLE001 - it becomes part of the report, and the next section runs
        return describe(error)
    finally:
        logger.removeHandler(handler)
    return ""


class _Notes(logging.Handler):
    """Turn the package's warnings, such as a fall-back to slower code, into notes."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(logging.WARNING)
        self._bench = bench

    def emit(self, record: logging.LogRecord) -> None:
        self._bench.note(f"softmax_xp warned: {record.getMessage()}")


def _write(events: Path, event: str, bench: Bench, failure: str = "") -> None:
    """Append the section as it stands."""
    table = bench.table
    section = table.to_dict() | {"cells": [dict(line.cells) for line in table.lines], "failure": failure}
    line = {"event": event, "name": table.name, "section": section}
    _append(events, line | {"measured": bench.measured, "wrong": sorted(bench.wrong)})


def _append(events: Path, line: Mapping[str, Any]) -> None:
    """Append one line; it is complete, or the parent does not read it."""
    with events.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, default=str) + "\n")


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
