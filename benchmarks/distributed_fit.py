# SPDX-License-Identifier: BSD-3-Clause
"""What a cluster adds to each pass over the data, and what it gains: two worker processes against one process.

An iteration of L-BFGS is a value and gradient, so one pass. The overhead is what it takes beyond the time that a worker
computes; of a pass over few samples it is all there is. The efficiency is the time of one process with one thread over
that of the cluster and its number of workers. It means something only where there is an idle core for each worker: the
workers' own computing time, for half of the samples, shows whether there was.
"""

__all__ = ["measure"]

import os
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.report import Line, Table, milliseconds
from softmax_xp.backend import backend_of
from softmax_xp.blas import single_threaded_products, thread_share
from softmax_xp.data.npy_source import open_npy
from softmax_xp.data.streamed import StreamedRows
from softmax_xp.distributed import on_cluster
from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import LinearObjective
from softmax_xp.typing import LinearParams

FEATURES, CLASSES, WORKERS = 256, 20, 2
_TINY = 512  # a shard for each worker


def measure(n_samples: int, passes: int = 20) -> Table:
    """Time passes over few and many samples.

    Parameters
    ----------
    n_samples : int
        Of the many.
    passes : int, default: 20
        How many are timed of each kind, in turn; their medians are compared.

    Returns
    -------
    Table
        One line for each number of samples.
    """
    title = f"Distributed: a value and gradient of {FEATURES} features and {CLASSES} classes in float32"
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        return Table("distributed_fit", title, [], ["skipped: Dask is not installed"])
    notes = [
        f"alone: one process, one thread, the samples in memory; cluster: {WORKERS} processes of one thread each",
        "computing: of a worker, for its share; overhead: cluster - computing, for each iteration",
        f"efficiency: alone / ({WORKERS} * cluster), on {os.cpu_count()} cores; load {_load()}",
    ]
    lines = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        cluster = stack.enter_context(
            LocalCluster(n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=":0")
        )
        client = stack.enter_context(Client(cluster))
        for count in (_TINY, n_samples):
            alone, together, computing = _seconds(Path(folder), count, passes, client)
            cells = {
                "samples": f"{count}",
                "alone": milliseconds(alone),
                "cluster": milliseconds(together),
                "computing": milliseconds(computing),
                "overhead": milliseconds(max(together - computing, 0.0)),
                "efficiency": f"{alone / (WORKERS * together):.2f}",
            }
            raw = {"samples": count, "alone_seconds": alone, "cluster_seconds": together, "worker_seconds": computing}
            lines.append(Line(cells, raw))
    return Table("distributed_fit", title, lines, notes)


def _seconds(folder: Path, n_samples: int, passes: int, client: Any) -> tuple[float, float, float]:
    """Return the medians of one process and of the cluster, whose passes take turns, and of a worker's computing."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, FEATURES), dtype=np.float32)
    path = folder / f"X{n_samples}.npy"
    np.save(path, X)
    loss = CrossEntropy()
    targets = loss.prepare(rng.integers(0, CLASSES, n_samples), CLASSES, dtype=X.dtype)
    here = LinearObjective(X, targets, loss, None, X.dtype)
    streamed = replace(here, X=StreamedRows(open_npy(path), backend_of(X)))
    params = LinearParams(np.zeros((FEATURES, CLASSES), dtype=np.float32), np.zeros(CLASSES, dtype=np.float32))
    alone, together, computing = list[float](), list[float](), list[float]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are too few data is what is measured
        with on_cluster(streamed, client) as placed:
            placed.value_and_gradient(params)
            for _ in range(passes):
                with thread_share(1), single_threaded_products():
                    alone.append(_timed(lambda: here.value_and_gradient(params)))
                before = placed.X.engine.worked
                together.append(_timed(lambda: placed.value_and_gradient(params)))
                computing.append((placed.X.engine.worked - before) / WORKERS)
    return median(alone), median(together), median(computing)


def _timed(function: Callable[[], object]) -> float:
    start = perf_counter()
    function()
    return perf_counter() - start


def _load() -> str:
    """Return how busy the machine was in the last minute, where the system tells."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
