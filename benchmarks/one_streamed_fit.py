# SPDX-License-Identifier: BSD-3-Clause
"""Fit a file once, from storage or from memory, and print time and memory as JSON. Started by out_of_core, afresh."""

__all__ = ["main"]

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import softmax_xp as sx
from benchmarks.memory import peak_bytes
from softmax_xp.data.open_source import open_source

# A file that was just written, or has not been read for a while, may be on the disk alone.
_MOST_READS, _CACHED_SPEED = 5, 1.2e9


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Fit.

    Parameters
    ----------
    request : dict
        ``folder``, with ``X.npy`` and ``y.npy``; ``form``, "storage" or "memory".

    Returns
    -------
    dict
        Seconds of the fit alone, the largest memory of the process, the coefficients, and whether the system's cache
        held the file before the fit.
    """
    folder = Path(request["folder"])
    warm = np.random.default_rng(0).standard_normal((1000, 20)).astype(np.float32)
    sx.SoftmaxClassifier(device="cpu").fit(warm, np.arange(1000) % 3)  # imports and threads are not the fit's
    y = np.load(folder / "y.npy")
    X: Any = open_source(folder / "X.npy")
    if request["form"] == "memory":
        X = np.load(folder / "X.npy")
    cached = _read_until_cached(folder / "X.npy")
    start = perf_counter()
    model = sx.SoftmaxClassifier(device="cpu").fit(X, y)
    seconds = perf_counter() - start
    coefficients = np.concatenate([model.coef_.ravel(), model.intercept_]).tolist()
    return {"seconds": seconds, "peak_bytes": peak_bytes(), "coefficients": coefficients, "is_cached": cached}


def _read_until_cached(path: Path) -> bool:
    """Read a file until it comes faster than disks are; tell whether it did."""
    buffer = bytearray(1 << 22)
    for _ in range(_MOST_READS):
        start, n_bytes = perf_counter(), 0
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                n_bytes += count
        if n_bytes > _CACHED_SPEED * (perf_counter() - start):
            return True
    return False


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
