# SPDX-License-Identifier: BSD-3-Clause
"""One loss and gradient over sparse samples, against scikit-learn's and against SciPy's two products.

What a solver calls in each of its iterations. The columns of the entries follow a power law, as words do, so that a few
columns are in the cache and most are not. SciPy's products use one thread, and so does scikit-learn around them.
"""

__all__ = ["SHAPES", "TARGET", "SparseShape", "measure"]

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

import softmax_xp as sx
from benchmarks.report import Line, Table, milliseconds, ratio_text, times_text, verdict
from benchmarks.sklearn_peer import multinomial_objective
from benchmarks.timing import Effort, median_seconds, race, ratio
from softmax_xp.data.sparse_input import as_rows, as_sparse
from softmax_xp.objectives import LinearObjective
from softmax_xp.typing import LinearParams

TARGET = 1.7
_L2 = 1e-4


class SparseShape(NamedTuple):
    """The size of a problem."""

    n_samples: int
    n_features: int
    n_classes: int
    entries: int  # drawn for each row; those that fall together are added
    dtype: str

    def __str__(self) -> str:
        return f"{self.n_samples} x {self.n_features} x {self.n_classes} {self.dtype}"


# About the sizes of 20 newsgroups, of a part of RCV1 in both precisions, and of few features.
SHAPES = (
    SparseShape(11314, 130107, 20, 157, "float64"),
    SparseShape(20000, 47236, 53, 75, "float64"),
    SparseShape(20000, 47236, 53, 75, "float32"),
    SparseShape(100000, 1000, 5, 20, "float64"),
)


def measure(effort: Effort, shapes: Sequence[SparseShape] = SHAPES) -> Table:
    """Run the race for each shape, on the CPU.

    Parameters
    ----------
    effort : Effort
        How long.
    shapes : sequence of SparseShape, optional
        Which problems.

    Returns
    -------
    Table
        One line for each shape.
    """
    notes: list[str] = []
    lines = [_measure_shape(effort, shape, notes) for shape in shapes]
    notes.append("'products' are X @ W and X.T @ G by SciPy, in one thread; the ratio is to them")
    return Table("sparse_pass", "Sparse pass: loss and gradient, on cpu", lines, list(dict.fromkeys(notes)))


def _measure_shape(effort: Effort, shape: SparseShape, notes: list[str]) -> Line:
    """Measure one shape; the reason why scikit-learn does not take part goes to ``notes``."""
    X, entries = _samples(shape)
    contestants = _contestants(X, shape, notes)
    seconds = race(contestants, effort)
    ours = seconds["softmax_xp"]
    cells = {"n_samples x n_features x n_classes": str(shape), "entries of a row": f"{entries:.0f}"}
    cells |= {name: milliseconds(median_seconds(times)) for name, times in seconds.items()}
    floor, speed, met = ratio(ours, seconds["products"]), None, None
    if "scikit-learn" in seconds:
        speed = ratio(seconds["scikit-learn"], ours)
        met = speed.median >= TARGET
    cells |= {
        "ratio (range)": ratio_text(floor),
        "times as fast as scikit-learn (range)": "skipped" if speed is None else times_text(speed),
        "target": f">= {TARGET}x",
        "met": "-" if met is None else verdict(met=met),
    }
    record = {
        **shape._asdict(),
        "entries_of_a_row": entries,
        "target": TARGET,
        "met": met,
        "ratio": floor._asdict(),
        "times_as_fast": None if speed is None else speed._asdict(),
        "seconds": {name: median_seconds(times) for name, times in seconds.items()},
    }
    return Line(cells, record)


def _samples(shape: SparseShape) -> tuple[Any, float]:
    """Draw the samples; return them with the mean number of their entries."""
    random = np.random.default_rng(0)
    n_entries = shape.n_samples * shape.entries
    columns = np.minimum((30 * random.pareto(0.6, n_entries)).astype(np.int64), shape.n_features - 1)
    rows, values = np.repeat(np.arange(shape.n_samples), shape.entries), random.random(n_entries)
    X = scipy.sparse.csr_array((values.astype(shape.dtype), (rows, columns)), shape=shape[:2])
    X.sum_duplicates()
    X.indices, X.indptr = (
        X.indices.astype(np.int32),
        X.indptr.astype(np.int32),
    )  # as scikit-learn's vectorizers make them
    return X, X.nnz / shape.n_samples


def _contestants(X: Any, shape: SparseShape, notes: list[str]) -> dict[str, Callable[[], Any]]:
    """Make the calls, and check that they compute the same gradient."""
    random, dtype = np.random.default_rng(1), np.dtype(shape.dtype)
    y = random.integers(0, shape.n_classes, shape.n_samples)
    W = (0.1 * random.standard_normal((shape.n_features, shape.n_classes))).astype(dtype)
    G = random.standard_normal((shape.n_samples, shape.n_classes)).astype(dtype)
    loss = sx.CrossEntropy()
    targets = loss.prepare(y, shape.n_classes, dtype=dtype)
    objective = LinearObjective(as_rows(as_sparse(X), dtype), targets, loss, sx.L2(_L2), dtype)
    contestants: dict[str, Callable[[], Any]] = {
        "products": lambda: (X @ W, X.T @ G),
        "softmax_xp": lambda: objective.value_and_gradient(LinearParams(W)),
    }
    peer = multinomial_objective(shape.n_classes, notes)
    if peer is None:
        return contestants
    coefficients, labels = np.asfortranarray(W.T), y.astype(dtype)  # the layouts that its own solvers use
    contestants["scikit-learn"] = lambda: peer.loss_gradient(coefficients, X, labels, l2_reg_strength=_L2)
    ours, theirs = contestants["softmax_xp"]()[1].weight, contestants["scikit-learn"]()[1].T
    error = np.abs(theirs - ours).max() / np.abs(ours).max()
    assert error < 1e-4, f"scikit-learn computes something else: relative difference {error:.1e}"
    return contestants
