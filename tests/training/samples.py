# SPDX-License-Identifier: BSD-3-Clause
"""Small classification problems for the tests of training, made by NumPy from a seed."""

__all__ = ["blobs", "digits", "reference_loss"]

from functools import cache

import numpy as np


def blobs(n_samples=90, n_features=5, n_classes=3, *, seed=0, dtype="float64"):
    """Samples around one centre for each class, shuffled, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_samples) % n_classes
    rng.shuffle(labels)
    centres = rng.normal(size=(n_classes, n_features))
    return (centres[labels] + rng.normal(size=(n_samples, n_features))).astype(dtype), labels


@cache
def digits():
    """The 1797 digits of scikit-learn, scaled to [0, 1]; not to be written to."""
    import pytest

    X, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    X = X / 16.0
    X.flags.writeable = y.flags.writeable = False
    return X, y


def reference_loss(weight, bias, X, y, sample_weight=None):
    """Mean softmax loss, written as a textbook would if floats had no limits."""
    logits = X @ weight + (0.0 if bias is None else bias)
    logits = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return np.average(-log_probabilities[np.arange(len(y)), y], weights=sample_weight)
