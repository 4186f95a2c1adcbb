# SPDX-License-Identifier: BSD-3-Clause
"""``python -m benchmarks [NAME ...] [--device cpu|cuda|torch:cpu] [--quick] [--json FILE] [--threads N]``."""

__all__ = ["ALONE", "BENCHMARKS", "main"]

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import softmax_xp as sx
from benchmarks import (
    datasets,
    epoch,
    fit_memory,
    full_batch,
    grid,
    import_time,
    machine,
    minibatch_step,
    out_of_core,
    scaling,
    sparse_pass,
)
from benchmarks import solvers as solvers_benchmark
from benchmarks.fits import Pace
from benchmarks.report import Table
from benchmarks.timing import Effort

_QUICK = Effort(rounds=3, block_seconds=0.05, settle_seconds=0.05)
_QUICK_PACE = Pace(rounds=1)
_QUICK_DATA = ("digits", "wine")


def _full_batch(options: argparse.Namespace) -> Table:
    """Run the benchmark of that name; so do the functions below."""
    if options.quick:
        shapes = [shape._replace(n_samples=2000) for shape in full_batch.SHAPES]
        return full_batch.measure(options.device, _QUICK, shapes)
    return full_batch.measure(options.device, Effort())


def _minibatch_step(options: argparse.Namespace) -> Table:
    if options.quick:
        return minibatch_step.measure(options.device, _QUICK, (6000, *minibatch_step.SHAPE[1:]), compiled=False)
    return minibatch_step.measure(options.device, Effort())


def _sparse_pass(options: argparse.Namespace) -> Table:
    if options.quick:
        return sparse_pass.measure(_QUICK, [shape._replace(n_samples=1000) for shape in sparse_pass.SHAPES])
    return sparse_pass.measure(Effort())


def _epoch(options: argparse.Namespace) -> Table:
    return epoch.measure(options.device, 1, 6000) if options.quick else epoch.measure(options.device)


def _import_time(options: argparse.Namespace) -> Table:
    return import_time.measure(3 if options.quick else 15)


def _solvers(options: argparse.Namespace) -> Table:
    cases = [case for case in solvers_benchmark.CASES if _is_wanted(case.data, options)]
    return solvers_benchmark.measure(
        options.device,
        cases,
        options.dtype or solvers_benchmark.DTYPES,
        with_sag=options.sag,
        **_limits(options),
    )


def _grid(options: argparse.Namespace) -> Table:
    cases = [case for case in grid.CASES if _is_wanted(case.data, options)]
    if options.quick:
        cases = [case._replace(n_samples=300, n_strengths=5, n_folds=2) for case in cases]
    return grid.measure(options.device, cases, scoring=options.scoring, **_limits(options))


def _memory(options: argparse.Namespace) -> Table:
    data = [name for name in fit_memory.DATA if options.data is None or name.partition(" ")[0] in options.data]
    if options.quick:
        data = ["random 20000 x 50 x 5"]
    return fit_memory.measure(options.device, data, options.dtype or fit_memory.DTYPES)


def _scaling(options: argparse.Namespace) -> Table:
    shape = (500, *scaling.SHAPE[1:]) if options.quick else scaling.SHAPE
    pace = _QUICK_PACE if options.quick else Pace()
    return scaling.measure(options.device, shape, options.dtype or scaling.DTYPES, pace)


def _out_of_core(options: argparse.Namespace) -> Table:
    if options.quick:
        return out_of_core.measure(64 << 20, rounds=1)
    return out_of_core.measure(4 << 30)


def _is_wanted(data: str, options: argparse.Namespace) -> bool:
    """Tell whether a data set takes part."""
    if options.data is not None:
        return data in options.data
    return not options.quick or data in _QUICK_DATA


def _limits(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that the benchmarks of whole fits share."""
    return {
        "data_dir": options.data_dir,
        "budget_seconds": options.budget,
        "pace": _QUICK_PACE if options.quick else Pace(),
    }


# Name -> the benchmark, given the command line's options.
BENCHMARKS: Mapping[str, Callable[[argparse.Namespace], Table]] = MappingProxyType({
    "full_batch": _full_batch,
    "minibatch_step": _minibatch_step,
    "sparse_pass": _sparse_pass,
    "epoch": _epoch,
    "import_time": _import_time,
    "solvers": _solvers,
    "grid": _grid,
    "memory": _memory,
    "scaling": _scaling,
    "out_of_core": _out_of_core,
})
# These run only when they are named: scikit-learn's fits take an hour.
ALONE = frozenset({"solvers", "grid", "memory", "scaling", "out_of_core"})


def main(arguments: Sequence[str] | None = None) -> dict[str, Table]:
    """Run the benchmarks named on the command line, or the short ones; print their tables; write the numbers.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of those of the command line.

    Returns
    -------
    dict of str to Table
        What was printed.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(BENCHMARKS)):
        parser.error(f"unknown benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if unknown := sorted(set(options.data or ()) - {*datasets.LOADERS, "random"}):
        parser.error(f"unknown data {', '.join(unknown)}; there are {', '.join(datasets.LOADERS)}, random")
    options.device = sx.get_backend(options.device).name  # a missing device stops here, and says what to install
    machine.limit_threads(options.threads)
    facts = machine.describe(options.device)
    for name, fact in facts.items():
        print(f"{name:<18}{fact}")
    if options.quick:
        print("\n--quick: reduced sizes and few rounds. These numbers show that everything runs; they measure nothing.")
    tables = {}
    for name in options.names or [name for name in BENCHMARKS if name not in ALONE]:
        tables[name] = BENCHMARKS[name](options)
        print(f"\n{tables[name]}", flush=True)
        _write(options, facts, tables)
    return tables


def _parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    short = ", ".join(name for name in BENCHMARKS if name not in ALONE)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; default: {short}")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, torch:cpu, torch:cuda, ...")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, few rounds: shows that it runs, not how fast"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and numbers there as well")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of BLAS, OpenMP and PyTorch")
    fits = parser.add_argument_group("whole fits (solvers, grid, memory, scaling)")
    fits.add_argument("--data", nargs="+", metavar="DATA", help=f"only these: {', '.join(datasets.LOADERS)}, random")
    fits.add_argument(
        "--data-dir",
        type=Path,
        metavar="FOLDER",
        help=f"the folder of wordnet_minilm.npz; default: the environment variable {datasets.DATA_DIR_VARIABLE}",
    )
    fits.add_argument("--dtype", nargs="+", choices=["float32", "float64"], help="default: both")
    fits.add_argument(
        "--budget", type=float, default=600.0, metavar="SECONDS", help="the longest that a fit may take; default: 600"
    )
    fits.add_argument("--sag", action="store_true", help="let scikit-learn's sag and saga take part")
    fits.add_argument("--scoring", default="neg_log_loss", help="of the grid; default: neg_log_loss")
    return parser


def _write(options: argparse.Namespace, facts: Mapping[str, Any], tables: Mapping[str, Table]) -> None:
    """Write what there is so far, if a file was asked for: an interrupted run keeps its finished benchmarks."""
    if options.json is None:
        return
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": options.device,
        "quick": options.quick,
        "machine": facts,
        "tables": [table.to_dict() for table in tables.values()],
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
