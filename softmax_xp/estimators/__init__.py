# SPDX-License-Identifier: BSD-3-Clause
"""The estimators, as scikit-learn means them, and what is known about their coefficients."""

__all__ = ["SoftmaxClassifier"]

from softmax_xp.estimators.classifier import SoftmaxClassifier
