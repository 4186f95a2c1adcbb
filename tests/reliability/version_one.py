# SPDX-License-Identifier: BSD-3-Clause
"""The fits of which tests/io/fixtures holds checkpoints, each killed after its fifth. Integers are the same everywhere.

The fixtures were written by the first version of each format, and stay as they are.
"""

__all__ = ["solve", "train"]

import numpy as np

import softmax_xp as sx

X = ((np.arange(80) ** 2).reshape(20, 4) % 13).astype("float64")
Y = np.arange(20) ** 3 % 3


def train(checkpoint=None):
    trainer = sx.Trainer(
        optimizer=sx.Adam(0.01),
        averaging=sx.UniformAverage(),
        epochs=3,
        batch_size=8,
        device="cpu",
        checkpoint=checkpoint,
    )
    return trainer.fit(X, Y)[0].params.weight


def solve(checkpoint=None):
    return sx.SoftmaxClassifier(solver="lbfgs", tol=1e-9, device="cpu", checkpoint=checkpoint).fit(X, Y).coef_
