# SPDX-License-Identifier: BSD-3-Clause
"""A grid of regularization strengths by folds: ``SoftmaxClassifierCV`` against ``LogisticRegressionCV``.

Both get the same strengths, the same splits and the same scorer, and refit the best. scikit-learn warm-starts each fold
along its path by itself. Ours is timed at the loosest tolerance of the ladder at which its objective, as the mean over
all heads (strengths by folds), is no worse than the peer's, and it chooses the same strength; the worst single head is
shown beside it.
"""

__all__ = ["CASES", "PEERS", "Case", "measure"]

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple, final

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold

import softmax_xp as sx
from benchmarks.datasets import Data, load
from benchmarks.fits import (
    OutOfTimeError,
    Pace,
    climb,
    deadline,
    fit_ratio,
    mean_objective,
    no_worse,
    quietly,
    race_fits,
)
from benchmarks.our_fit import MAX_ITER as OUR_MAX_ITER
from benchmarks.report import Line, Table, milliseconds, times_text, verdict
from benchmarks.sklearn_peer import MAX_ITER, TOL
from softmax_xp.errors import DataNotFoundError


class Case(NamedTuple):
    """A grid over the first rows of a data set, divided by a number."""

    data: str
    divisor: float
    n_samples: int | None
    n_strengths: int
    n_folds: int

    @property
    def Cs(self) -> Any:
        """The strengths, as scikit-learn spaces them."""
        return np.logspace(-4, 4, self.n_strengths)


CASES = (
    Case("digits", 16.0, None, 45, 5),
    Case("digits", 1.0, None, 45, 5),
    Case("embeddings-26", 1.0, 8000, 15, 3),
)
# Name -> LogisticRegressionCV's solver and n_jobs, and how many times as fast ours should be.
PEERS: Mapping[str, tuple[str, int | None, float]] = {
    "newton-cg": ("newton-cg", None, 5.0),
    "newton-cg, n_jobs=-1": ("newton-cg", -1, 1.0),
    "lbfgs": ("lbfgs", None, 5.0),
}


@final
@dataclass(frozen=True, slots=True)
class GridFit:
    """What a fitted grid found."""

    seconds: float
    objectives: Any  # (n_folds, n_strengths), float64
    C: float

    @property
    def objective(self) -> float:
        """The mean over all heads."""
        return float(self.objectives.mean())


def measure(
    device: str,
    cases: Sequence[Case] = CASES,
    *,
    scoring: str = "neg_log_loss",
    data_dir: Any = None,
    budget_seconds: float = 600.0,
    pace: Pace | None = None,
) -> Table:
    """Run the race for each grid.

    Parameters
    ----------
    device : str
        Where ours computes.
    cases : sequence of Case, optional
        Which grids.
    scoring : str, default: "neg_log_loss"
        Which of scikit-learn's scorers chooses.
    data_dir : path-like, optional
        Where the embeddings are.
    budget_seconds : float, default: 600.0
        The longest that a grid may take.
    pace : Pace, optional
        How often to repeat.

    Returns
    -------
    Table
        One line for each peer of each grid.
    """
    lines: list[Line] = []
    notes: list[str] = []
    for case in cases:
        try:
            data = load(case.data, data_dir)
        except DataNotFoundError as error:
            notes.append(f"{case.data}: skipped, {error}")
            lines.append(
                Line({"data": case.data, "scikit-learn": "skipped"}, {"data": case.data, "skipped": str(error)})
            )
            continue
        rows = Data(data.name, data.X[: case.n_samples] / data.X.dtype.type(case.divisor), data.y[: case.n_samples])
        lines += _Grid(case, rows, scoring, device, budget_seconds, pace or Pace(), notes).lines()
    notes += [
        f"peers: LogisticRegressionCV, tol={TOL:g}, max_iter={MAX_ITER}; n_jobs=-1 is a process for each core",
        "objective: mean over all heads; worst head: the largest (ours - peer's) / peer's",
        "met: as fast as the target says, and the same C chosen",
    ]
    title = f"Grid: SoftmaxClassifierCV against LogisticRegressionCV, scoring={scoring!r}, ours on {device}"
    return Table("grid", title, lines, list(dict.fromkeys(notes)))


