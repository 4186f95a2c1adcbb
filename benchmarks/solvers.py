# SPDX-License-Identifier: BSD-3-Clause
"""A fit of ``SoftmaxClassifier`` against scikit-learn's solvers, each at an objective no worse than the peer's.

Each peer fits at its own default tolerance. Ours fits at the tolerances 1e-1, 3e-2, 1e-2, ... until its objective is no
worse than the peer's, and that fit is timed against the peer's, in turn. Objectives are computed by the benchmark.
"""

__all__ = ["CASES", "DTYPES", "Case", "measure"]

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple, final

from sklearn.linear_model import LogisticRegression

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
from benchmarks.our_fit import OurFit, fit_ours, make_ours
from benchmarks.report import Line, Table, milliseconds, times_text, verdict
from benchmarks.sklearn_peer import MAX_ITER, SOLVERS, TOL, Passes, counted_passes, reason_to_skip
from benchmarks.timing import Ratio
from softmax_xp.errors import DataNotFoundError

DTYPES = ("float32", "float64")
_DEFAULT = SOLVERS[0]
# How many times as fast: as the default solver, the same where features are badly scaled, as the fastest, as any.
_TARGETS = {"default": 5.0, "badly scaled": 10.0, "best": 3.0, "any": 1.0}
# What ours must prove beside a peer that was stopped, and whose objective is therefore unknown.
_TOL_BESIDE_STOPPED = 1e-6


class Case(NamedTuple):
    """A data set and an inverse regularization strength."""

    data: str
    C: float


CASES = (
    Case("digits", 1.0),
    Case("wine", 1.0),
    Case("letter", 1.0),
    Case("shuttle", 1.0),
    Case("fashion-mnist", 0.01),
    Case("fashion-mnist", 1.0),
    Case("embeddings-26", 1.0),
    Case("embeddings-1500", 1.0),
    Case("glosses", 1.0),
)


@final
@dataclass(frozen=True, slots=True)
class PeerFit:
    """A peer's first fit."""

    seconds: float
    objective: float
    passes: Passes
    n_iter: int
    complaint: str  # its first warning: that it did not converge, or fell back to another solver


def measure(
    device: str,
    cases: Sequence[Case] = CASES,
    dtypes: Sequence[str] = DTYPES,
    *,
    data_dir: Any = None,
    budget_seconds: float = 600.0,
    with_sag: bool = False,
    pace: Pace | None = None,
) -> Table:
    """Run the race for each case and dtype.

    Parameters
    ----------
    device : str
        Where ours computes; scikit-learn computes on the host.
    cases : sequence of Case, optional
        Which problems.
    dtypes : sequence of str, optional
        In which to store and compute.
    data_dir : path-like, optional
        Where the embeddings are.
    budget_seconds : float, default: 600.0
        The longest that a single fit may take; a peer that needs longer is stopped.
    with_sag : bool, default: False
        Whether scikit-learn's stochastic solvers take part.
    pace : Pace, optional
        How often to repeat.

    Returns
    -------
    Table
        One line for each peer of each case and dtype.
    """
    lines: list[Line] = []
    notes: list[str] = []
    for name in dict.fromkeys(case.data for case in cases):
        try:
            stored = load(name, data_dir)
        except DataNotFoundError as error:
            notes.append(f"{name}: skipped, {error}")
            lines.append(Line({"data": name, "scikit-learn": "skipped"}, {"data": name, "skipped": str(error)}))
            continue
        for dtype in dtypes:
            data = stored.astype(dtype)
            for case in cases:
                if case.data == name:
                    race = _Race(data, dtype, case.C, device, budget_seconds, with_sag, pace or Pace(), notes)
                    lines += race.lines()
    default, scaled, best = (_TARGETS[name] for name in ("default", "badly scaled", "best"))
    notes += [
        f"peers: LogisticRegression, tol={TOL:g}, max_iter={MAX_ITER}; ours: SoftmaxClassifier, solver='auto'",
        "ours: tol: the loosest of 1e-1, 3e-2, 1e-2, ... with an objective no worse than that peer's (slack 1e-9)",
        "passes: pairs of products with the samples, exact; H: explicit Hessians (our metrics) come on top",
        "bound: the certificate, the most by which our objective exceeds its minimum",
        f"targets: {default:g}x the default solver ({scaled:g}x on badly scaled data), {best:g}x the fastest, 1x any",
    ]
    title = f"Solvers: SoftmaxClassifier against scikit-learn at an equal or better objective, ours on {device}"
    return Table("solvers", title, lines, list(dict.fromkeys(notes)))


