# SPDX-License-Identifier: BSD-3-Clause
"""A full-batch fit that is stopped and resumed ends with the bits of one that was not."""

import itertools
import os
import signal
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone

import softmax_xp as sx
from softmax_xp.errors import (
    CheckpointCorruptError,
    CheckpointMismatchError,
    InvalidTypeError,
    InvalidValueError,
    SoftmaxXPWarning,
)
from softmax_xp.estimators import convex_fit
from softmax_xp.solvers import SOLVERS, loop
from softmax_xp.training.keeper import Keeper

RNG = np.random.default_rng(5)
X = RNG.standard_normal((200, 12)) + 3.0
Y = np.argmax(X[:, :4] + RNG.standard_normal((200, 4)), axis=1)
SPARSE = scipy.sparse.csr_array(np.where(RNG.uniform(size=X.shape) < 0.7, 0.0, X))


class Killed(BaseException):
    """Stands for a signal that cannot be caught."""


def fit(folder=None, data=(X, Y), *, checkpoint=None, **params):
    if folder is not None:
        params["checkpoint"] = checkpoint or sx.Checkpoint(folder, every_steps=1)
    return sx.SoftmaxClassifier(**{"device": "cpu", "C": 10.0, "tol": 1e-8} | params).fit(*data)


def fit_killed_after(saves, folder, data=(X, Y), **params):
    """Fit until so many checkpoints have been written, and die."""
    count, save = itertools.count(1), Keeper.save

    def counting(self, state, **how):
        save(self, state, **how)
        if next(count) == saves:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "save", counting)
        with pytest.raises(Killed):
            fit(folder, data, **params)


def bits(model):
    rows = [repr({name: value for name, value in row.items() if "second" not in name}) for row in model.history_]
    parts = (model.coef_.tobytes(), model.intercept_.tobytes(), model.certificate_, model.status_, rows)
    return (*parts, model.n_iter_.tolist(), model.solver_)


