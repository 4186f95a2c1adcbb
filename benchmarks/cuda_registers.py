# SPDX-License-Identifier: BSD-3-Clause
"""``python -m benchmarks.cuda_registers [--write]``: registers of each CUDA kernel, compared with the committed table.

Registers decide how many threads a multiprocessor holds, and so how much of the memory's latency is hidden. A compiler
that runs out of them moves numbers to memory ("spills"), silently. Neither needs a GPU to be seen. The numbers belong
to one version of the compiler, which the table names.
"""

__all__ = ["ARCHITECTURES", "TABLE", "compiler_version", "label_of", "main", "measure", "texts"]

import argparse
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.nvrtc import Compiler, find_compiler
from softmax_xp.kernels.cuda.source import Kernel, kernel_text
from softmax_xp.kernels.cuda.variants import all_kernels

TABLE = Path(__file__).with_name("results") / "cuda-registers.json"
ARCHITECTURES = ("sm_80", "sm_90")


def compiler_version() -> str:
    """Return the exact version of the compiler, of which the library itself tells only a part."""
    return version("nvidia-cuda-nvrtc")


def label_of(kernel: Kernel) -> str:
    """Return a name for a kernel that people can read."""
    return " ".join([kernel.entry, *(f"{name}={value}" for name, value in kernel.defines)])


def texts() -> dict[tuple[str, Any], list[Kernel]]:
    """Group the kernels that one compilation brings."""
    groups: dict[tuple[str, Any], list[Kernel]] = {}
    for kernel in all_kernels():
        groups.setdefault((kernel.file, kernel.defines), []).append(kernel)
    return groups


def measure(compiler: Compiler, architecture: str, kernels: Sequence[Kernel]) -> Iterator[tuple[str, dict[str, int]]]:
    """Compile the text that some kernels share.

    Parameters
    ----------
    compiler : Compiler
        Of CUDA 13.
    architecture : str
        Such as "sm_90".
    kernels : sequence of Kernel
        With one file and the same macros.

    Yields
    ------
    label : str
        From :func:`label_of`.
    resources : dict of str to int
        Registers of a thread, and bytes of stack and spills.
    """
    first = kernels[0]
    compiled = compiler.compile(kernel_text(first.file, first.defines), architecture)
    for kernel in kernels:
        yield label_of(kernel), compiled.resources(kernel.entry)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what differs from the table, or write it anew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda_registers")
    parser.add_argument("--write", action="store_true", help="renew the table")
    options = parser.parse_args(arguments)
    compiler = find_compiler(13)
    if compiler is None:
        parser.error("NVRTC is not installed. Install it with: pip install nvidia-cuda-nvrtc")
    registers: dict[str, dict[str, int]] = {}
    for kernels in texts().values():
        for architecture in ARCHITECTURES:
            for label, resources in measure(compiler, architecture, kernels):
                registers.setdefault(label, {})[architecture] = resources["registers"]
                if resources["stack"] or resources["spill_stores"]:
                    print(f"{label} on {architecture} keeps numbers in memory: {resources}")
    found = {"compiler": f"nvidia-cuda-nvrtc {compiler_version()}", "registers": registers}
    if options.write:
        TABLE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return 0
    known = json.loads(TABLE.read_text(encoding="utf-8"))
    print(f"now {found['compiler']}, the table {known['compiler']}")
    for label, numbers in registers.items():
        if numbers != known["registers"].get(label):
            print(f"{label}: {numbers}, in the table {known['registers'].get(label)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
