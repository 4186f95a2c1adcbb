# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's own checks pass for each solver, with nothing skipped but the array libraries and devices of others.

They run in a process of their own, because the array API must be enabled in SciPy before its first import.
"""

import json
import os
import subprocess
import sys

import pytest

from softmax_xp.optimizers import OPTIMIZERS
from softmax_xp.solvers import SOLVERS
from tests.house.source import ROOT

pytest.importorskip("pandas", reason="some of the checks need pandas")
pytest.importorskip("array_api_strict", reason="some of the checks need array-api-strict")

# The optimizers' own learning rates suit large data; at these a hundred epochs are enough for the checks' small ones.
RATES = {"adadelta": 10.0, "lion": 0.03, "momentum_sgd": 0.01, "nesterov_sgd": 0.01, "sgd": 0.01}

SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from sklearn.utils.estimator_checks import check_estimator
import softmax_xp
estimator = getattr(softmax_xp, sys.argv[1])(**json.loads(sys.argv[2]))
results = check_estimator(estimator, on_fail=None)
print(json.dumps([[each["check_name"], each["status"], str(each["exception"])] for each in results]))
"""

# Why a check may be skipped: something that this machine has not, and that is no part of the package.
ABSENT = ("is not installed: not checking array_api input", "requires cuda", "XPU device", "MPS")


def run_checks(name="SoftmaxClassifier", **params):
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    command = [sys.executable, "-c", SCRIPT, name, json.dumps(params)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def complaints(results):
    return [
        result
        for result in results
        if result[1] != "passed" and not (result[1] == "skipped" and any(reason in result[2] for reason in ABSENT))
    ]


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_scikit_learns_checks_pass_for_each_full_batch_solver(solver):
    results = run_checks(solver=solver)
    assert not complaints(results)
    assert len(results) > 70
    assert sum(name == "check_array_api_input" and status == "passed" for name, status, _ in results) >= 1
    assert sum("sparse" in name and status == "passed" for name, status, _ in results) >= 4


def test_scikit_learns_checks_pass_for_the_classifier_that_cross_validates():
    results = run_checks("SoftmaxClassifierCV", Cs=3, cv=2)
    assert not complaints(results)
    assert len(results) > 70


@pytest.mark.parametrize("solver", sorted(OPTIMIZERS))
def test_scikit_learns_checks_pass_for_each_optimizer(solver):
    results = run_checks(solver=solver, learning_rate=RATES.get(solver, 0.1), max_iter=100)
    assert not complaints(results)
    assert len(results) > 70
