# SPDX-License-Identifier: BSD-3-Clause
"""The GPU and the libraries, for the head of the report."""

__all__ = ["gpu_facts", "gpu_name"]

import importlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from benchmarks import machine
from benchmarks.gpu_bench import Bench


def gpu_name(bench: Bench) -> str:
    """Return the device's own name, or the processor's."""
    if bench.uses_cupy:
        name = _cupy_properties(bench)["name"]
        return name.decode() if isinstance(name, bytes) else str(name)
    if bench.is_cuda:
        return str(bench.torch.cuda.get_device_name(bench.backend.device))
    return f"{bench.backend.name} {machine.describe('cpu')['processor']}"


def gpu_facts(bench: Bench) -> dict[str, Any]:
    """Return what a reader needs to judge the numbers.

    Parameters
    ----------
    bench : Bench
        On the device of the run.

    Returns
    -------
    dict of str to str or number
        In the order in which to print them.
    """
    facts: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": gpu_name(bench),
        "device string": bench.backend.name,
    }
    for describe in (_cupy_facts, _torch_facts, _kernels):
        with suppress(Exception):  # a fact that a library of another version cannot tell is no reason to stop
            facts |= describe(bench)
    return facts | machine.describe(bench.backend.name)


def _cupy_properties(bench: Bench) -> dict[str, Any]:
    """Return what the CUDA runtime says of the device."""
    properties: dict[str, Any] = importlib.import_module("cupy").cuda.runtime.getDeviceProperties(
        bench.backend.device.id
    )
    return properties


def _cupy_facts(bench: Bench) -> dict[str, Any]:
    """Return the properties of the device and of CUDA, as CuPy sees them."""
    if not bench.uses_cupy:
        return {}
    runtime, properties = importlib.import_module("cupy").cuda.runtime, _cupy_properties(bench)
    return {
        "compute capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory": f"{properties['totalGlobalMem'] / 2**30:.1f} GiB",
        "L2 cache": f"{properties['l2CacheSize'] / 2**20:.0f} MiB",
        "CUDA": f"driver {_version(runtime.driverGetVersion())}, runtime {_version(runtime.runtimeGetVersion())}",
    }


def _torch_facts(bench: Bench) -> dict[str, Any]:
    """Return what PyTorch was built with."""
    if bench.torch is None:
        return {"PyTorch": f"none: {bench.torch_reason}"}
    return {"PyTorch": f"{bench.torch.__version__}, CUDA {bench.torch.version.cuda}"}


def _kernels(bench: Bench) -> dict[str, Any]:
    """Name the kernels that ours may find for its arrays: "ours" and "ours without kernels" differ in these alone."""
    library = type(bench.xp.ones(1, device=bench.backend.device)).__module__.partition(".")[0]
    table = importlib.import_module("softmax_xp.kernels").KERNELS
    names = sorted(name for name, of_library in table if of_library == library)
    return {"kernels": ", ".join(names) or f"none for {library}"}


def _version(number: int) -> str:
    """Print CUDA's version number: 13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"
