# SPDX-License-Identifier: BSD-3-Clause
"""The largest memory of a fit over the data's own size, each fit in a process of its own.

Memory is that of the data and what the process grows by from just before the fit, when everything is imported, a small
fit has been made, and what making the data has freed is returned to the system, to the peak of the fit; so 1.0 means
that nothing but the data is held.
"""

__all__ = ["CONTESTANTS", "DATA", "DTYPES", "TARGET", "measure"]

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Line, Table, milliseconds, verdict

TARGET = 1.15
# Ours by its solver, and the peer's default.
CONTESTANTS = ("auto", "lbfgs", "newton-cg", "scikit-learn")
DATA = ("random 200000 x 200 x 10", "fashion-mnist")
DTYPES = ("float32", "float64")
_ROOT = Path(__file__).parents[1]


def measure(
    device: str,
    data: Sequence[str] = DATA,
    dtypes: Sequence[str] = DTYPES,
    contestants: Sequence[str] = CONTESTANTS,
) -> Table:
    """Fit, in a fresh process for each line.

    Parameters
    ----------
    device : str
        Where ours computes.
    data : sequence of str, optional
        "random N x D x C", or a name of `benchmarks.datasets`.
    dtypes : sequence of str, optional
        Of the samples.
    contestants : sequence of str, optional
        Solvers of ours, or "scikit-learn".

    Returns
    -------
    Table
        One line for each fit.
    """
    lines, notes = [], ["memory/data: 1 + the largest growth of the process during the fit / the size of the data"]
    for name in data:
        for dtype in dtypes:
            for contestant in contestants:
                request = {"data": name, "dtype": dtype, "contestant": contestant, "device": device}
                lines.append(_line(request, _fresh_process(request), notes))
    title = f"Memory: peak of a fit over the size of X and y, ours on {device}"
    return Table("memory", title, lines, list(dict.fromkeys(notes)))


def _fresh_process(request: dict[str, Any]) -> dict[str, Any]:
    """Run ``benchmarks.one_fit`` and return its answer."""
    command = [sys.executable, "-m", "benchmarks.one_fit", json.dumps(request)]
    answer = subprocess.run(command, check=False, capture_output=True, text=True, cwd=_ROOT)
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result


def _line(request: dict[str, Any], result: dict[str, Any], notes: list[str]) -> Line:
    """Hold one fit against the target, which is for ours alone."""
    is_ours = request["contestant"] != "scikit-learn"
    if "skipped" in result:
        notes.append(f"{request['data']}: skipped, {result['skipped']}")
        return Line({"data": request["data"], "dtype": request["dtype"], "fit": "skipped"}, request | result)
    if not result["is_loading_excluded"]:
        notes.append("this system cannot forget a peak, so the memory includes that of loading")
    memory = result["memory_over_data"]
    met = None if memory is None or not is_ours else memory <= TARGET
    cells = {
        "data": request["data"],
        "dtype": request["dtype"],
        "fit": f"ours, {request['contestant']}" if is_ours else "scikit-learn, lbfgs",
        "size": f"{result['data_bytes'] / 1e6:.1f} MB",
        "time": milliseconds(result["seconds"]),
        "memory/data": "not measured" if memory is None else f"{memory:.3f}",
        "target": f"<= {TARGET}" if is_ours else "-",
        "met": "-" if met is None else verdict(met=met),
    }
    return Line(cells, request | result | {"target": TARGET if is_ours else None, "met": met})