@final
@dataclass(frozen=True, slots=True)
class _Race:
    """One case in one dtype."""

    data: Data
    dtype: str
    C: float
    device: str
    budget_seconds: float
    with_sag: bool
    pace: Pace
    notes: list[str]

    def lines(self) -> list[Line]:
        """Fit, repeat in turn, and compare."""
        peers, stopped = self._fit_peers()
        outcomes, tolerances = climb(
            self._fit_ours, lambda fit, solver: no_worse(fit.objective, peers[solver].objective), peers
        )
        if stopped:
            beside = min([_TOL_BESIDE_STOPPED, *(tol for tol in tolerances.values() if tol is not None)])
            tolerances |= dict.fromkeys(stopped, beside)
            try:
                outcomes.setdefault(beside, outcomes.get(beside) or self._fit_ours(beside))
            except OutOfTimeError:
                tolerances |= dict.fromkeys(stopped)
        contestants, first = self._contestants(peers, outcomes, tolerances)
        with quietly():
            seconds = race_fits(contestants, first, self.pace)
        seconds |= {solver: [self.budget_seconds] for solver in stopped}
        roles = _roles({solver: seconds[solver] for solver in peers}, stopped)
        return [self._line(solver, roles[solver], peers.get(solver), seconds, outcomes, tolerances) for solver in roles]

    def _fit_peers(self) -> tuple[dict[str, PeerFit], list[str]]:
        """Return the first fit of each peer, and the peers that were stopped."""
        peers: dict[str, PeerFit] = {}
        stopped = []
        for solver in SOLVERS:
            reason = reason_to_skip(solver, self.data, with_sag=self.with_sag)
            if reason is not None:
                self.notes.append(reason)
                continue
            try:
                peers[solver] = self._fit_peer(solver)
            except OutOfTimeError as error:
                stopped.append(solver)
                self.notes.append(f"{solver} on {self._case()}: stopped, {error}; its line shows a lower bound")
                continue
            self._say(f"{solver} {peers[solver].seconds:.3g} s, objective {peers[solver].objective:.12g}")
            if peers[solver].complaint:
                self.notes.append(f"{solver} on {self._case()}: {peers[solver].complaint}")
        return peers, stopped

    def _fit_peer(self, solver: str) -> PeerFit:
        """Fit a peer once, within its budget."""
        model = self._peer(solver)
        with quietly() as caught, counted_passes() as passes, deadline(self.budget_seconds):
            start = perf_counter()
            model.fit(self.data.X, self.data.y)
            seconds = perf_counter() - start
        n_iter = int(model.n_iter_.max())
        if solver in {"sag", "saga"}:
            passes.products = 2 * n_iter  # epochs
        complaints = [str(warning.message) for warning in caught]
        objective = mean_objective(self.data.X, self.data.y, model.coef_, model.intercept_, self.C)
        return PeerFit(seconds, objective, passes, n_iter, " ".join(complaints[:1]).partition("\n")[0])

    def _peer(self, solver: str) -> LogisticRegression:
        return LogisticRegression(C=self.C, solver=solver, tol=TOL, max_iter=MAX_ITER)

    def _fit_ours(self, tol: float) -> OurFit:
        """Fit ours once, within the same budget."""
        fit = fit_ours(self.data, self.C, tol, self.device, self.budget_seconds)
        self._say(f"ours at {tol:.0e} {fit.seconds:.3g} s, objective {fit.objective:.12g}, {fit.status}")
        return fit

    def _contestants(
        self, peers: Mapping[str, PeerFit], outcomes: Mapping[float, OurFit], tolerances: Mapping[str, float | None]
    ) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
        """Return what to repeat, and how long it took for the first time."""
        X, y = self.data.X, self.data.y
        contestants: dict[str, Callable[[], object]] = {}
        first: dict[str, float] = {}
        for solver, fit in peers.items():
            contestants[solver] = lambda solver=solver: self._peer(solver).fit(X, y)
            first[solver] = fit.seconds
        for tol in dict.fromkeys(tol for tol in tolerances.values() if tol is not None):
            contestants[_ours(tol)] = lambda tol=tol: make_ours(self.C, tol, self.device).fit(X, y)
            first[_ours(tol)] = outcomes[tol].seconds
        return contestants, first

    def _line(
        self,
        solver: str,
        role: str,
        peer: PeerFit | None,
        seconds: Mapping[str, list[float]],
        outcomes: Mapping[float, OurFit],
        tolerances: Mapping[str, float | None],
    ) -> Line:
        """Hold ours against one peer; None for a peer that was stopped."""
        tol = tolerances[solver]
        # Where no tolerance was tight enough, the tightest shows how far from the peer's objective ours stayed.
        ours = outcomes[min(outcomes) if tol is None else tol] if outcomes else None
        speed = None if tol is None else fit_ratio(seconds[solver], seconds[_ours(tol)])
        target = _target(role, is_badly_scaled=self.data.is_badly_scaled)
        met = speed is not None and speed.median >= target
        our_seconds = None if tol is None else median(seconds[_ours(tol)])
        record = {
            "data": self.data.name,
            "shape": [*self.data.X.shape, self.data.n_classes],
            "dtype": self.dtype,
            "C": self.C,
            "solver": solver,
            "role": role,
            "peer": None if peer is None else asdict(peer),
            "peer_seconds": seconds[solver],
            "tol": tol,
            "ours": None if ours is None else asdict(ours),
            "our_seconds": None if tol is None else seconds[_ours(tol)],
            "times_as_fast": None if speed is None else speed._asdict(),
            "is_lower_bound": peer is None,
            "target": target,
            "met": met,
        }
        cells = {
            "data": f"{self.data.name} {self.data.shape}",
            "dtype": self.dtype,
            "C": f"{self.C:g}",
            "scikit-learn": f"{solver} ({role})" if role else solver,
            "time": f"> {self.budget_seconds:g} s" if peer is None else milliseconds(median(seconds[solver])),
            "passes": "-" if peer is None else str(peer.passes),
            "objective": "-" if peer is None else f"{peer.objective:.10f}",
            "ours: tol": "not reached" if tol is None else f"{tol:.0e}",
            "our solver": "-" if ours is None else ours.solver,
            "our time": "-" if our_seconds is None else milliseconds(our_seconds),
            "our passes": "-" if ours is None else f"{ours.passes:.4g}",
            "bound": "-" if ours is None else f"{ours.bound:.1e}",
            "ours - objective": "-" if ours is None or peer is None else f"{ours.objective - peer.objective:+.1e}",
            "times as fast (range)": _speed_text(speed, is_lower_bound=peer is None),
            "target": f">= {target:g}x",
            "met": verdict(met=met),
        }
        return Line(cells, record)

    def _case(self) -> str:
        return f"{self.data.name} {self.dtype} C={self.C:g}"

    def _say(self, text: str) -> None:
        """Show that something moves: a run takes an hour, and its table comes at the end."""
        print(f"{self._case()}: {text}", file=sys.stderr, flush=True)


def _ours(tol: float) -> str:
    """Name our contestant."""
    return f"ours {tol:.0e}"


def _roles(seconds: Mapping[str, Sequence[float]], stopped: Sequence[str]) -> dict[str, str]:
    """Say which peer is the default, and which the fastest of those that ended."""
    fastest = min(seconds, key=lambda solver: median(seconds[solver])) if seconds else None
    named = {_DEFAULT: "default", fastest: "best"} | ({_DEFAULT: "default, best"} if fastest == _DEFAULT else {})
    return {solver: named.get(solver, "") for solver in SOLVERS if solver in seconds or solver in stopped}


def _target(role: str, *, is_badly_scaled: bool) -> float:
    """Return how many times as fast as a peer in that role ours should be."""
    if "default" in role:
        return _TARGETS["badly scaled" if is_badly_scaled else "default"]
    return _TARGETS["best" if role == "best" else "any"]


def _speed_text(speed: Ratio | None, *, is_lower_bound: bool) -> str:
    """Print a speed-up."""
    if speed is None:
        return "-"
    return f"> {speed.median:.1f}x" if is_lower_bound else times_text(speed)
