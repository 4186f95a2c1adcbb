# SPDX-License-Identifier: BSD-3-Clause
"""``python -m benchmarks [NAME ...] [--device cpu|cuda|torch:cpu] [--quick] [--json FILE] [--threads N]``."""

__all__ = ["BENCHMARKS", "main"]

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import softmax_xp as sx
from benchmarks import epoch, full_batch, import_time, machine, minibatch_step
from benchmarks.report import Table
from benchmarks.timing import Effort

_QUICK = Effort(rounds=3, block_seconds=0.05, settle_seconds=0.05)

# Name -> the benchmark, given the device and whether sizes and times are reduced.
BENCHMARKS: Mapping[str, Callable[[str, bool], Table]] = MappingProxyType({
    "full_batch": lambda device, is_quick: (
        full_batch.measure(device, _QUICK, [shape._replace(n_samples=2000) for shape in full_batch.SHAPES])
        if is_quick
        else full_batch.measure(device, Effort())
    ),
    "minibatch_step": lambda device, is_quick: (
        minibatch_step.measure(device, _QUICK, (6000, *minibatch_step.SHAPE[1:]))
        if is_quick
        else minibatch_step.measure(device, Effort())
    ),
    "epoch": lambda device, is_quick: epoch.measure(device, 1, 6000) if is_quick else epoch.measure(device),
    "import_time": lambda _device, is_quick: import_time.measure(3 if is_quick else 15),
})


def main(arguments: Sequence[str] | None = None) -> dict[str, Table]:
    """Run the benchmarks named on the command line, or all; print their tables; write the numbers.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of those of the command line.

    Returns
    -------
    dict of str to Table
        What was printed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, torch:cpu, torch:cuda, ...")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, few rounds: shows that it runs, not how fast"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and numbers there as well")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of BLAS, OpenMP and PyTorch")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(BENCHMARKS)):
        parser.error(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    device = sx.get_backend(options.device).name  # a device that is missing stops here, and says what to install
    machine.limit_threads(options.threads)
    facts = machine.describe(device)
    for name, fact in facts.items():
        print(f"{name:<18}{fact}")
    if options.quick:
        print("\n--quick: reduced sizes and few rounds. These numbers show that everything runs; they measure nothing.")
    tables = {}
    for name in options.names or BENCHMARKS:
        tables[name] = BENCHMARKS[name](device, options.quick)
        print(f"\n{tables[name]}", flush=True)
    if options.json is not None:
        report = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "device": device,
            "quick": options.quick,
            "machine": facts,
            "tables": [table.to_dict() for table in tables.values()],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return tables


if __name__ == "__main__":
    main()
