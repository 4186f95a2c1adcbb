# SPDX-License-Identifier: BSD-3-Clause
"""``softmax-xp train``."""

__all__ = ["train"]

import json as json_format
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from softmax_xp.backend import to_host
from softmax_xp.cli.cluster import refuse_other_options, train_on_cluster
from softmax_xp.cli.evaluation import evaluate_model
from softmax_xp.cli.options import AsJson, Data, DataDir, Device, Labels, Target
from softmax_xp.cli.outputs import checked_checkpoint, checked_path, end_if_interrupted
from softmax_xp.cli.report import as_json, as_table
from softmax_xp.cli.samples import open_dataset, parts_of
from softmax_xp.data import Dataset, encode_labels
from softmax_xp.devices import get_backend
from softmax_xp.errors import InvalidValueError
from softmax_xp.model import SoftmaxModel
from softmax_xp.optimizers import OPTIMIZERS, make_optimizer
from softmax_xp.penalties import L2
from softmax_xp.schedules import SCHEDULES, make_schedule
from softmax_xp.training import BestWeights, History, Trainer
from softmax_xp.typing import Array

# With its own learning rate Adam needs this many steps, whatever the number of samples, to come close to the minimum.
_STEPS, _LEAST_EPOCHS = 5000, 10


def train(
    ctx: typer.Context,
    data: Data,
    *,
    labels: Labels = None,
    target: Target = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    optimizer: Annotated[str, typer.Option(help=f"One of {', '.join(OPTIMIZERS)}.")] = "adam",
    learning_rate: Annotated[
        float | None, typer.Option(help="Of the optimizer.", show_default="the optimizer's own")
    ] = None,
    schedule: Annotated[str, typer.Option(help=f"Of the learning rate, one of {', '.join(SCHEDULES)}.")] = "cosine",
    reg: Annotated[float, typer.Option(help="Strength of the L2 penalty: 0.5 * reg * sum(W * W).")] = 1e-3,
    epochs: Annotated[
        int | None, typer.Option(help="Passes through the data.", show_default="10, or enough for 5000 steps")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Samples of a step.")] = 32,
    validation: Annotated[
        float, typer.Option(help="Share of the samples that chooses the best epoch; 0 keeps the last epoch.")
    ] = 0.1,
    test: Annotated[
        float | None,
        typer.Option(help="Share of the samples to test with.", show_default="0.2, or the official test split"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="For the split and the order of the batches.")] = 0,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    standardize: Annotated[bool, typer.Option(help="Centre and scale the features.")] = True,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="The model.", show_default="softmax-xp-<data>.safetensors"),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Save the training there as it goes; Ctrl-C and SIGTERM too.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint, if there is one.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only where the model was saved.")] = False,
    json: AsJson = False,
    dask: Annotated[
        bool, typer.Option("--dask", help="Fit exactly, by one worker process for each core of this machine.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The same by a running Dask cluster: tcp://HOST:PORT.")
    ] = None,
) -> None:
    """Train a softmax classifier, test it and save it.

    Samples are split by class, 70 % to train with, 10 % to choose the best epoch and 20 % to test by default. With
    --dask or --scheduler there are no epochs, and 80 % to train with: the workers of a Dask cluster read them where
    they are stored, a full-batch solver fits them as they are, not standardized, and proves how close it came. Options
    that are about epochs, batches and features are errors then.
    """
    if quiet and json:
        msg = "`--quiet` and `--json` must not both be given. Pass one."
        raise InvalidValueError(msg)
    if dtype not in {"float32", "float64"}:
        msg = f"`dtype` must be float32 or float64; got {dtype!r}."
        raise InvalidValueError(msg)
    # Everything that may be wrong without the data is checked before reading the data.
    path, saver = checked_path(output, data), checked_checkpoint(checkpoint, resume=resume)
    if dask or scheduler is not None:
        refuse_other_options(ctx)
        options: dict[str, Any] = {"labels": labels, "target": target, "scheduler": scheduler, "checkpoint": saver}
        options |= {"test": test, "seed": seed, "reg": reg, "dtype": dtype}
        train_on_cluster(data, path, **options, quiet=quiet, json=json)
        return
    backend = get_backend(device)
    trainer = Trainer(
        optimizer=make_optimizer(optimizer, learning_rate),
        schedule=make_schedule(schedule),
        penalty=L2(reg) if reg else None,
        epochs=1 if epochs is None else epochs,
        batch_size=batch_size,
        device=backend,
        dtype=backend.float_dtype(dtype),
        seed=seed,
        standardize=standardize,
        checkpoint=saver,
        verbose=not (quiet or json),
    )
    dataset = open_dataset(data, labels=labels, target=target, data_dir=data_dir)
    parts = parts_of(dataset, validation=validation, test=test, seed=seed)
    if epochs is None:
        trainer = replace(trainer, epochs=_default_epochs(len(parts["train"][1]), batch_size))
    model, history, seconds = _fit(trainer, dataset, parts)
    report = _report(trainer, dataset, parts, model, history)
    report |= {"seconds": seconds, "path": str(path)}
    replace(model, metadata=_metadata(dataset, report)).save(path)
    typer.echo(str(path) if quiet else as_json(report) if json else _as_text(report))
    end_if_interrupted(history.status, path, saver)


