# SPDX-License-Identifier: BSD-3-Clause
"""Data for the tests of the estimators: small, with classes that overlap, so that every minimum exists."""

__all__ = ["blobs", "soft"]

import numpy as np


def blobs(n_samples=90, n_features=4, n_classes=3, *, seed=0, dtype="float64"):
    """Return features and class numbers; each class has samples."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_samples) % n_classes
    rng.shuffle(y)
    centers = rng.normal(size=(n_classes, n_features))
    return (centers[y] + 1.2 * rng.normal(size=(n_samples, n_features))).astype(dtype), y


def soft(n_samples=90, n_classes=3, *, seed=1):
    """Return soft targets without zeros."""
    return np.random.default_rng(seed).dirichlet(np.ones(n_classes), size=n_samples)
