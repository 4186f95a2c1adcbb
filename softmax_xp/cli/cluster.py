# SPDX-License-Identifier: BSD-3-Clause
"""``softmax-xp train DATA --dask`` and ``--scheduler``: the exact fit, its passes made by a cluster."""

__all__ = ["refuse_other_options", "train_on_cluster"]

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import typer

from softmax_xp.cli.evaluation import evaluate_model
from softmax_xp.cli.outputs import end_if_interrupted
from softmax_xp.cli.report import as_json
from softmax_xp.cli.samples import parts_of
from softmax_xp.data import Dataset, encode_labels
from softmax_xp.data.open_source import open_source
from softmax_xp.data.streamed import stream_matrix
from softmax_xp.errors import InvalidValueError, MissingDependencyError, WorkerLostError
from softmax_xp.penalties import L2
from softmax_xp.training import Checkpoint

# The parameters of `train` that mean something for a full-batch fit by a cluster.
_MEANINGFUL = frozenset({
    *("data", "labels", "target", "reg", "dtype", "test", "seed", "output"),
    *("checkpoint", "resume", "quiet", "json", "dask", "scheduler"),
})


def refuse_other_options(ctx: typer.Context) -> None:
    """Refuse what a fit by a cluster would ignore.

    Parameters
    ----------
    ctx : typer.Context
        Of ``train``.

    Raises
    ------
    InvalidValueError
        Naming the options that were given and do not apply.
    """
    if ctx.params["dask"] and ctx.params["scheduler"] is not None:
        msg = "`--dask` and `--scheduler` must not both be given. Pass one."
        raise InvalidValueError(msg)
    given = [item for item in ctx.command.params if item.name not in _MEANINGFUL and _is_given(ctx, item.name)]
    # No standardization is what a cluster does, too.
    names = [item.opts[0] for item in given if item.name != "standardize" or ctx.params["standardize"]]
    if names:
        mode = "--dask" if ctx.params["dask"] else "--scheduler"
        msg = (
            f"`{mode}` must come without options that are not about an exact fit by a cluster; got "
            f"{', '.join(names)}. Leave them out, or leave out {mode}."
        )
        raise InvalidValueError(msg)


def _is_given(ctx: typer.Context, name: str | None) -> bool:
    """Tell whether a parameter stands in the command line, or in the environment."""
    source = None if name is None else ctx.get_parameter_source(name)
    return source is not None and not source.name.startswith("DEFAULT")


def train_on_cluster(
    data: str,
    path: Path,
    *,
    scheduler: str | None,
    labels: Path | None,
    target: str | None,
    test: float | None,
    seed: int,
    reg: float,
    dtype: str,
    checkpoint: Checkpoint | None,
    quiet: bool,
    json: bool,
) -> None:
    """Fit the samples of a file or folder, certified; test the classifier, and save it.

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
    test : float, optional
        Share of the samples to test with, by this process, chunk by chunk.
    seed : int
        Of the split.
    reg : float
        Strength of the L2 penalty, per sample.
    dtype : str
        Of the fit.
    checkpoint : Checkpoint, optional
        Where to save the fit as it goes.
    quiet, json : bool
        What is printed.
    """
    from softmax_xp.estimators import SoftmaxClassifier

    L2(reg)  # refuses what is no strength, by this name
    source = open_source(data, labels=labels, target=target)
    if source.labels is None:
        msg = f"`labels` must be given for {source.name}, which holds no labels. Pass --labels FILE or --target COLUMN."
        raise InvalidValueError(msg)
    parts = parts_of(
        Dataset(stream_matrix(source), source.labels, name=source.name), validation=0.0, test=test, seed=seed
    )
    X, y = parts["train"]
    strength = 1.0 / (reg * len(y)) if reg else math.inf
    classifier = SoftmaxClassifier(
        strength, dtype=dtype, device="cpu", checkpoint=checkpoint, verbose=0 if quiet or json else 1
    )
    _, classes = encode_labels(source.labels)  # a rare one may be missing from the samples to train with
    with _connected(scheduler) as client:
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        start = perf_counter()
        classifier.fit(X, y, classes=classes, client=client)
        seconds = perf_counter() - start
    classifier.save(path)
    report = {"data": source.name, "samples": len(y), "workers": workers} | _results(classifier)
    if "test" in parts:
        report["splits"] = {"test": evaluate_model(classifier.to_model(), *parts["test"]).summary()}
    report |= {"seconds": seconds, "path": str(path)}
    typer.echo(str(path) if quiet else as_json(report) if json else _as_text(report))
    end_if_interrupted(classifier.status_, path, checkpoint)


@contextmanager
def _connected(scheduler: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one with a worker for each core."""
    try:
        from distributed import Client, LocalCluster

        from softmax_xp.distributed.timeouts import timeout_of
    except ImportError as error:
        msg = "`--dask` and `--scheduler` need Dask. Install it with: pip install 'softmax-xp[dask]'"
        raise MissingDependencyError(msg) from error
    if scheduler is None:
        with LocalCluster(threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(scheduler, timeout=timeout_of("connect"))
    except (OSError, TimeoutError, ValueError) as error:
        msg = f"`--scheduler` must be the address of a running scheduler; got {scheduler!r}: {error}"
        raise WorkerLostError(msg) from error
    with client:
        yield client


def _results(classifier: Any) -> dict[str, Any]:
    """Return how the fit ended."""
    return {
        "status": classifier.status_,
        "iterations": int(classifier.n_iter_[0]),
        "bound": classifier.certificate_.bound,
        "objective": classifier.certificate_.value,
    }


def _as_text(report: dict[str, Any]) -> str:
    """Lay the report out for a reader."""
    proof = f"at most {report['bound']:.2g} nats above the minimum, {report['objective']:.6g}"
    lines = [
        f"{report['samples']} samples fitted by {report['workers']} workers in {report['seconds']:.2f} s",
        f"{report['status']} after {report['iterations']} iterations: {proof}",
    ]
    if "splits" in report:
        test = report["splits"]["test"]
        lines.append(f"test: {test['samples']} samples, loss {test['loss']:.4f} nats, accuracy {test['accuracy']:.4f}")
    return "\n".join([*lines, f"saved to {report['path']}"])
