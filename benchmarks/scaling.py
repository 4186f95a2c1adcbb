# SPDX-License-Identifier: BSD-3-Clause
"""What a fit costs as the samples become 4 and 16 times as many.

The larger data contain the smaller, and the penalty beside the mean loss is the same, so that the problems are equally
hard: ``C`` is inversely proportional to the number of samples.
"""

__all__ = ["DTYPES", "SHAPE", "TARGET", "measure", "teacher_data"]

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from benchmarks.datasets import Data
from benchmarks.fits import Pace, fit_ratio, quietly, race_fits
from benchmarks.our_fit import OurFit, fit_ours, make_ours
from benchmarks.report import Line, Table, milliseconds, ratio_text, verdict

SHAPE = (20000, 200, 10)
DTYPES = ("float32", "float64")
TARGET = 1.2  # seconds for each sample, over those of the smallest data
_FACTORS = (1, 4, 16)
_L2 = 1e-4
_TOL = 1e-6


def measure(
    device: str,
    shape: tuple[int, int, int] = SHAPE,
    dtypes: Sequence[str] = DTYPES,
    pace: Pace | None = None,
) -> Table:
    """Fit to 1, 4 and 16 times as many samples, in turn.

    Parameters
    ----------
    device : str
        Where to compute.
    shape : tuple of int, optional
        n_samples of the smallest data, n_features, n_classes.
    dtypes : sequence of str, optional
        In which to compute.
    pace : Pace, optional
        How often to repeat.

    Returns
    -------
    Table
        One line for each size and dtype.
    """
    lines = [line for dtype in dtypes for line in _lines(device, shape, dtype, pace or Pace())]
    notes = [
        f"SoftmaxClassifier, solver='auto', tol={_TOL:g}, C = 1 / ({_L2:g} * n_samples); labels of a linear teacher",
        "per sample: seconds for each sample over those of the first line, median (range); passes are exact",
    ]
    return Table("scaling", f"Scaling: 1, 4 and 16 times as many samples, on {device}", lines, notes)


def teacher_data(n_samples: int, n_features: int, n_classes: int, dtype: str) -> Data:
    """Return normal features, and labels of a linear teacher that errs.

    Parameters
    ----------
    n_samples, n_features, n_classes : int
        The shape.
    dtype : str
        Of the features.

    Returns
    -------
    Data
        The same numbers at every call.
    """
    random = np.random.default_rng(0)
    X = random.standard_normal((n_samples, n_features), dtype=np.dtype(dtype).type)
    # Logits three times as wide as the noise, however many features there are: about two labels in three are right.
    W = (3 / np.sqrt(n_features) * random.standard_normal((n_features, n_classes))).astype(dtype)
    y = (X @ W + random.gumbel(size=(n_samples, n_classes)).astype(dtype)).argmax(axis=1)
    return Data("random", X, y)


def _lines(device: str, shape: tuple[int, int, int], dtype: str, pace: Pace) -> list[Line]:
    """Measure one dtype."""
    n_samples, n_features, n_classes = shape
    whole = teacher_data(_FACTORS[-1] * n_samples, n_features, n_classes, dtype)
    contestants: dict[str, Callable[[], Any]] = {}
    fits: dict[str, OurFit] = {}
    for factor in _FACTORS:
        n = factor * n_samples
        data, C = Data("random", whole.X[:n], whole.y[:n]), 1 / (_L2 * n)
        fits[str(factor)] = fit_ours(data, C, _TOL, device)
        contestants[str(factor)] = lambda data=data, C=C: make_ours(C, _TOL, device).fit(data.X, data.y)
    with quietly():
        seconds = race_fits(contestants, {name: fit.seconds for name, fit in fits.items()}, pace)
    return [_line(name, fit, seconds, (int(name) * n_samples, *shape[1:]), dtype) for name, fit in fits.items()]


def _line(name: str, fit: OurFit, seconds: dict[str, list[float]], shape: tuple[int, int, int], dtype: str) -> Line:
    """Hold one size against the smallest."""
    factor = int(name)
    growth = fit_ratio(seconds[name], [factor * value for value in seconds["1"]])
    met = growth.median <= TARGET
    record = {
        "factor": factor,
        "shape": list(shape),
        "dtype": dtype,
        "seconds": seconds[name],
        "passes": fit.passes,
        "status": fit.status,
        "solver": fit.solver,
        "per_sample": growth._asdict(),
        "target": TARGET,
        "met": met,
    }
    cells = {
        "samples": f"{factor}x",
        "shape": " x ".join(map(str, shape)),
        "dtype": dtype,
        "solver": fit.solver,
        "time": milliseconds(median(seconds[name])),
        "passes": f"{fit.passes:.4g}",
        "time of a pass": milliseconds(median(seconds[name]) / fit.passes),
        "per sample (range)": ratio_text(growth),
        "target": f"<= {TARGET}",
        "met": verdict(met=met),
    }
    return Line(cells, record)
