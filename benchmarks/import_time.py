# SPDX-License-Identifier: BSD-3-Clause
"""What ``import softmax_xp`` costs beyond NumPy's own import, in fresh interpreters."""

__all__ = ["TARGET_SECONDS", "measure"]

import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.report import Line, Table, milliseconds, verdict

TARGET_SECONDS = 0.25
_ROOT = Path(__file__).parents[1]
_SCRIPT = """
from time import perf_counter
start = perf_counter()
import numpy
between = perf_counter()
import softmax_xp
print(between - start, perf_counter() - between)
"""


def measure(runs: int = 15) -> Table:
    """Import both, again and again.

    Parameters
    ----------
    runs : int, default: 15
        Fresh interpreters; one more goes before them, to write the bytecode and to fill the disk cache.

    Returns
    -------
    Table
        One line.
    """
    _one_import()
    pairs = [_one_import() for _ in range(runs)]
    numpy, ours = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    met = ours < TARGET_SECONDS
    least, largest = min(pair[1] for pair in pairs), max(pair[1] for pair in pairs)
    cells = {
        "import": "softmax_xp after numpy",
        "numpy": milliseconds(numpy),
        "softmax_xp": milliseconds(ours),
        "range": f"{milliseconds(least)} to {milliseconds(largest)}",
        "target": f"< {milliseconds(TARGET_SECONDS)}",
        "met": verdict(met=met),
    }
    record = {
        "target": TARGET_SECONDS,
        "met": met,
        "seconds": {"numpy": numpy, "softmax_xp": ours},
        "range": [least, largest],
    }
    title = f"Import time: import softmax_xp beyond NumPy's own import, median of {runs} fresh interpreters"
    return Table("import_time", title, [Line(cells, record)])


def _one_import() -> tuple[float, float]:
    """Return the seconds that NumPy took, and then softmax_xp."""
    answer = subprocess.run([sys.executable, "-c", _SCRIPT], check=True, capture_output=True, text=True, cwd=_ROOT)
    numpy, ours = map(float, answer.stdout.split())
    return numpy, ours
