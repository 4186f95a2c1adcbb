# SPDX-License-Identifier: BSD-3-Clause
"""A fit over a file that is larger than the memory it may take: how much it takes, how fast it is, what it finds.

Each fit runs in a process of its own, from storage and from memory in turn. The system's cache holds the file, so that
the disk takes no part. Memory is the largest that the whole process ever held, Python and its libraries included.
"""

__all__ = ["FEATURES", "LARGEST_DIFFERENCE", "MOST_BYTES", "SPEED", "measure"]

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Line, Table, milliseconds, verdict
from softmax_xp.data.npy_source import npy_writer
from softmax_xp.data.order import philox

MOST_BYTES, SPEED, LARGEST_DIFFERENCE = 600 << 20, 0.7, 1e-10
FEATURES, CLASSES = 256, 10
_ROOT = Path(__file__).parents[1]
_CHUNK_ROWS = 1 << 15
# A fit in memory holds the file once beside the system's cache; the rest is for others.
_MEMORY_FOR_EACH_BYTE = 3


def measure(n_bytes: int, rounds: int = 2, folder: Path | None = None) -> Table:
    """Write a file, fit it from storage and from memory, and delete it.

    Parameters
    ----------
    n_bytes : int
        Of the file.
    rounds : int, default: 2
        How often each of the two fits runs; the fastest counts.
    folder : path, optional
        Where the file goes; by default the system's folder for temporary files.

    Returns
    -------
    Table
        One line for each size that was fitted: of a file too large for this machine's memory only the memory is
        measured, and the rest on a part of it.
    """
    title = f"Out of core: a fit of {FEATURES} features and {CLASSES} classes in float32, from an .npy file"
    available, free = available_bytes(), shutil.disk_usage(folder or tempfile.gettempdir()).free
    compared = n_bytes if available is None else min(n_bytes, available // _MEMORY_FOR_EACH_BYTE)
    if free < 1.2 * (n_bytes + (compared if compared < n_bytes else 0)):
        return Table("out_of_core", title, [], [f"skipped: {n_bytes / 2**30:g} GiB do not fit on the disk"])
    notes = [
        "memory: the largest resident size of the process that fits from storage (VmHWM)",
        "speed: the fastest fit from memory over the fastest from storage, the file in the system's cache",
        "difference: the largest between coefficients of the two fits",
    ]
    lines = []
    for size in dict.fromkeys([n_bytes, compared]):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            write_data(Path(name), size // (4 * FEATURES))
            lines.append(_line(Path(name), size, rounds if size == compared else 0))
    if not all(line.record["is_cached"] for line in lines):
        notes.append("the system's cache did not hold the file: the disk is part of the times")
    return Table("out_of_core", title, lines, notes)


def write_data(folder: Path, n_samples: int) -> None:
    """Write ``X.npy`` and ``y.npy``: normal features, and labels that a linear teacher drew."""
    random = philox(0)
    teacher = 0.1 * random.standard_normal((FEATURES, CLASSES), dtype=np.float32)
    labels = np.empty(n_samples, dtype=np.int64)
    with npy_writer(folder / "X.npy", (n_samples, FEATURES), np.float32) as append:
        for start in range(0, n_samples, _CHUNK_ROWS):
            X = random.standard_normal((min(_CHUNK_ROWS, n_samples - start), FEATURES), dtype=np.float32)
            append(X)
            logits = X @ teacher + random.gumbel(size=(X.shape[0], CLASSES))
            labels[start : start + X.shape[0]] = logits.argmax(axis=1)
    np.save(folder / "y.npy", labels)


def available_bytes() -> int | None:
    """Return the memory that is there for the asking; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _line(folder: Path, n_bytes: int, rounds: int) -> Line:
    """Fit from storage, and as often from memory; ``rounds`` 0 is once from storage alone."""
    found: dict[str, list[dict[str, Any]]] = {"storage": [], "memory": []}
    for _ in range(max(rounds, 1)):
        for form in ("storage", "memory") if rounds else ("storage",):
            found[form].append(_fresh_process({"folder": str(folder), "form": form}))
    peaks = [fit["peak_bytes"] for fit in found["storage"] if fit["peak_bytes"] is not None]
    seconds = {form: [fit["seconds"] for fit in fits] for form, fits in found.items()}
    record: dict[str, Any] = {"n_bytes": n_bytes, "peak_bytes": max(peaks, default=None), "seconds": seconds}
    record["is_cached"] = all(fit["is_cached"] for fits in found.values() for fit in fits)
    met = [record["peak_bytes"] is None or record["peak_bytes"] <= MOST_BYTES]
    cells = {
        "file": f"{n_bytes / 2**20:.0f} MiB",
        "memory": "not measured" if record["peak_bytes"] is None else f"{record['peak_bytes'] / 2**20:.0f} MiB",
        "target": f"<= {MOST_BYTES >> 20} MiB",
        "from storage": milliseconds(min(seconds["storage"])),
    }
    if rounds:
        speed = min(seconds["memory"]) / min(seconds["storage"])
        ours, theirs = (np.asarray(found[form][0]["coefficients"]) for form in ("storage", "memory"))
        difference = float(np.abs(ours - theirs).max())
        record |= {"speed": speed, "difference": difference}
        met += [speed >= SPEED, difference <= LARGEST_DIFFERENCE]
        cells |= {
            "from memory": milliseconds(min(seconds["memory"])),
            "speed": f"{speed:.2f}",
            "target ": f">= {SPEED}",
            "difference": f"{difference:.1g}",
            "target  ": f"<= {LARGEST_DIFFERENCE:g}",
        }
    record["met"] = all(met)
    return Line(cells | {"met": verdict(met=all(met))}, record)


def _fresh_process(request: dict[str, Any]) -> dict[str, Any]:
    """Run ``benchmarks.one_streamed_fit`` and return its answer."""
    command = [sys.executable, "-m", "benchmarks.one_streamed_fit", json.dumps(request)]
    answer = subprocess.run(command, check=False, capture_output=True, text=True, cwd=_ROOT)
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result