CASES = {
    **{name: {"solver": name} for name in SOLVERS},
    "L1": {"solver": "proximal", "l1_ratio": 0.5},
    "float32": {"dtype": "float32", "tol": 1e-6},
    "no penalty": {"C": np.inf, "tol": 1e-6},
    "no intercept": {"fit_intercept": False},
    "by the gradient": {"stopping": "gradient"},
    "class weights": {"class_weight": "balanced"},
    "to the floor": {"solver": "lbfgs", "tol": 0.0},
    "too few iterations": {"solver": "lbfgs", "max_iter": 3},
    "minibatches": {"solver": "adam", "max_iter": 12, "batch_size": 32, "random_state": 3},
}


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_every_fit_resumes_with_the_same_bits(tmp_path, case, is_sparse):
    if is_sparse and case == "minibatches":
        pytest.skip("minibatches are dense")
    data = (SPARSE if is_sparse else X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SoftmaxXPWarning)
        undisturbed = fit(data=data, **CASES[case])
        expected, n_iter = bits(undisturbed), int(undisturbed.n_iter_[0])
        # At the start, on the way, before the last iteration, and when all is done.
        for saves in sorted({1, 2, max(n_iter // 2, 1), n_iter, n_iter + 1}):
            fit_killed_after(saves, tmp_path / str(saves), data, **CASES[case])
            assert bits(fit(tmp_path / str(saves), data, **CASES[case])) == expected


def test_a_certificate_that_disappointed_is_remembered(tmp_path, monkeypatch):
    """The next one is asked for only below a lower estimate: else a resumed fit would pay for it once more."""
    params = {"solver": "lbfgs", "C": 0.1, "tol": 1e-5}
    fit(tmp_path, **params)
    targets, real = [], loop._Run.until_good
    monkeypatch.setattr(loop._Run, "until_good", lambda run, *how: targets.append(run.rule.target) or real(run, *how))
    fit(tmp_path, **params)
    assert 0.0 < targets[0] < 0.9e-5


def test_two_classes_resume_with_the_same_bits(tmp_path):
    data = (X, np.where(Y > 1, "yes", "no"))
    fit_killed_after(2, tmp_path, data)
    assert bits(fit(tmp_path, data)) == bits(fit(data=data))


@pytest.mark.parametrize("saves", [2, 4, 7, 9])
def test_both_stages_of_rough_products_resume_with_the_same_bits(tmp_path, monkeypatch, saves):
    monkeypatch.setattr(convex_fit, "can_be_rough", lambda backend: True)
    params = {"solver": "lbfgs", "compute": "tf32"}
    undisturbed = fit(**params)
    assert len(undisturbed.history_) > undisturbed.n_iter_[0] + 1  # each stage has a row before its first iteration
    fit_killed_after(saves, tmp_path, **params)
    assert bits(fit(tmp_path, **params)) == bits(undisturbed)


def test_more_iterations_are_more_of_the_same_fit(tmp_path):
    with pytest.warns(SoftmaxXPWarning, match="did not converge"):
        fit(tmp_path, solver="lbfgs", max_iter=4)
    assert bits(fit(tmp_path, solver="lbfgs")) == bits(fit(solver="lbfgs"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send itself this signal")
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_ctrl_c_saves_and_leaves_a_usable_model(tmp_path, solver):
    rows = []

    def interrupt(row):
        rows.append(row)
        if len(rows) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    params = {"solver": solver, "random_state": 0, "max_iter": 8, "batch_size": 64, "callbacks": [interrupt]}
    checkpoint = sx.Checkpoint(tmp_path, every_seconds=1e9)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SoftmaxXPWarning)
            stopped = fit(tmp_path, checkpoint=checkpoint, **params)
            assert stopped.status_ == "interrupted"
            assert stopped.score(X, Y) > 0.3
            assert bits(fit(tmp_path, checkpoint=checkpoint, **params)) == bits(fit(**params))
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("C", {"C": 1.0}),
        ("tol", {"tol": 1e-7}),
        ("solver", {"solver": "newton-cg"}),
        ("l1_ratio", {"solver": "proximal", "l1_ratio": 0.1}),
        ("parameters", {"dtype": "float32"}),
        ("parameters", {"fit_intercept": False}),
        ("y", {"data": (X, Y[::-1].copy())}),
        ("X", {"data": (X + 1.0, Y)}),
        ("classes", {"data": (X, Y + 1)}),
        ("kind", {"solver": "adam", "random_state": 0, "batch_size": 50}),
    ],
)
def test_another_fit_is_refused_by_the_name_of_what_differs(tmp_path, field, changed):
    fit(tmp_path, solver="lbfgs")
    with pytest.raises(CheckpointMismatchError, match=f"has another .*{field} \\("):
        fit(tmp_path, **{"solver": "lbfgs"} | changed)


@pytest.mark.parametrize(
    "change",
    [
        {"solver": None},
        {"solver": 1.0},
        {"n_iter": None, "history": None},
        {"floor": {}},
        {"passes": "1"},
        {"target": None, "floor": None},
    ],
)
def test_a_state_of_another_form_is_a_damaged_checkpoint(tmp_path, change):
    save = Keeper.save
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "save", lambda self, state, **how: save(self, {**state, **change}, **how))
        fit(tmp_path)
    with pytest.raises(CheckpointCorruptError, match="must hold states of this fit"):
        fit(tmp_path)


def test_minibatches_need_an_order_that_can_be_had_again(tmp_path):
    with pytest.raises(InvalidValueError, match="`random_state` must be an integer with a checkpoint .* got None"):
        fit(tmp_path, solver="adam")


def test_the_argument_is_checked_cloned_and_not_carried_to_other_machines(tmp_path):
    with pytest.raises(InvalidTypeError, match="`checkpoint` must be a folder or a Checkpoint; got 3"):
        fit(checkpoint=3, folder="unused")
    model = fit(checkpoint=str(tmp_path / "run"), folder="unused")
    assert clone(model).checkpoint == model.checkpoint
    assert sx.load(model.save(tmp_path / "model.safetensors"), device="cpu").checkpoint is None