def _default_epochs(n_samples: int, batch_size: int) -> int:
    """Return how many epochs make enough steps."""
    return max(_LEAST_EPOCHS, -(-_STEPS // -(-n_samples // batch_size)))


def _fit(
    trainer: Trainer, dataset: Dataset, parts: dict[str, tuple[Array, Array]]
) -> tuple[SoftmaxModel, History, float]:
    """Train; the seconds are those of the fit alone."""
    # A rare class may be missing from the part to train with; the model has a column for it all the same.
    _, classes = encode_labels(dataset.y)
    held_out = parts.get("validation")
    trainer = replace(trainer, callbacks=() if held_out is None else (BestWeights(),))
    start = perf_counter()
    model, history = trainer.fit(*parts["train"], validation=held_out, classes=classes)
    model.backend.synchronise()
    return model, history, perf_counter() - start


def _report(
    trainer: Trainer,
    dataset: Dataset,
    parts: dict[str, tuple[Array, Array]],
    model: SoftmaxModel,
    history: History,
) -> dict[str, Any]:
    """Evaluate the model on each part, and say how it was made."""
    return {
        "data": dataset.name,
        "splits": {name: evaluate_model(model, *part).summary() for name, part in parts.items()},
        "device": model.backend.name,
        "status": history.status,
        "settings": {
            "optimizer": repr(trainer.optimizer),
            "schedule": repr(trainer.schedule),
            "penalty": repr(trainer.penalty),
            "epochs": trainer.epochs,
            "batch_size": trainer.batch_size,
            "seed": trainer.seed,
            "dtype": str(to_host(model.params.weight).dtype),
            "standardize": trainer.standardize,
        },
        "history": history.to_dict(),
    }


def _metadata(dataset: Dataset, report: dict[str, Any]) -> dict[str, str]:
    """Return what the model should remember: the features by name, and where it comes from."""
    metadata = {"data": dataset.name} | {name: str(value) for name, value in report["settings"].items()}
    if dataset.feature_names is not None:
        metadata["feature_names"] = json_format.dumps(dataset.feature_names)
    if dataset.target_name is not None:
        metadata["target_name"] = dataset.target_name
    metadata["samples"] = json_format.dumps({name: numbers["samples"] for name, numbers in report["splits"].items()})
    if "test" in report["splits"]:
        metadata["test_accuracy"] = repr(report["splits"]["test"]["accuracy"])
    return metadata


def _as_text(report: dict[str, Any]) -> str:
    """Lay the report out for a reader."""
    rows = [[name, *numbers.values()] for name, numbers in report["splits"].items()]
    epochs = len(report["history"].get("epoch", ()))
    return "\n".join([
        as_table(["", "samples", "loss (nats)", "accuracy"], rows),
        "",
        f"trained {epochs} epochs in {report['seconds']:.2f} s on {report['device']}",
        f"saved to {report['path']}",
    ])
