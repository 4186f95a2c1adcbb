# SPDX-License-Identifier: BSD-3-Clause
"""A small fit, from a file."""

from dataclasses import replace

import numpy as np

from softmax_xp.backend import backend_of
from softmax_xp.data.npy_source import open_npy
from softmax_xp.data.streamed import StreamedRows
from softmax_xp.distributed import SerialEngine, plan_shards
from softmax_xp.distributed.placement import shard_specs
from softmax_xp.losses import CrossEntropy
from softmax_xp.objectives import ConvexObjective, LinearObjective
from softmax_xp.solvers import SOLVERS, minimise

N_SAMPLES, N_FEATURES, N_CLASSES, SHARD_ROWS = 1500, 6, 4, 130


def samples(n_samples=N_SAMPLES, dtype=np.float32):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, N_FEATURES)).astype(dtype)
    logits = X @ rng.standard_normal((N_FEATURES, N_CLASSES)) + rng.standard_normal((n_samples, N_CLASSES))
    return X, logits.argmax(axis=1)


def linear_over(folder, **options):
    X, y = samples(**options)
    np.save(folder / "X.npy", X)
    loss, backend = CrossEntropy(), backend_of(X)
    rows = StreamedRows(open_npy(folder / "X.npy"), backend)
    return LinearObjective(rows, loss.prepare(y, N_CLASSES, dtype=X.dtype), loss, None, X.dtype)


def serially(linear, shard_rows=SHARD_ROWS):
    plan = plan_shards(linear.X.shape[0], 4 * linear.X.shape[1], shard_rows)
    engine = SerialEngine(plan, shard_specs(linear, plan), linear.backend)
    return replace(linear, X=StreamedRows(linear.X.source, linear.X.backend, linear.X.largest, engine))


def fit(linear, solver="lbfgs", l2=1e-3, **options):
    objective = ConvexObjective(linear, N_CLASSES, l2=l2)
    return minimise(SOLVERS[solver], objective, objective.start(), tol=1e-6, max_iter=100, **options).certified
