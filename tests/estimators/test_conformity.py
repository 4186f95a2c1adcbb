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

# The optimizers' own learning rates suit large data; at these thirty epochs are enough for the checks' small ones.
RATES = {
    "adadelta": 30.0,
    "adagrad": 0.5,
    "adam": 0.3,
    "adamw": 0.3,
    "lion": 0.1,
    "momentum_sgd": 0.05,
    "nadam": 0.3,
    "nesterov_sgd": 0.05,
    "rmsprop": 0.2,
    "sgd": 0.1,
}

SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from sklearn.utils.estimator_checks import check_estimator
import softmax_xp
found = []
for params in json.loads(sys.argv[2]):
    results = check_estimator(getattr(softmax_xp, sys.argv[1])(**params), on_fail=None)
    found.append([[each["check_name"], each["status"], str(each["exception"])] for each in results])
print(json.dumps(found))
"""

# Why a check may be skipped: something that this machine has not, and that is no part of the package.
ABSENT = ("is not installed: not checking array_api input", "requires cuda", "XPU device", "MPS")


def run_checks(name, *params):
    """Check the estimator once for each dict of parameters; all in one process: its imports take longer than checks."""
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    command = [sys.executable, "-c", SCRIPT, name, json.dumps(params)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout.splitlines()[-1])
    assert len(found) == len(params)
    assert all(len(results) > 70 for results in found)
    return found


def complaints(results):
    return [
        result
        for result in results
        if result[1] != "passed" and not (result[1] == "skipped" and any(reason in result[2] for reason in ABSENT))
    ]


def test_scikit_learns_checks_pass_for_each_full_batch_solver():
    solvers = ["auto", *SOLVERS]
    found = dict(zip(solvers, run_checks("SoftmaxClassifier", *({"solver": name} for name in solvers)), strict=True))
    assert not {name: wrong for name, results in found.items() if (wrong := complaints(results))}
    for results in found.values():
        assert sum(name == "check_array_api_input" and status == "passed" for name, status, _ in results) >= 1
        assert sum("sparse" in name and status == "passed" for name, status, _ in results) >= 4


def test_scikit_learns_checks_pass_for_the_classifier_that_cross_validates():
    (results,) = run_checks("SoftmaxClassifierCV", {"Cs": 3, "cv": 2})
    assert not complaints(results)


def test_scikit_learns_checks_pass_for_each_optimizer():
    assert set(RATES) == set(OPTIMIZERS)
    settings = [{"solver": name, "learning_rate": rate, "max_iter": 30} for name, rate in RATES.items()]
    found = dict(zip(RATES, run_checks("SoftmaxClassifier", *settings), strict=True))
    assert not {name: wrong for name, results in found.items() if (wrong := complaints(results))}
