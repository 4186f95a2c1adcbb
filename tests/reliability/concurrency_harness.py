# SPDX-License-Identifier: BSD-3-Clause
"""Makes the same fits alone, in threads of one process, in forked and in spawned processes, and prints their digests.

Run in a process of its own whose BLAS has two threads: several of the fits have other bits with one.
"""

import hashlib
import json
import multiprocessing
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import numpy as np

import softmax_xp as sx

RNG = np.random.default_rng(3)
X = RNG.standard_normal((3000, 160)).astype(np.float32)
Y = np.argmax(X[:, :12] + 2 * RNG.gumbel(size=(3000, 12)), axis=1)


def classifier(path, rows=3000, **settings):
    """Fit by a full-batch solver; rows of a path are those of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is not converged
        model = sx.SoftmaxClassifier(max_iter=5, device="cpu", **settings)
        model.fit(X[:rows] if path is None else path, Y[:rows])
    return model.coef_, model.intercept_


def trainer(batch_size):
    """Fit by minibatches."""
    model, _ = sx.Trainer(sx.Adam(1e-2), epochs=2, batch_size=batch_size, device="cpu").fit(X, Y)
    return model.params.weight, model.params.bias


def cross_validation():
    """Fit many heads at once."""
    model = sx.SoftmaxClassifierCV(Cs=3, cv=3, device="cpu").fit(X[:900, :40], Y[:900])
    return model.coef_, model.scores_


FITS = {
    "lbfgs": lambda _: classifier(None),
    "one chunk": lambda _: classifier(None, 400, dtype="float64"),
    "newton-cg": lambda _: classifier(None, solver="newton-cg", dtype="float64"),
    "proximal": lambda _: classifier(None, l1_ratio=0.5, C=0.1),
    "storage": lambda folder: classifier(folder / "X.npy"),
    "small batches": lambda _: trainer(64),
    "large batches": lambda _: trainer(1500),
    "cross-validation": lambda _: cross_validation(),
    "loss": lambda _: sx.softmax_loss(0.1 * X[:160, :12], X[:400], Y[:400])[1:],
}


def digest(name, folder):
    """Fit, and return the fingerprint of what came out."""
    arrays = FITS[name](Path(folder))
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def alone(folder):
    """One after the other."""
    return {name: [digest(name, folder)] for name in FITS}


def threads(folder):
    """Each three times, four at once."""
    names = np.random.default_rng(0).permutation(3 * list(FITS)).tolist()
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(lambda name: digest(name, folder), names))
    return {name: [each for other, each in zip(names, digests, strict=True) if other == name] for name in FITS}


def processes(folder, method):
    """Each once, two processes at once."""
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        digests = list(pool.map(digest, FITS, [folder] * len(FITS)))
    return {name: [each] for name, each in zip(FITS, digests, strict=True)}


def forked(folder):
    """In children of a process that has fitted, and is fitting in another thread when it forks."""
    digest("lbfgs", folder)
    busy = Thread(target=lambda: [digest("lbfgs", folder) for _ in range(20)])
    busy.start()
    try:
        return processes(folder, "fork")
    finally:
        busy.join()


def spawned(folder):
    """In processes that begin anew."""
    return processes(folder, "spawn")


if __name__ == "__main__":
    company = {"alone": alone, "threads": threads, "forked": forked, "spawned": spawned}[sys.argv[1]]
    sys.stdout.write(json.dumps(company(sys.argv[2])))