@final
@dataclass(frozen=True, slots=True)
class _Grid:
    """One grid."""

    case: Case
    data: Data
    scoring: str
    device: str
    budget_seconds: float
    pace: Pace
    notes: list[str]

    def lines(self) -> list[Line]:
        """Fit, repeat in turn, and compare."""
        folds = StratifiedKFold(self.case.n_folds).split(self.data.X, self.data.y)
        splits = [(np.asarray(train), np.asarray(test)) for train, test in folds]
        fits: dict[str, GridFit] = {}
        for name in PEERS:
            try:
                fits[name] = self._fit(name, self._peer(name, splits), splits)
            except OutOfTimeError as error:
                self.notes.append(f"{name} on {self._name()}: left out, it needs {error}")
        ours, tolerances = climb(
            lambda tol: self._fit(f"ours {tol:.0e}", self._ours(tol, splits), splits),
            lambda fit, name: no_worse(fit.objective, fits[name].objective) and bool(np.isclose(fit.C, fits[name].C)),
            fits,
        )
        X, y = self.data.X, self.data.y
        contestants: dict[str, Callable[[], object]] = {
            name: lambda name=name: self._peer(name, splits).fit(X, y) for name in fits
        }
        first = {name: fit.seconds for name, fit in fits.items()}
        for tol in dict.fromkeys(tol for tol in tolerances.values() if tol is not None):
            contestants[f"ours {tol:.0e}"] = lambda tol=tol: self._ours(tol, splits).fit(X, y)
            first[f"ours {tol:.0e}"] = ours[tol].seconds
        with quietly():
            seconds = race_fits(contestants, first, self.pace)
        return [self._line(name, fits[name], tolerances[name], ours, seconds) for name in fits]

    def _peer(self, name: str, splits: Sequence[tuple[Any, Any]]) -> LogisticRegressionCV:
        solver, n_jobs, _ = PEERS[name]
        return LogisticRegressionCV(
            Cs=self.case.Cs,
            cv=splits,
            l1_ratios=(0,),
            scoring=self.scoring,
            solver=solver,
            tol=TOL,
            max_iter=MAX_ITER,
            n_jobs=n_jobs,
            use_legacy_attributes=False,
        )

    def _ours(self, tol: float, splits: Sequence[tuple[Any, Any]]) -> Any:
        return sx.SoftmaxClassifierCV(
            Cs=self.case.Cs, cv=splits, scoring=self.scoring, tol=tol, max_iter=OUR_MAX_ITER, device=self.device
        )

    def _fit(self, name: str, model: Any, splits: Sequence[tuple[Any, Any]]) -> GridFit:
        """Fit once within the budget, and compute the objective of every head on its training rows."""
        with quietly(), deadline(self.budget_seconds):
            start = perf_counter()
            model.fit(self.data.X, self.data.y)
            seconds = perf_counter() - start
        paths = _by_fold_and_strength(model.coefs_paths_)
        objectives = np.array([
            [
                mean_objective(self.data.X[train], self.data.y[train], head[:, :-1], head[:, -1], C)
                for head, C in zip(heads, self.case.Cs, strict=True)
            ]
            for heads, (train, _) in zip(paths, splits, strict=True)
        ])
        fit = GridFit(seconds, objectives, float(model.C_))
        text = f"{self._name()}: {name} {seconds:.3g} s, mean objective {fit.objective:.12g}, C = {fit.C:.4g}"
        print(text, file=sys.stderr, flush=True)
        return fit

    def _line(
        self,
        name: str,
        peer: GridFit,
        tol: float | None,
        fits: Mapping[float, GridFit],
        seconds: Mapping[str, list[float]],
    ) -> Line:
        """Hold ours against one peer."""
        ours = fits[min(fits) if tol is None else tol] if fits else None
        our_seconds = None if tol is None else seconds[f"ours {tol:.0e}"]
        speed = None if our_seconds is None else fit_ratio(seconds[name], our_seconds)
        worst = None if ours is None else float(((ours.objectives - peer.objectives) / peer.objectives).max())
        is_same = ours is not None and bool(np.isclose(ours.C, peer.C))
        target = PEERS[name][2]
        met = speed is not None and speed.median >= target and is_same
        record = {
            "case": self.case._asdict(),
            "shape": [*self.data.X.shape, self.data.n_classes],
            "dtype": str(self.data.X.dtype),
            "scoring": self.scoring,
            "peer": name,
            "peer_seconds": seconds[name],
            "peer_objective": peer.objective,
            "peer_C": peer.C,
            "tol": tol,
            "our_seconds": our_seconds,
            "our_objective": None if ours is None else ours.objective,
            "our_C": None if ours is None else ours.C,
            "worst_head": worst,
            "times_as_fast": None if speed is None else speed._asdict(),
            "target": target,
            "met": met,
        }
        cells = {
            "data": f"{self._name()} {self.data.X.dtype}",
            "Cs x folds": f"{self.case.n_strengths} x {self.case.n_folds}",
            "scikit-learn": name,
            "time": milliseconds(median(seconds[name])),
            "objective": f"{peer.objective:.9f}",
            "C": f"{peer.C:.4g}",
            "ours: tol": "not reached" if tol is None else f"{tol:.0e}",
            "our time": "-" if our_seconds is None else milliseconds(median(our_seconds)),
            "ours - objective": "-" if ours is None else f"{ours.objective - peer.objective:+.1e}",
            "worst head": "-" if worst is None else f"{worst:+.1e}",
            "our C": "-" if ours is None else f"{ours.C:.4g}",
            "times as fast (range)": "-" if speed is None else times_text(speed),
            "target": f">= {target:g}x",
            "met": verdict(met=met),
        }
        return Line(cells, record)

    def _name(self) -> str:
        by = "" if self.case.divisor == 1 else f" / {self.case.divisor:g}"
        return f"{self.data.name}{by} {self.data.shape}"


def _by_fold_and_strength(paths: Any) -> Any:
    """Return coefficients of shape (n_folds, n_strengths, n_classes, n_features + 1): there is one `l1_ratio` only."""
    found = np.asarray(paths)
    return found[:, 0] if found.ndim == 5 else found
