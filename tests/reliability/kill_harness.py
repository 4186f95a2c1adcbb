# SPDX-License-Identifier: BSD-3-Clause
"""Kills a fit at random moments, resumes it each time, and compares the end with that of an undisturbed fit.

Run in a process of its own, which imports everything once and then forks a child for each attempt: the child fits, the
parent sends SIGKILL after a random time. It prints what happened as JSON. A fit that ends before its kill comes is
compared, and another is begun in a fresh folder, until there have been enough kills, and fits that went on after one.
"""

import hashlib
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import softmax_xp as sx
from softmax_xp.estimators import SoftmaxClassifier
from softmax_xp.io.checkpoint_file import read_checkpoint

RNG = np.random.default_rng(17)
X = RNG.standard_normal((300, 8))
Y = np.argmax(X[:, :5] + RNG.standard_normal((300, 5)), axis=1)


def train(checkpoint):
    """Fit by minibatches: 120 steps in four epochs, each of which writes a checkpoint."""
    trainer = sx.Trainer(
        optimizer=sx.Adam(0.01),
        schedule=sx.Plateau(patience=0),
        averaging=sx.ExponentialAverage(),
        epochs=4,
        batch_size=10,
        device="cpu",
        callbacks=[sx.BestWeights()],
        checkpoint=checkpoint,
    )
    model, history = trainer.fit(X, Y, validation=(X[:40], Y[:40]))
    return model.params.weight, model.params.bias, np.asarray(history["train_loss"] + history["validation_loss"])


def solve(checkpoint):
    """Fit by L-BFGS, as far as float64 goes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SoftmaxClassifier(C=100.0, solver="lbfgs", tol=0.0, device="cpu", checkpoint=checkpoint).fit(X, Y)
    return model.coef_, model.intercept_, np.asarray(model.history_["value"] + model.history_["step"])


def attempt(fit, folder, answer, delay):
    """Fit in a child, and kill it after so many seconds, if it has not ended; return whether it was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            arrays = fit(None if folder is None else sx.Checkpoint(folder, every_steps=1))
            digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
            answer.write_text(digest)
            code = 0
        finally:
            os._exit(code)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)  # no harm to one that has ended: nobody has waited for it yet
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return True
    assert os.WEXITSTATUS(status) == 0, "a fit failed: see the traceback above"
    return False


def main():
    fit, where, kills, longest = globals()[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    moments = np.random.default_rng(2026)
    os.fsync = lambda number: time.sleep(0.001)  # as a disk does, so that many kills come in the middle of a write
    expected, answer = where / "expected", where / "answer"
    attempt(fit, None, expected, None)
    report = {"kills": 0, "fits": 0, "resumed": 0, "in the middle of a write": 0}
    folder, killed = where / "0", False
    while True:
        found = sorted(folder.glob("checkpoint-*"))
        for path in found:
            read_checkpoint(path)  # raises where one is damaged
        report["resumed"] += bool(found)
        if killed and not found:
            longest *= 1.2  # on a busy machine a fit needs more time for its first checkpoint
        is_last = report["kills"] >= kills and report["resumed"] > kills // 2
        killed = attempt(fit, folder, answer, None if is_last else moments.uniform(0.0, longest))
        if killed:
            report["kills"] += 1
            report["in the middle of a write"] += any(folder.glob(".tmp-*"))
            continue
        assert answer.read_text() == expected.read_text(), "other bits"
        report["fits"] += 1
        folder = where / str(report["fits"])
        if is_last:
            break
    print(json.dumps(report))  # noqa: T201


if __name__ == "__main__":
    main()
