# SPDX-License-Identifier: BSD-3-Clause
"""How much memory this process, or the device, holds: without a dependency, from what the system counts."""

__all__ = ["device_pool_bytes", "forget_peak", "peak_bytes", "resident_bytes", "return_free_memory"]

import contextlib
import ctypes
import gc
import importlib
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int | None:
    """Return the resident memory now; None where the system does not tell."""
    return _status("VmRSS")


def peak_bytes() -> int | None:
    """Return the largest resident memory so far, or since :func:`forget_peak` where that works."""
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    try:
        usage = importlib.import_module("resource").getrusage(0)
    except ImportError:  # Windows
        return None
    return int(usage.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> bool:
    """Start counting the peak anew, where the system can; tell whether it did."""
    before = peak_bytes()
    # proc(5): writing 5 resets VmHWM to the present resident size.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        now, after = resident_bytes(), peak_bytes()
        return None not in {before, now, after} and abs(after - now) < 1 << 21  # type: ignore[operator]
    return False


def device_pool_bytes(name: str) -> int | None:
    """Return the memory that a GPU library holds for us at its largest; None on a CPU."""
    if name.startswith("cuda"):
        # CuPy's pool returns nothing by itself, so what it holds is its peak.
        return int(importlib.import_module("cupy").get_default_memory_pool().total_bytes())
    if name.startswith("torch:cuda"):
        return int(importlib.import_module("torch").cuda.max_memory_reserved())
    return None


def _status(key: str) -> int | None:
    """Return a line of the process's status, in bytes."""
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return None


def return_free_memory() -> None:
    """Give memory that is no longer used back to the system, as far as its C library can be told to."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
