# SPDX-License-Identifier: BSD-3-Clause
"""The estimators, as scikit-learn means them, and what is known about their coefficients."""

__all__ = ["SoftmaxClassifier", "SoftmaxClassifierCV", "SoftmaxPath", "softmax_path"]

from softmax_xp.estimators.classifier import SoftmaxClassifier
from softmax_xp.estimators.grid import SoftmaxClassifierCV
from softmax_xp.estimators.path import SoftmaxPath, softmax_path
