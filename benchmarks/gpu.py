# SPDX-License-Identifier: BSD-3-Clause
"""``python -m benchmarks.gpu``: what a CUDA device does, beside what was predicted, in one call of under 8 minutes.

It checks everything against float64 first, then times it against the device's own ceilings and against PyTorch, and
writes JSON and Markdown named after the date and the device. The measuring is done by another process
(``benchmarks.gpu_worker``), because a bad kernel can end a process, or never end: then a new one takes the next
section, and the report says what happened. Where there is no GPU, ``--device cpu --quick`` shows that all of it runs.
"""

__all__ = ["main", "supervise"]

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import sleep, time
from typing import Any, TextIO, final

from benchmarks.gpu_report import PREDICTIONS_FILE, file_stem, predictions_markdown, report_markdown
from benchmarks.gpu_worker import SECTIONS

_ROOT = Path(__file__).parents[1]
_RESULTS = Path(__file__).parent / "results"
_WORKER = (sys.executable, "-m", "benchmarks.gpu_worker")
_POLL_SECONDS = 0.2
# Imports, the device's context, and the first compilation.
_START_SECONDS = 90.0
# Past its time a section starts nothing new; what it has started may take this much longer.
_GRACE_SECONDS = 25.0
_LEAST_SECONDS = 3.0


