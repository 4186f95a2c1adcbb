# SPDX-License-Identifier: BSD-3-Clause
"""``softmax-xp train DATA --dask`` and ``--scheduler``: the exact fit, its passes made by a cluster."""

__all__ = ["train_on_cluster"]

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import typer

from softmax_xp.cli.report import as_json
from softmax_xp.data.open_source import open_source
from softmax_xp.errors import InvalidValueError, MissingDependencyError, WorkerLostError

_CONNECT_SECONDS = 30


def train_on_cluster(
    data: str,
    path: Path,
    *,
    scheduler: str | None,
    labels: Path | None,
    target: str | None,
    reg: float,
    dtype: str,
    quiet: bool,
    json: bool,
) -> None:
    """Fit all samples of a file or folder, certified, and save the classifier.

    Parameters
    ----------
    data : str
        What :func:`softmax_xp.open_source` reads, where each worker can read it too.
    path : path
        Of the model.
    scheduler : str or None
        Address of a running cluster; None starts one on this machine.
    labels, target : path and str, optional
        Of the labels.
    reg : float
        Strength of the L2 penalty, per sample.
    dtype : str
        Of the fit.
    quiet, json : bool
        What is printed.
    """
    from softmax_xp.estimators import SoftmaxClassifier

    source = open_source(data, labels=labels, target=target)
    if source.labels is None:
        msg = f"`labels` must be given for {source.name}, which holds no labels. Pass --labels FILE or --target COLUMN."
        raise InvalidValueError(msg)
    strength = 1.0 / (reg * source.shape[0]) if reg else math.inf
    classifier = SoftmaxClassifier(strength, dtype=dtype, device="cpu", verbose=0 if quiet or json else 1)
    with _connected(scheduler) as client:
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        start = perf_counter()
        classifier.fit(source, client=client)
        seconds = perf_counter() - start
    classifier.save(path)
    report: dict[str, Any] = {
        "data": source.name,
        "samples": source.shape[0],
        "workers": workers,
        "status": classifier.status_,
        "iterations": int(classifier.n_iter_[0]),
        "bound": classifier.certificate_.bound,
        "objective": classifier.certificate_.value,
        "seconds": seconds,
        "path": str(path),
    }
    typer.echo(str(path) if quiet else as_json(report) if json else _as_text(report))


@contextmanager
def _connected(scheduler: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one with a worker for each core."""
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        msg = "`--dask` and `--scheduler` need Dask. Install it with: pip install 'softmax-xp[dask]'"
        raise MissingDependencyError(msg) from error
    if scheduler is None:
        with LocalCluster(threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(scheduler, timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        msg = f"`--scheduler` must be the address of a running scheduler; got {scheduler!r}: {error}"
        raise WorkerLostError(msg) from error
    with client:
        yield client


def _as_text(report: dict[str, Any]) -> str:
    """Lay the report out for a reader."""
    proof = f"at most {report['bound']:.2g} nats above the minimum, {report['objective']:.6g}"
    return "\n".join([
        f"{report['samples']} samples fitted by {report['workers']} workers in {report['seconds']:.2f} s",
        f"{report['status']} after {report['iterations']} iterations: {proof}",
        f"saved to {report['path']}",
    ])
