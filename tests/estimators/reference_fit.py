# SPDX-License-Identifier: BSD-3-Clause
"""A softmax fit and its Hessian in the plainest form: with all classes' coefficients.

`coefficients` have the shape (n_classes, n_terms), the intercept first where there is one. Nothing is shared with the
package: this is what its statistics are compared with.
"""

__all__ = ["contrast_matrix", "draw_samples", "fit_newton", "hessian", "scores", "terms_of"]

import numpy as np


def draw_samples(n_samples=200, n_features=3, n_classes=3, seed=0):
    """Draw samples of a softmax model; every class overlaps with every other."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    logits = 0.3 + X @ rng.normal(size=(n_features, n_classes))
    codes = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    codes[:n_classes] = np.arange(n_classes)
    return X, codes


def terms_of(X, has_intercept=True):
    return np.c_[np.ones(len(X)), X] if has_intercept else np.asarray(X, dtype=float)


def _probabilities(terms, coefficients):
    logits = terms @ coefficients.T
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def scores(terms, targets, coefficients):
    """Return each sample's score, shape (n_samples, n_classes * n_terms); `targets` carry the weights."""
    residual = targets.sum(axis=1)[:, None] * _probabilities(terms, coefficients) - targets
    return (residual[:, :, None] * terms[:, None, :]).reshape(len(terms), -1)


def hessian(terms, targets, coefficients, C=np.inf, has_intercept=True):
    """Return the Hessian of `sum_i m_i loss_i + |W|^2 / (2 C)`, over all classes' coefficients."""
    p = _probabilities(terms, coefficients)
    curvature = targets.sum(axis=1)[:, None, None] * (p[:, :, None] * np.eye(p.shape[1]) - p[:, :, None] * p[:, None])
    total = np.einsum("ncd,ni,nj->cidj", curvature, terms, terms).reshape(coefficients.size, -1)
    penalised = np.ones_like(coefficients)
    penalised[:, : int(has_intercept)] = 0.0
    return total + np.diag(penalised.ravel()) / C


def fit_newton(X, targets, C=np.inf, has_intercept=True):
    """Return `weight` (n_features, n_classes) and `bias` at the optimum to rounding, by 30 damped Newton steps."""
    terms = terms_of(X, has_intercept)
    coefficients = np.zeros((targets.shape[1], terms.shape[1]))
    for _ in range(30):
        gradient = scores(terms, targets, coefficients).sum(axis=0).reshape(coefficients.shape)
        gradient[:, int(has_intercept) :] += coefficients[:, int(has_intercept) :] / C
        curvature = hessian(terms, targets, coefficients, C, has_intercept)
        step = np.linalg.pinv(curvature, rcond=1e-12) @ gradient.ravel()
        coefficients -= (step / max(1.0, np.abs(step).max())).reshape(coefficients.shape)
    if has_intercept:
        return coefficients[:, 1:].T, coefficients[:, 0]
    return coefficients.T, None


def contrast_matrix(n_classes, n_terms, reference):
    """Return L such that `L @ coefficients.ravel()` are the contrasts to the reference, class by class."""
    rows = np.eye(n_classes)
    differences = np.delete(rows - rows[reference], reference, axis=0)
    return np.kron(differences, np.eye(n_terms))
