# SPDX-License-Identifier: BSD-3-Clause
"""Arguments and options that several commands share."""

__all__ = ["AsJson", "Data", "DataDir", "Device", "Labels", "ModelFile", "Target"]

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Data: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="digits, fashion-mnist, a file: .npz, .npy, .csv, .tsv, .parquet, .arrow, .svm, .svmlight, or a folder of "
        ".npy, .parquet or .arrow files.",
    ),
]
ModelFile: TypeAlias = Annotated[Path, typer.Argument(metavar="MODEL", help="A model that `train` saved.")]
Labels: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Labels alone: .npy, or text of one label per line.")
]
Target: TypeAlias = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="The target column of a table, or the key of the labels in .npz.")
]
DataDir: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Where the four IDX files of fashion-mnist are.")
]
Device: TypeAlias = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1, torch:cpu, torch:cuda:0, torch:mps or jax.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