@final
class _Run:
    """What is known so far, and the process that finds out more."""

    def __init__(self, request: dict[str, Any], names: Sequence[str], save: Callable[["_Run"], object]) -> None:
        self.request, self.names, self.pending, self._save = request, names, list(names), save
        self.start = datetime.now(UTC)
        self.machine: dict[str, Any] = {}
        self.measured: dict[str, float] = {}
        self.wrong: set[str] = set()
        self.sections: dict[str, dict[str, Any]] = {}
        self.current: str | None = None
        self.unavailable = ""
        self._limit = 0.0
        self._unfinished = ""

    def finish(self) -> None:
        """Run processes until no section is left, or no time."""
        while self.pending and not self.unavailable:
            if self.request["deadline"] - time() < _LEAST_SECONDS:
                for name in self.pending:
                    self._fail(name, "not started, the run's time is spent")
                return
            with tempfile.TemporaryDirectory() as folder:
                self._one_process(Path(folder))

    def _one_process(self, folder: Path) -> None:
        """Start a process for what is pending, and read along until it ends or has to be ended."""
        events, log = folder / "events", folder / "log"
        events.touch()
        wanted = list(self.pending)
        request = self.request | {"events": str(events), "sections": wanted, "measured": self.measured}
        self.current, self._limit, self._unfinished = None, time() + _START_SECONDS, ""
        with log.open("w", encoding="utf-8") as output, events.open(encoding="utf-8") as lines:
            process = subprocess.Popen(
                [*_WORKER, json.dumps(request)],
                cwd=_ROOT,
                env=self._environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                status: int | None = None
                while status is None:
                    status = process.poll()
                    self._read(lines)
                    if status is None and time() > min(self._limit, self.request["deadline"] + _GRACE_SECONDS):
                        break
                    sleep(_POLL_SECONDS)
            finally:
                process.kill()
                process.wait()
        # A process that ends by itself, in good order or because its device is broken, has ended a section before.
        reason = "stopped, it took too long" if status is None else f"its process ended with status {status}"
        if self.current is not None:
            self._fail(self.current, self._with_log(reason, log))
            self.pending.remove(self.current)
        elif self.pending == wanted and not self.unavailable:  # it could not even begin, and so would the next one
            self.unavailable = self._with_log(reason, log)
        if self.unavailable:
            for name in self.pending:
                self._fail(name, self.unavailable)

    def _environment(self) -> dict[str, str]:
        """Return the environment of the processes: on a CPU one thread, since nothing is measured there anyway."""
        threads = {} if "cuda" in self.request["device"] else {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return {**os.environ, **threads}

    def _read(self, lines: TextIO) -> None:
        """Take in the new events."""
        *complete, self._unfinished = (self._unfinished + lines.read()).split("\n")
        for line in complete:
            self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        kind = event["event"]
        if kind == "machine":
            self.machine = self.machine or event["machine"]
        elif kind == "unavailable":
            self.unavailable = event["reason"]
        elif kind == "begin":
            self.current, self._limit = event["name"], time() + event["seconds"] + _GRACE_SECONDS
            print(f"{event['name']} ...", flush=True)
        else:
            self.sections[event["name"]] = event["section"]
            self.measured |= event["measured"]
            self.wrong |= set(event["wrong"])
            if kind == "end":
                self.pending.remove(event["name"])
                self.current = None
                self._save(self)  # a run that is ended from outside keeps what it had

    @staticmethod
    def _with_log(reason: str, log: Path) -> str:
        """Add the last words of the process."""
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "; ".join([reason, *[line.strip() for line in lines if line.strip()][-3:]])

    def _fail(self, name: str, reason: str) -> None:
        """Keep what the section had measured, with the reason why there is no more."""
        empty = {"name": name, "title": "", "lines": [], "cells": [], "notes": []}
        self.sections[name] = self.sections.get(name, empty) | {"failure": reason}

    def report(self) -> dict[str, Any]:
        """Return what is written as JSON, as far as it is known."""
        return {
            "date": self.start.isoformat(timespec="seconds"),
            "device": self.request["device"],
            "device_name": self.machine.get("device", self.request["device"]),
            "quick": self.request["quick"],
            "only": [] if set(self.names) == set(SECTIONS) else list(self.names),
            "seconds": (datetime.now(UTC) - self.start).total_seconds(),
            "machine": self.machine,
            "unavailable": self.unavailable,
            "measured": self.measured,
            "wrong": sorted(self.wrong),
            "sections": [self.sections[name] for name in self.names if name in self.sections],
        }


def supervise(
    options: argparse.Namespace, names: Sequence[str], save: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    """Run the sections in other processes; return the report.

    Parameters
    ----------
    options : argparse.Namespace
        Of the command line.
    names : sequence of str
        Which sections.
    save : callable
        Called with the report as it stands after each section.

    Returns
    -------
    dict
        What is written as JSON; see :func:`benchmarks.gpu_report.report_markdown`.
    """
    request = {
        "device": options.device,
        "quick": options.quick,
        "compile": not options.quick if options.compile is None else options.compile,
        "deadline": time() + options.budget,
    }
    run = _Run(request, names, lambda run: save(run.report()))
    try:
        run.finish()
    except KeyboardInterrupt:
        for name in run.pending:
            run._fail(name, "interrupted")
    return run.report()


def main(arguments: Sequence[str] | None = None) -> dict[str, Any] | None:
    """Do what the command line says.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of those of the command line.

    Returns
    -------
    dict or None
        The report; None for ``--predictions``.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.predictions:
        folder = options.out or _RESULTS
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PREDICTIONS_FILE).write_text(predictions_markdown(), encoding="utf-8", newline="\n")
        return None
    if unknown := sorted(set(options.names) - set(SECTIONS)):
        parser.error(f"unknown section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    # A run that measures nothing is written only where it was asked for.
    folder = options.out or (None if options.quick else _RESULTS)
    names = [name for name in SECTIONS if name in options.names or not options.names]
    report = supervise(options, names, partial(_write, folder))
    if not report["machine"]:
        # The device is asked for in the other process alone: a second context here might shut that one out.
        reason = report["unavailable"] or "it was interrupted"
        parser.error(f"nothing was measured: {reason}\n`--device cpu --quick` shows that the script runs.")
    print(f"\n{report_markdown(report)}")
    if (path := _write(folder, report)) is not None:
        print(f"\nwritten: {path} and the same as .json")
    return report


def _write(folder: Path | None, report: dict[str, Any]) -> Path | None:
    """Write both files, and return the path of the Markdown."""
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    stem = file_stem(report)
    (folder / f"{stem}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    path = folder / f"{stem}.md"
    path.write_text(report_markdown(report), encoding="utf-8", newline="\n")
    return path


def _parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.partition("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="SECTION", help=f"any of {', '.join(SECTIONS)}; default: all")
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:1, torch:cuda, ...; cpu with --quick")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, not how fast")
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, help="torch.compile takes part; by default unless --quick"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=f"default: {_RESULTS.relative_to(_ROOT)}")
    parser.add_argument(
        "--budget", type=float, default=440.0, metavar="SECONDS", help="after these nothing new begins; default: 440"
    )
    parser.add_argument(
        "--predictions", action="store_true", help=f"only write {PREDICTIONS_FILE}: an empty column of measurements"
    )
    return parser


if __name__ == "__main__":
    main()
