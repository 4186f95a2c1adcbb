# SPDX-License-Identifier: BSD-3-Clause
"""Describe the machine and the libraries, for the head of a report."""

__all__ = ["describe", "limit_threads"]

import contextlib
import importlib
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import softmax_xp as sx

_LIBRARIES = ("array-api-compat", "scikit-learn", "torch", "cupy", "jax")


def limit_threads(threads: int | None) -> None:
    """Bound the threads of every library here and in child processes; None leaves each to its own choice."""
    if threads is None:
        return
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    importlib.import_module("threadpoolctl").threadpool_limits(threads)
    with contextlib.suppress(ImportError):
        importlib.import_module("torch").set_num_threads(threads)


def describe(device: str) -> dict[str, Any]:
    """Return the facts that a reader needs to judge the numbers.

    Parameters
    ----------
    device : str
        The device of the run; for a GPU its name and driver are asked for.

    Returns
    -------
    dict of str to str or number
        In the order in which to print them.
    """
    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": _cores(),
        "load at start": _load(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "softmax_xp": " ".join(filter(None, (sx.__version__, _commit()))),
        "NumPy": f"{np.__version__}, BLAS: {_blas()}",
        "threads": _threads(),
    }
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            facts[name] = _version(name)
    if "cuda" in device:
        facts["GPU"] = _ask("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    return facts


def _version(name: str) -> str:
    """Return a library's version; CuPy is published under a name for each CUDA version."""
    for candidate in (name, f"{name}-cuda13x", f"{name}-cuda12x"):
        with contextlib.suppress(PackageNotFoundError):
            return version(candidate)
    raise PackageNotFoundError(name)


def _processor() -> str:
    """Return the processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        return _ask("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or platform.machine()


def _cores() -> int:
    """Return how many logical cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _load() -> str:
    """Return the load average of the last minute, and what to think of it."""
    if sys.platform == "win32":
        return "unknown"
    load = os.getloadavg()[0]
    # Threads that wait for one another, as BLAS's do, suffer most: one busy neighbour can cost a factor of ten.
    return f"{load:.2f}" + (" - BUSY: other programs are part of every number below" if load > 0.5 * _cores() else "")


def _blas() -> str:
    """Return what NumPy was built with."""
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _threads() -> str:
    """Return the size of each thread pool; PyTorch is imported first, since it counts its own."""
    pools = []
    with contextlib.suppress(ImportError):
        pools.append(f"PyTorch {importlib.import_module('torch').get_num_threads()}")
    with contextlib.suppress(ImportError):
        for pool in importlib.import_module("threadpoolctl").threadpool_info():
            architecture = pool.get("architecture")
            kind = f"{pool['internal_api']} ({architecture})" if architecture else pool["internal_api"]
            pools.append(f"{kind} {pool['num_threads']}")
    return ", ".join(dict.fromkeys(pools)) or "unknown"


def _commit() -> str:
    """Return the commit of this checkout, marked where files differ from it."""
    described = _ask("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")
    return f"({described})" if described else ""


def _ask(*command: str) -> str:
    """Return the first line that a program prints, or nothing where it is missing or fails."""
    try:
        answer = subprocess.run(command, capture_output=True, check=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.partition("\n")[0].strip()
