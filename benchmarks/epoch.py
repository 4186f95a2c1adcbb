# SPDX-License-Identifier: BSD-3-Clause
"""An epoch of Fashion-MNIST at batch 128 through the Trainer: seconds, and peak memory over the data's own size.

Each measurement is a process of its own. Its memory is counted from just before the data are loaded, when everything
is imported and a small fit has been made, to the peak of the fit; so 1.0 means that nothing but the data is held.
"""

__all__ = ["TARGET", "measure"]

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Line, Table, verdict

TARGET = 1.2
_ROOT = Path(__file__).parents[1]


def measure(device: str, runs: int = 3, n_samples: int | None = None) -> Table:
    """Train for one epoch on pixels stored as bytes, and as float32.

    Parameters
    ----------
    device : str
        Where to compute.
    runs : int, default: 3
        Processes; the median of their seconds is reported, and the largest of their peaks.
    n_samples : int, optional
        Only the first of the images.

    Returns
    -------
    Table
        One line for each way to store the data.
    """
    lines = []
    notes = [
        "memory/data: largest growth of the process, from before loading to the end of the fit, over the data's bytes"
    ]
    notes.append("loading/data: the same from before loading to its end, with files that are unpacked on the way")
    for stored in ("uint8", "float32"):
        request = {"device": device, "stored": stored, "n_samples": n_samples}
        results = [_fresh_process(request) for _ in range(runs)]
        lines.append(_line(stored, results, notes))
    size = "" if n_samples is None else f", first {n_samples} images"
    title = f"Epoch: Trainer at batch 128{size}, computing in float32, on {device}"
    return Table("epoch", title, lines, list(dict.fromkeys(notes)))


def _fresh_process(request: dict[str, Any]) -> dict[str, Any]:
    """Run ``benchmarks.one_epoch`` and return its answer."""
    command = [sys.executable, "-m", "benchmarks.one_epoch", json.dumps(request)]
    answer = subprocess.run(command, check=False, capture_output=True, text=True, cwd=_ROOT)
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    result: dict[str, Any] = json.loads(answer.stdout)
    return result


def _line(stored: str, results: list[dict[str, Any]], notes: list[str]) -> Line:
    """Join the runs."""
    source, first = results[0]["source"], results[0]
    if source == "synthetic":
        notes.append(
            "synthetic: Fashion-MNIST is not installed and cannot be fetched; random bytes of its shape instead"
        )
    if not all(result["is_loading_excluded"] for result in results):
        notes.append("this system cannot forget a peak, so the memory includes that of loading")
    seconds = median(result["seconds"] for result in results)
    memory, loading = _largest(results, "memory_over_data"), _largest(results, "loading_over_data")
    met = None if memory is None else memory <= TARGET
    cells = {
        "data": f"{source} {stored}",
        "size": f"{first['data_bytes'] / 1e6:.1f} MB",
        "epoch": f"{seconds:.2f} s",
        "samples/s": f"{median(result['samples_per_second'] for result in results):.0f}",
        "train accuracy": f"{first['train_accuracy']:.3f}",
        "loading/data": _text(loading),
        "memory/data": _text(memory),
        "target": f"<= {TARGET}",
        "met": "-" if met is None else verdict(met=met),
    }
    record = {
        "stored": stored,
        "target": TARGET,
        "met": met,
        "memory_over_data": memory,
        "seconds": seconds,
        "runs": results,
    }
    return Line(cells, record)


def _largest(results: list[dict[str, Any]], key: str) -> float | None:
    """Return the largest of what the runs measured; None where the system does not tell."""
    measured: list[float] = [result[key] for result in results if result[key] is not None]
    return max(measured) if measured else None


def _text(memory: float | None) -> str:
    """Print a share of the data's size."""
    return "not measured" if memory is None else f"{memory:.2f}"
