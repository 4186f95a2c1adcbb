# SPDX-License-Identifier: BSD-3-Clause
import threading
import time
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from benchmarks import fits
from benchmarks.fits import (
    LADDER,
    OutOfTimeError,
    Pace,
    climb,
    deadline,
    fit_ratio,
    mean_objective,
    no_worse,
    race_fits,
)
from benchmarks.timing import Ratio


def problem(n_classes, n_samples=40):
    random = np.random.default_rng(0)
    return random.standard_normal((n_samples, 3)), np.arange(n_samples) % n_classes


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("as_stored", [np.asarray, scipy.sparse.csr_array], ids=["dense", "sparse"])
def test_the_objective_is_that_of_scikit_learn(n_classes, as_stored, monkeypatch):
    monkeypatch.setattr(fits, "_CHUNK_ROWS", 7)
    X, y = problem(n_classes)
    model = LogisticRegression(C=0.3).fit(X, y)
    expected = log_loss(y, model.predict_proba(X)) + (model.coef_**2).sum() / (2 * 0.3 * len(y))
    assert mean_objective(as_stored(X), y, model.coef_, model.intercept_, 0.3) == pytest.approx(expected, rel=1e-14)


def test_the_objective_is_computed_in_float64():
    X, y = problem(3)
    coef, intercept = np.full((3, 3), 0.1, np.float32), np.zeros(3, np.float32)
    single = mean_objective(X.astype(np.float32), y, coef, intercept, 1.0)
    double = mean_objective(
        X.astype(np.float32).astype(np.float64), y, coef.astype(np.float64), intercept.astype(np.float64), 1.0
    )
    assert single == double


def reaches(goals):
    """Return what compares objectives with these."""
    return lambda objective, peer: no_worse(objective, goals[peer])


def test_the_ladder_is_climbed_until_every_peer_is_reached():
    asked = []

    def fit(tol):
        asked.append(tol)
        return 1.0 + tol / 2

    outcomes, tolerances = climb(fit, reaches({"loose": 1.006, "tight": 1.0 + 1e-4}), ("loose", "tight"))
    assert asked == list(LADDER[:7])
    assert tolerances == {"loose": LADDER[2], "tight": LADDER[6]}
    assert outcomes == {tol: 1.0 + tol / 2 for tol in LADDER[:7]}


def test_an_objective_that_is_never_reached_is_said_to_be_so():
    outcomes, tolerances = climb(lambda tol: 1.0, reaches({"peer": 1.0 - 1e-8}), ["peer"])
    assert tolerances == {"peer": None}
    assert list(outcomes) == list(LADDER)


def test_only_rounding_is_forgiven():
    assert climb(lambda tol: 1.0, reaches({"a": 1.0 - 0.9e-9}), ["a"])[1] == {"a": LADDER[0]}
    assert climb(lambda tol: 1.0, reaches({"a": 1.0 - 1.1e-9}), ["a"])[1] == {"a": None}


def test_a_fit_of_ours_that_is_out_of_time_ends_the_climb():
    def fit(tol):
        if tol < 1e-4:
            msg = "too long"
            raise OutOfTimeError(msg)
        return tol

    outcomes, tolerances = climb(fit, reaches({"a": 1e-3, "b": 0.0}), ["a", "b"])
    assert list(outcomes) == list(LADDER[:7])
    assert tolerances == {"a": LADDER[4], "b": None}


def limited(call, seconds):
    """Call again and again; a line search of scikit-learn's may give up, and end the fit by itself."""
    with deadline(seconds):
        while True:
            call()


@pytest.mark.skipif(not hasattr(fits.signal, "setitimer"), reason="this system has no such timer")
class TestDeadline:
    def test_python_code_is_ended(self):
        with pytest.raises(OutOfTimeError, match=r"more than 0.05 s"):
            limited(lambda: time.sleep(0.001), 0.05)

    def test_the_timer_is_off_afterwards(self):
        with deadline(0.05):
            pass
        time.sleep(0.1)
        assert fits.signal.getitimer(fits.signal.ITIMER_REAL)[0] == 0.0

    def test_a_fit_of_scikit_learn_is_ended(self):
        X, y = problem(10, 4000)
        model = LogisticRegression(C=1e6, tol=0.0, max_iter=10**9)
        with fits.quietly(), pytest.raises(OutOfTimeError):
            limited(lambda: model.fit(X, y), 0.1)


def test_no_limit_and_other_threads_are_no_error():
    with deadline(None):
        pass
    done = []

    def in_a_thread():
        with deadline(1.0):
            done.append(True)

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert done


def test_warnings_are_collected():
    with fits.quietly() as caught:
        warnings.warn("twice", UserWarning, stacklevel=1)
        warnings.warn("twice", UserWarning, stacklevel=1)
    assert len(caught) == 2


def test_short_fits_are_repeated_in_turn_and_long_ones_less_often(monkeypatch):
    log = []
    monkeypatch.setattr(fits, "_timed", lambda call, is_short: (call(), 1.0 if is_short else 2.0)[1])
    contestants = {name: lambda name=name: log.append(name) for name in ("short", "long", "longest")}
    first = {"short": 0.1, "long": 7.0, "longest": 50.0}
    seconds = race_fits(contestants, first, Pace(rounds=3))
    assert log == ["short", "long", "short", "short"]
    assert seconds == {"short": [1.0] * 3, "long": [7.0, 2.0], "longest": [50.0]}


def test_rounds_go_forwards_and_backwards(monkeypatch):
    log = []
    monkeypatch.setattr(fits, "_timed", lambda call, is_short: call())
    race_fits({name: lambda name=name: log.append(name) for name in "ab"}, {"a": 0.1, "b": 0.1}, Pace(rounds=2))
    assert log == ["a", "b", "b", "a"]


@pytest.mark.parametrize("is_short", [True, False])
def test_the_time_of_one_fit_is_measured(is_short):
    assert 0.005 <= fits._timed(lambda: time.sleep(0.005), is_short=is_short) < 1


def test_ratios_are_paired_where_the_rounds_are_the_same():
    assert fit_ratio([2.0, 30.0, 5.0], [1.0, 10.0, 4.0]) == Ratio(2.0, 1.25, 3.0)
    assert fit_ratio([10.0], [1.0, 2.0, 4.0]) == Ratio(5.0, 2.5, 10.0)
